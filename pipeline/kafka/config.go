// Package kafka connects Usher to a Kafka cluster: a writer that waits for all
// replicas, the consumer-group and the sole-reader source of the pipeline, the
// config log, topic set-up and a tail for people.
//
// It is the only home of kafka-go, and the place where that library's sharp
// edges are filed down; each is marked "Trap:" where it is avoided.
package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
)

// Config says how to reach the cluster and how patient to be.
type Config struct {
	Brokers  []string // host:port, at least one that is alive
	ClientID string
	TLS      bool   // connect with TLS, verified by the system's roots
	Username string // SASL PLAIN, with Password; needs TLS unless on loopback
	Password string

	DialTimeout    time.Duration // to connect, TLS included
	RequestTimeout time.Duration // one answer of a broker
	BatchTimeout   time.Duration // how long a writer gathers before it sends
	MaxBatchBytes  int64         // bytes of one batch, before compression
	MaxFetchBytes  int           // bytes of one answer to a reader
	QueueMessages  int           // messages read ahead per partition

	Group             string        // consumer group of the pipeline
	Heartbeat         time.Duration // between signs of life to the group
	SessionTimeout    time.Duration // silence after which a member is dead
	RebalanceTimeout  time.Duration // time members get to finish and rejoin
	PartitionInterval time.Duration // how often new partitions are looked for
	StallAfter        time.Duration // lag without a message after which a reader is rebuilt
	LagInterval       time.Duration // how often lag is measured
}

// DefaultConfig holds a setting for everything but the brokers. kafka-go's own
// defaults are never used. Trap: some of them wait 1 s per write and 10 s per
// read.
func DefaultConfig() Config {
	return Config{
		ClientID:       "usher",
		DialTimeout:    5 * time.Second,
		RequestTimeout: 10 * time.Second,
		BatchTimeout:   5 * time.Millisecond,
		MaxBatchBytes:  16 << 20,
		MaxFetchBytes:  20 << 20, // Trap: a message over it stops its reader for good; topics take 16 MiB
		QueueMessages:  1024,

		Group:             "usher-ingest",
		Heartbeat:         time.Second,
		SessionTimeout:    10 * time.Second,
		RebalanceTimeout:  30 * time.Second,
		PartitionInterval: 10 * time.Second,
		StallAfter:        15 * time.Second,
		LagInterval:       5 * time.Second,
	}
}

// Validate lists every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("kafka brokers: name at least one, as host:port"))
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("kafka broker %q: want host:port", b))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"dial timeout", c.DialTimeout},
		{"request timeout", c.RequestTimeout},
		{"batch timeout", c.BatchTimeout},
		{"heartbeat", c.Heartbeat},
		{"session timeout", c.SessionTimeout},
		{"rebalance timeout", c.RebalanceTimeout},
		{"partition interval", c.PartitionInterval},
		{"stall after", c.StallAfter},
		{"lag interval", c.LagInterval},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("kafka %s: must be positive", d.name))
		}
	}
	if c.MaxBatchBytes <= 0 || c.MaxFetchBytes <= 0 || c.QueueMessages <= 0 {
		errs = append(errs, errors.New("kafka batch bytes, fetch bytes and queue messages must be positive"))
	}
	if c.Group == "" {
		errs = append(errs, errors.New("kafka group: must not be empty"))
	}
	if 3*c.Heartbeat > c.SessionTimeout {
		errs = append(errs, fmt.Errorf("kafka heartbeat %s: at most a third of the session timeout %s", c.Heartbeat, c.SessionTimeout))
	}
	return errors.Join(errs...)
}

// Client shares connections and settings among the readers and writers made
// from it. Safe for concurrent use; close it last.
type Client struct {
	cfg       Config
	lg        *slog.Logger
	addr      net.Addr
	transport *kafka.Transport
	dialer    *kafka.Dialer
	admin     *kafka.Client
	metrics   *Metrics
}

// NewClient makes a client. It connects when it is first used. metrics may be
// nil.
func NewClient(cfg Config, lg *slog.Logger, metrics *Metrics) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if metrics == nil {
		metrics = NewMetrics(nil)
	}
	var secure *tls.Config
	if cfg.TLS {
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	var login sasl.Mechanism
	if cfg.Username != "" {
		login = plain.Mechanism{Username: cfg.Username, Password: cfg.Password}
	}
	c := &Client{
		cfg: cfg, lg: lg, addr: kafka.TCP(cfg.Brokers...), metrics: metrics,
		transport: &kafka.Transport{
			Dial:        (&net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 15 * time.Second}).DialContext,
			DialTimeout: cfg.DialTimeout, IdleTimeout: time.Minute,
			// Short: it bounds how long writes go to a broker that is no leader any more.
			MetadataTTL: 2 * time.Second,
			ClientID:    cfg.ClientID, TLS: secure, SASL: login,
		},
		dialer: &kafka.Dialer{
			ClientID: cfg.ClientID, Timeout: cfg.DialTimeout, KeepAlive: 15 * time.Second,
			DualStack: true, TLS: secure, SASLMechanism: login,
		},
	}
	c.admin = &kafka.Client{Addr: c.addr, Timeout: cfg.RequestTimeout, Transport: c.transport}
	return c, nil
}

// Close releases the connections. Readers and writers made from the client must
// be closed before.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// errorLog passes the library's troubles on at debug level: it retries them
// itself and says them many times over.
func (c *Client) errorLog() kafka.Logger {
	return kafka.LoggerFunc(func(format string, args ...any) {
		c.lg.Debug("kafka client", "detail", fmt.Sprintf(format, args...))
	})
}
