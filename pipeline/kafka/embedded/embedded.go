// Package embedded runs a Kafka broker inside this process, for an installation
// on one machine and for tests.
//
// It is the protocol-complete broker of franz-go (kfake) with its log on disk and
// every batch synced before it is acknowledged: what a writer was told is written
// survives kill -9 of the process and loss of power. It has one node, no
// replication and no authentication, so it listens on loopback unless told
// otherwise.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Config says where the broker lives.
type Config struct {
	// Dir keeps the log; it is created when missing. One broker at a time may
	// use it.
	Dir string
	// Addr is the address to listen on, host:port; port 0 takes a free one. It is
	// also what clients are told to connect to, so the host must be one they reach.
	Addr string
}

// DefaultConfig listens on Kafka's usual port on loopback; Dir must be set.
func DefaultConfig() Config { return Config{Addr: "127.0.0.1:9092"} }

// Validate names the first setting that cannot work.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("embedded broker: the data folder is not set")
	}
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("embedded broker: address %q: %w", c.Addr, err)
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		return fmt.Errorf("embedded broker: address %q: name the host that clients connect to, such as 127.0.0.1", c.Addr)
	}
	return nil
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	close   sync.Once
}

// maxMessageBytes is far above any event: the writers and the codec set the
// limits that users meet, with better words than a broker has.
const maxMessageBytes = "33554432"

// Open starts the broker and returns once it accepts connections. What an
// earlier broker on the same folder acknowledged is there again, topics and
// group offsets included.
func Open(ctx context.Context, cfg Config, lg *slog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("create the broker's folder: %w", err)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("open the broker's address %q: %w", cfg.Addr, err)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.ClusterID("usher"),
		kfake.DataDir(cfg.Dir),
		kfake.SyncWrites(),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": maxMessageBytes}),
		kfake.WithLogger(logger{lg}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the broker's folder %q: %w", cfg.Dir, err), listener.Close())
	}
	return &Broker{cluster: cluster, addr: listener.Addr().String()}, nil
}

// Addr is the address clients connect to, with the port that was taken.
func (b *Broker) Addr() string { return b.addr }

// Close stops the broker and flushes its state. Writes in flight are either
// acknowledged and kept or not acknowledged. Calling it again does nothing.
func (b *Broker) Close() error {
	b.close.Do(b.cluster.Close)
	return nil
}

// logger passes on what an operator can act on; kfake's info level tells of
// every request.
type logger struct{ lg *slog.Logger }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.lg.Error("embedded broker", "detail", fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.lg.Warn("embedded broker", "detail", fmt.Sprintf(format, args...))
	case kfake.LogLevelNone, kfake.LogLevelInfo, kfake.LogLevelDebug:
	}
}
