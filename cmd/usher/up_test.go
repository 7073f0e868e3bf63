package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// kills is how often each kind of process is killed.
const kills = 20

// crowd is some clients at work against an instance that may come and go.
type crowd struct {
	current atomic.Pointer[client]
	cancel  context.CancelFunc
	group   sync.WaitGroup
}

func newCrowd(t *testing.T, l *ledger, c *client, clients int) *crowd {
	t.Helper()
	crowd := &crowd{}
	crowd.current.Store(c)
	ctx, cancel := context.WithCancel(t.Context())
	crowd.cancel = cancel
	t.Cleanup(crowd.stop)
	for i := range clients {
		g := &traffic{t: t, ledger: l, api: crowd.current.Load, prefix: fmt.Sprintf("k%d", i)}
		crowd.group.Go(func() { g.run(ctx) })
	}
	return crowd
}

func (c *crowd) stop() {
	c.cancel()
	c.group.Wait()
}

// TestKillUp kills the whole of usher up at random moments under load: what was
// answered before is stored afterwards, once.
func TestKillUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := free(dir)
	p := launch(t, args...)
	token := p.ready.AdminToken
	if token == "" {
		t.Fatal("the first start prints no admin token")
	}
	l := newLedger()
	crowd := newCrowd(t, l, p.client(token), 3)
	for range kills {
		pause(t.Context(), time.Duration(rand.IntN(400))*time.Millisecond)
		p.kill()
		p = launch(t, args...)
		if p.ready.AdminToken != "" {
			t.Fatal("a later start prints an admin token")
		}
		crowd.current.Store(p.client(token))
	}
	crowd.stop()
	ch := func() string { return p.ready.ClickHouseHTTP }
	l.settle(t, ch, "default")
	recount(t, ch, "default")
	p.stop()
}

// TestKillWarehouse kills the ClickHouse child at random moments under load. The
// parent starts it again; the API does not notice.
func TestKillWarehouse(t *testing.T) {
	t.Parallel()
	p := launch(t, append(free(t.TempDir()), "--set", "clickhouse.max_backoff=300ms")...)
	l := newLedger()
	crowd := newCrowd(t, l, p.client(p.ready.AdminToken), 3)
	ch := func() string { return p.ready.ClickHouseHTTP }
	for range kills {
		pause(t.Context(), time.Duration(rand.IntN(300))*time.Millisecond)
		eventually(t, "kill the engine", func() error { return killChild(p.cmd.Process.Pid) })
		eventually(t, "the engine answers again", func() error {
			_, err := query(t.Context(), ch(), "SELECT 1")
			return err
		})
	}
	crowd.stop()
	l.settle(t, ch, "default")
	recount(t, ch, "default")
	p.stop()
}

// killChild kills the only child of the process.
func killChild(parent int) error {
	pid, err := childOf(parent)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

func childOf(parent int) (int, error) {
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(parent)).Output()
	if err != nil {
		return 0, fmt.Errorf("list the children of %d: %w", parent, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// TestEngineDiesWithItsParent ends the parent the hard ways: without a warning,
// and with the second Ctrl-C of an impatient person.
func TestEngineDiesWithItsParent(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *process){
		"SIGKILL": func(p *process) { p.kill() },
		"Ctrl-C, Ctrl-C": func(p *process) {
			for range 2 {
				_ = p.cmd.Process.Signal(syscall.SIGINT) // the second may come after the end
				pause(t.Context(), 5*time.Millisecond)
			}
			<-p.done
		},
	} {
		t.Run(name, func(t *testing.T) { endsWithParent(t, end) })
	}
}

func endsWithParent(t *testing.T, end func(p *process)) {
	t.Helper()
	p := launch(t, free(t.TempDir())...)
	child, err := childOf(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	end(p)
	eventually(t, "the engine ends", func() error {
		if syscall.Kill(child, 0) != nil {
			return nil //nolint:nilerr // gone is what is wanted
		}
		// Ended, but not yet waited for by whoever adopted it, is ended too.
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)) // nothing where there is no /proc
		if _, state, found := strings.Cut(string(stat), ") "); found && strings.HasPrefix(state, "Z") {
			return nil
		}
		return fmt.Errorf("process %d is still there", child)
	})
}

// TestStartIsRefusedWithReasons covers what a second person on the machine sees.
func TestStartIsRefusedWithReasons(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, free(dir)...)
	second, err := tryLaunch(t, free(dir)...)
	if err == nil {
		t.Fatal("two processes share a data folder")
	}
	holder := fmt.Sprintf("process %d (usher up, since ", p.cmd.Process.Pid)
	if text := second.out.String(); !strings.Contains(text, holder) || !strings.Contains(text, "--data-dir") {
		t.Errorf("the second start says %q, want %q", text, holder)
	}
	var lc net.ListenConfig
	mine, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	other := filepath.Join(t.TempDir(), "other")
	args := append(free(other), "--admin-addr", p.ready.Admin, "--kafka-addr", p.ready.Kafka, "--clickhouse-addr", mine.Addr().String())
	third, err := tryLaunch(t, args...)
	if err == nil {
		t.Fatal("two processes share ports")
	}
	text := third.out.String()
	for _, want := range []string{
		p.ready.Admin, p.ready.Kafka, mine.Addr().String(), "--admin-addr", "--kafka-addr", "--clickhouse-addr",
		fmt.Sprintf("process %d (", p.cmd.Process.Pid),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	p.stop()
}

// TestStopDrains sends SIGTERM under load: the exit is clean, and every promise
// is stored after the next start.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	args := free(t.TempDir())
	p := launch(t, args...)
	token := p.ready.AdminToken
	l := newLedger()
	crowd := newCrowd(t, l, p.client(token), 3)
	for range 2 {
		pause(t.Context(), 500*time.Millisecond)
		p.stop()
		p = launch(t, args...)
		crowd.current.Store(p.client(token))
	}
	crowd.stop()
	l.settle(t, func() string { return p.ready.ClickHouseHTTP }, "default")
	p.stop()
}
