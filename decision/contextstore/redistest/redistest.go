// Package redistest runs a real Redis server for tests, in a folder of its own
// that is removed with the test.
//
// It needs redis-server. On Debian:
//
//	apt-get install -y redis-server
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startTimeout bounds one start of the server, which takes some 20 ms.
const startTimeout = 30 * time.Second

// Server is a Redis server in a process of its own. Its methods fail the test
// instead of returning errors, and are for one goroutine.
type Server struct {
	t    testing.TB
	dir  string
	addr string
	args []string
	cmd  *exec.Cmd
}

// Start starts an empty server on a Unix socket and stops it when the test ends.
// It writes every change to disk before it answers. More arguments are those of
// redis-server.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := folder(t)
	socket := filepath.Join(dir, "redis.sock")
	return start(t, dir, socket, append([]string{"--port", "0", "--unixsocket", socket}, args...))
}

// StartTCP starts an empty server on a free port of the loopback interface.
func StartTCP(t testing.TB, args ...string) *Server {
	t.Helper()
	port := freePorts(t, 1)[0]
	return start(t, folder(t), "127.0.0.1:"+port, append([]string{"--bind", "127.0.0.1", "--port", port}, args...))
}

// StartCluster starts a cluster of one node, which refuses whatever would span
// slots as any other cluster does.
func StartCluster(t testing.TB) *Server {
	t.Helper()
	ports := freePorts(t, 2)
	s := start(t, folder(t), "127.0.0.1:"+ports[0], []string{
		"--bind", "127.0.0.1", "--port", ports[0], "--cluster-enabled", "yes", "--cluster-port", ports[1],
		"--cluster-announce-ip", "127.0.0.1",
	})
	s.do(func(ctx context.Context, c *redis.Client) error { return c.ClusterAddSlotsRange(ctx, 0, 16383).Err() })
	s.await("the cluster", func(ctx context.Context, c *redis.Client) bool {
		info, err := c.ClusterInfo(ctx).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	return s
}

func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(t testing.TB, dir, addr string, args []string) *Server {
	t.Helper()
	s := &Server{t: t, dir: dir, addr: addr, args: append(args,
		"--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no",
		"--logfile", filepath.Join(dir, "log"))}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Addr is where the server is, host:port or the path of its socket.
func (s *Server) Addr() string { return s.addr }

// Kill ends the server at once (SIGKILL), as a crash does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // reports the kill
	s.cmd = nil
}

// Pause stops the server from answering until the test ends; its connections stay.
func (s *Server) Pause() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
}

// Restart starts a killed server again on the same data and waits until it serves.
func (s *Server) Restart() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.args...) //nolint:gosec,noctx // our own arguments; ends with Kill
	var said bytes.Buffer
	s.cmd.Stderr = &said
	endWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start redis-server (apt-get install redis-server): %v", err)
	}
	s.await("redis-server "+strings.Join(s.args, " "), func(ctx context.Context, c *redis.Client) bool {
		err := c.Ping(ctx).Err()
		return err == nil || strings.HasPrefix(err.Error(), "NOAUTH")
	})
}

func (s *Server) do(f func(context.Context, *redis.Client) error) {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr, DisableIdentity: true})
	defer func() { _ = c.Close() }() // nothing was written that could be lost
	if err := f(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) await(what string, ready func(context.Context, *redis.Client) bool) {
	s.t.Helper()
	s.do(func(ctx context.Context, c *redis.Client) error {
		for deadline := time.Now().Add(startTimeout); !ready(ctx, c); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
				return fmt.Errorf("%s did not start in %s:\n%s", what, startTimeout, log)
			}
		}
		return nil
	})
}

// freePorts are ports that nobody listens on right now.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // held until all are drawn
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
