package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
	"github.com/usherhq/usher/pipeline/kafka/embedded"
)

// childDir makes this test binary play a broker that can be killed.
const childDir = "USHER_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}

func child(dir string) int {
	b, err := embedded.Open(context.Background(), embedded.Config{Dir: dir, Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println(b.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	return 0
}

// startChild starts a broker in a process of its own and returns its address and
// a function that kills it at once.
func startChild(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("broker said %q, %v", line, err)
	}
	return strings.TrimSpace(line), func() {
		_ = cmd.Process.Kill()
		_ = stdin.Close()
		_ = cmd.Wait() // reports the kill
	}
}

func newClient(t *testing.T, addr string) *kafka.Client {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{addr}
	c, err := kafka.NewClient(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestAcknowledgedWritesSurviveKill writes, kills the broker with SIGKILL at a
// random moment, starts it again, and looks for every acknowledged write.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	for round := range 5 {
		addr, kill := startChild(t, dir)
		client := newClient(t, addr)
		if err := client.EnsureTopics(t.Context(), kafka.Topics(2)); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		err := client.Scan(t.Context(), event.TopicOutcomes, func(m event.Message) error {
			seen[string(m.Value)] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range acknowledged {
			if !seen[fmt.Sprint(i)] {
				t.Fatalf("round %d: write %d of %d was acknowledged and is gone", round, i, acknowledged)
			}
		}
		acknowledged += writeUntilKilled(t, client, kill, acknowledged, time.Duration(50+round*37)*time.Millisecond)
	}
	if acknowledged < 10 {
		t.Errorf("only %d writes were acknowledged: the test proves nothing", acknowledged)
	}
}

func writeUntilKilled(t *testing.T, client *kafka.Client, kill func(), from int, after time.Duration) int {
	t.Helper()
	w := client.NewWriter()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(after, func() { kill(); cancel() })
	defer timer.Stop()
	n := 0
	for ctx.Err() == nil {
		v := fmt.Sprint(from + n)
		if err := w.Publish(ctx, []event.Message{{Topic: event.TopicOutcomes, Key: []byte(v), Value: []byte(v)}}); err != nil {
			break
		}
		n++
	}
	<-ctx.Done()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	return n
}

func TestCleanCloseKeepsTopicsAndMessages(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		b, err := embedded.Open(t.Context(), embedded.Config{Dir: dir, Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		client := newClient(t, b.Addr())
		if err := client.EnsureTopics(t.Context(), kafka.Topics(3)); err != nil {
			t.Fatal(err)
		}
		w := client.NewWriter()
		if err := w.Publish(t.Context(), []event.Message{{Topic: event.TopicSkills, Value: []byte{byte(round)}}}); err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := client.Scan(t.Context(), event.TopicSkills, func(event.Message) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		if n != round+1 {
			t.Errorf("round %d: %d messages", round, n)
		}
		for _, closeIt := range []func() error{w.Close, client.Close, b.Close, b.Close} {
			if err := closeIt(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []embedded.Config{
		{Addr: "127.0.0.1:0"}, {Dir: "x", Addr: "127.0.0.1"}, {Dir: "x", Addr: ":9092"}, {Dir: "x", Addr: "0.0.0.0:9092"},
	} {
		if _, err := embedded.Open(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	if embedded.DefaultConfig().Validate() == nil {
		t.Error("a config without a folder is valid")
	}
}
