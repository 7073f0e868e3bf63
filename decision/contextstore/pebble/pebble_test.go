package pebble_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/enginetest"
	"github.com/usherhq/usher/decision/contextstore/pebble"
)

// folderVariable makes the test binary the child of TestKillLosesNothing.
const folderVariable = "USHER_TEST_CONTEXT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(folderVariable); dir != "" {
		writeForEver(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, dir string) *pebble.Engine {
	t.Helper()
	e, err := pebble.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEngine(t *testing.T) {
	e := open(t, t.TempDir())
	enginetest.Run(t, e)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestFolderHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	if second, err := pebble.Open(dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("two engines have the same folder", second.Close())
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func number(i int) contextstore.Key {
	return contextstore.Key{Namespace: "n", Session: strconv.Itoa(i)}
}

// writeForEver is the child: it writes document after document, each time with
// another one that counts them, and says what was acknowledged until it is killed.
func writeForEver(dir string) {
	e, err := pebble.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("error", err)
		return
	}
	for i, version := start(e); ; i, version = i+1, version+1 {
		record := contextstore.NewHeader(version+1, 1<<50)
		err := e.Commit(context.Background(), "a", []contextstore.Mutation{
			{Key: number(i), Op: contextstore.Put, Record: append(record, make([]byte, rand.IntN(5000))...)},
			{Key: contextstore.Key{Namespace: "m", Session: "count"}, Op: contextstore.Put, Expect: version, Record: record},
		})
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(i)
	}
}

// start is where a folder's writer goes on: after what it counted.
func start(e *pebble.Engine) (next int, version uint64) {
	records, err := e.Read(context.Background(), "a", []contextstore.Key{{Namespace: "m", Session: "count"}})
	if err != nil {
		fmt.Println("error", err)
	}
	version = contextstore.RecordVersion(records[0])
	return int(version), version //nolint:gosec // a count
}

func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	for round := range 8 {
		next := killedChild(t, dir)
		acknowledged = max(acknowledged, next)
		e := open(t, dir)
		counted, _ := start(e)
		if counted < acknowledged {
			t.Fatalf("round %d: %d of %d acknowledged documents are left", round, counted, acknowledged)
		}
		keys := make([]contextstore.Key, counted+1)
		for i := range keys {
			keys[i] = number(i)
		}
		records, err := e.Read(t.Context(), "a", keys)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range records[:counted] {
			if r == "" {
				t.Fatalf("round %d: document %d is lost", round, i)
			}
		}
		if records[counted] != "" {
			t.Fatalf("round %d: document %d is there without being counted: half of a commit", round, counted)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acknowledged < 50 {
		t.Errorf("only %d documents were acknowledged: the test shows nothing", acknowledged)
	}
}

// killedChild lets a child write, kills it at a random point, and returns one past
// the last document it was told to be on disk.
func killedChild(t *testing.T, dir string) (next int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), folderVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Duration(50+rand.IntN(100))*time.Millisecond, func() { _ = child.Process.Kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		next = n + 1
	}
	_ = child.Wait()
	return next
}

func BenchmarkLoad(b *testing.B) {
	e := open(b, b.TempDir())
	enginetest.BenchmarkLoad(b, e)
	if err := e.Close(); err != nil {
		b.Error(err)
	}
}
