package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

func TestTakenPortsAreNamedTogether(t *testing.T) {
	var lc net.ListenConfig
	var taken []string
	for range 2 {
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		taken = append(taken, l.Addr().String())
	}
	err := checkPorts(t.Context(), []door{
		{"REST", "--http-addr", taken[0]},
		{"gRPC", "--grpc-addr", "127.0.0.1:0"},
		{"metrics", "--admin-addr", taken[1]},
	})
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Precondition || len(f.Violations) != 2 {
		t.Fatalf("want a precondition fault with two violations, got %v", err)
	}
	me := fmt.Sprintf("process %d (", os.Getpid())
	for i, flag := range []string{"--http-addr", "--admin-addr"} {
		text := f.Violations[i].Description
		if f.Violations[i].Field != flag || !strings.Contains(text, taken[i]) || !strings.Contains(text, me) {
			t.Errorf("violation %d names %q: %s; want %s, %s and %s", i, f.Violations[i].Field, text, flag, taken[i], me)
		}
	}
	if err := checkPorts(t.Context(), []door{{"a", "--a", "127.0.0.1:0"}, {"b", "--b", "127.0.0.1:0"}}); err != nil {
		t.Errorf("free ports are refused: %v", err)
	}
}

func TestTwoDoorsOnOnePort(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = checkPorts(t.Context(), []door{{"a", "--a", addr}, {"b", "--b", addr}})
	if err == nil || !strings.Contains(err.Error(), "this command's own --a") {
		t.Errorf("want the other flag named, got %v", err)
	}
}

func TestFolderHasOneOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if r, err := FindRunning(dir); r != nil || err != nil {
		t.Fatalf("a folder that is not there is owned by %v, %v", r, err)
	}
	unlock, err := lockFolder(dir, "up", now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockFolder(dir, "ingest", now)
	want := fmt.Sprintf("process %d (usher up, since 2026-01-02T03:04:05Z)", os.Getpid())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the second owner is told %v, want %s", err, want)
	}
	addr := Addresses{HTTP: "127.0.0.1:1"}
	if err := announce(dir, Running{PID: 7, Role: "up", Since: now, Address: addr}); err != nil {
		t.Fatal(err)
	}
	if r, err := FindRunning(dir); err != nil || r == nil || r.PID != 7 || r.Address != addr {
		t.Errorf("running: %+v, %v", r, err)
	}
	unlock()
	if r, err := FindRunning(dir); r != nil || err != nil {
		t.Errorf("a folder that was given back is owned by %v, %v", r, err)
	}
	unlock, err = lockFolder(dir, "up", now)
	if err != nil {
		t.Fatalf("the folder cannot be taken again: %v", err)
	}
	unlock()
}

func TestOrphanEngineIsAwaited(t *testing.T) {
	dir := t.TempDir()
	if err := awaitOrphan(t.Context(), dir, time.Second); err != nil {
		t.Fatalf("a new folder: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, storeFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	engine, err := os.Create(filepath.Join(dir, storeFolder, "engine.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(engine.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := awaitOrphan(t.Context(), dir, 60*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an engine that stays is reported as %v", err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	if err := awaitOrphan(t.Context(), dir, time.Second); err != nil {
		t.Errorf("an engine that left: %v", err)
	}
}
