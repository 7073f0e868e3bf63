package kafka_test

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

	"github.com/usherhq/usher/internal/kafkatest"
	"github.com/usherhq/usher/pipeline/kafka"
	"github.com/usherhq/usher/pipeline/kafka/embedded"
)

// This test binary also plays two other processes: an embedded broker that can
// be killed, and a consumer that can be frozen.
const (
	playBroker   = "USHER_TEST_PLAY_BROKER"   // value: folder,address
	playConsumer = "USHER_TEST_PLAY_CONSUMER" // value: broker,topic,sink
)

func TestMain(m *testing.M) {
	if v := os.Getenv(playBroker); v != "" {
		os.Exit(brokerProcess(v))
	}
	if v := os.Getenv(playConsumer); v != "" {
		os.Exit(consumerProcess(v))
	}
	goleak.VerifyTestMain(m)
}

// broker is what both kinds have in common.
type broker interface {
	Addr() string
	Kill()
	Restart()
}

// onBothBrokers runs a test against the embedded broker and against Apache Kafka.
func onBothBrokers(t *testing.T, test func(t *testing.T, b broker)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, startEmbedded(t)) })
	t.Run("apache", func(t *testing.T) { test(t, kafkatest.Start(t)) })
}

// embeddedBroker is an embedded broker in a process of its own.
type embeddedBroker struct {
	t         *testing.T
	dir, addr string
	process   *process
}

func startEmbedded(t *testing.T) *embeddedBroker {
	t.Helper()
	b := &embeddedBroker{t: t, dir: t.TempDir(), addr: "127.0.0.1:0"}
	b.Restart()
	t.Cleanup(b.Kill)
	return b
}

func (b *embeddedBroker) Addr() string { return b.addr }

func (b *embeddedBroker) Kill() {
	if b.process != nil {
		b.process.kill()
		b.process = nil
	}
}

func (b *embeddedBroker) Restart() {
	b.t.Helper()
	b.process, b.addr = play(b.t, playBroker+"="+b.dir+","+b.addr)
}

func brokerProcess(v string) int {
	dir, addr, _ := strings.Cut(v, ",")
	b, err := embedded.Open(context.Background(), embedded.Config{Dir: dir, Addr: addr}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(b.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	return 0
}

// process is this test binary in another role.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// play starts the role and returns its first line of output.
func play(t *testing.T, env string) (*process, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec,noctx // this binary; ends with kill
	cmd.Env = append(os.Environ(), env)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &process{cmd, stdin}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		p.kill()
		t.Fatalf("%s said %q, %v", env, line, err)
	}
	return p, strings.TrimSpace(line)
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // reports the kill
}

// newClient has short timeouts, so that failures are noticed within a test.
func newClient(t testing.TB, addr string, change ...func(*kafka.Config)) *kafka.Client {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{addr}
	cfg.SessionTimeout = 6 * time.Second // the least that brokers allow
	cfg.Heartbeat = 500 * time.Millisecond
	cfg.LagInterval = 200 * time.Millisecond
	cfg.StallAfter = 3 * time.Second
	for _, f := range change {
		f(&cfg)
	}
	c, err := kafka.NewClient(cfg, slog.New(slog.DiscardHandler), nil)
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newWriter(t testing.TB, c *kafka.Client) *kafka.Writer {
	t.Helper()
	w := c.NewWriter()
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
