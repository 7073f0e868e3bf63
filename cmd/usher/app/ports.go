package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/usherhq/usher/internal/fault"
)

// door is an address that is about to be listened on, and the flag that moves it.
type door struct{ name, flag, addr string }

// checkPorts tries all doors at once and names every one that is taken, with the
// process that holds it when the system tells. Doors are held until all were
// tried, so two doors on one port are found too. Nothing listens afterwards.
func checkPorts(ctx context.Context, doors []door) error {
	var lc net.ListenConfig
	var check fault.Check
	mine := map[string]string{}
	for _, d := range doors {
		l, err := lc.Listen(ctx, "tcp", d.addr)
		if err == nil {
			defer l.Close()
			mine[l.Addr().String()] = d.flag
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			check.Add(d.flag, "cannot listen for %s: %v", d.name, err)
			continue
		}
		by := "another process"
		if flag, ok := mine[d.addr]; ok {
			by = "this command's own " + flag
		} else if holder := portHolder(d.addr); holder != "" {
			by = holder
		}
		check.Add(d.flag, "%s, wanted for %s, is taken by %s; choose another with %s (port 0 picks a free one)", d.addr, d.name, by, d.flag)
	}
	if err, taken := errors.AsType[*fault.Error](check.Err("some addresses are not free")); taken {
		err.Kind, err.Reason = fault.Precondition, "ADDRESS_TAKEN"
		return err
	}
	return nil
}

// portHolder names the process that listens on addr, from /proc; empty when the
// system has no /proc or hides it.
func portHolder(addr string) string {
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return ""
	}
	inodes := listeningInodes(port)
	if len(inodes) == 0 {
		return ""
	}
	// A pattern that cannot be wrong; a process that ends meanwhile is skipped.
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		command, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err != nil {
			continue
		}
		words := strings.Fields(strings.ReplaceAll(string(command), "\x00", " "))
		if len(words) > 3 {
			words = append(words[:3], "...")
		}
		return fmt.Sprintf("process %s (%s)", pid, strings.Join(words, " "))
	}
	return ""
}

// listeningInodes are the sockets in state LISTEN on the port, as the links in
// /proc/PID/fd spell them.
func listeningInodes(port int) map[string]bool {
	const listening = "0A"
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
			f := strings.Fields(lines.Text())
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
		_ = file.Close() // only read
	}
	return inodes
}
