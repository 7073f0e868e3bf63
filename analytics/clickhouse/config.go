package clickhouse

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// Config says which ClickHouse to use and how the tables are laid out.
type Config struct {
	// DSN, when set, replaces Addr, User, Password and Database: for example
	// clickhouse://user:password@host:9000,other:9000/usher?secure=true.
	DSN string
	// Addr lists host:port of the native protocol, tried in order.
	Addr           []string
	User, Password string
	// Database holds every table; created when missing.
	Database string
	// Cluster names the cluster of a replicated installation; empty means one
	// machine. The same migrations serve both.
	Cluster string
	// EventDays, SkillDays and RollupDays are how long rows are kept, counted
	// from the time they were stored. Models and the config log stay for ever.
	EventDays, SkillDays, RollupDays int
	// DialTimeout bounds one connection attempt, QueryTimeout one query (enforced
	// by the server as well), InsertTimeout one insert.
	DialTimeout, QueryTimeout, InsertTimeout time.Duration
	// MaxConns bounds the connections of this process.
	MaxConns int
	// DeduplicationWindow is how many inserts each table remembers the tokens of.
	DeduplicationWindow int
}

// DefaultConfig speaks to a server on this machine as user usher.
func DefaultConfig() Config {
	return Config{
		Addr:                []string{"127.0.0.1:9000"},
		User:                "usher",
		Database:            "usher",
		EventDays:           400,
		SkillDays:           30,
		RollupDays:          1830,
		DialTimeout:         5 * time.Second,
		QueryTimeout:        60 * time.Second,
		InsertTimeout:       60 * time.Second,
		MaxConns:            16,
		DeduplicationWindow: 10000,
	}
}

// identifier is what may stand in SQL as the name of a database or cluster.
func identifier() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`) }

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DSN == "" && len(c.Addr) == 0 {
		fail("address: at least one is needed")
	}
	for _, addr := range c.Addr {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			fail("address %q: %w", addr, err)
		}
	}
	if c.DSN == "" && !identifier().MatchString(c.Database) {
		fail("database %q: must be a plain identifier", c.Database)
	}
	if c.Cluster != "" && !identifier().MatchString(c.Cluster) {
		fail("cluster %q: must be a plain identifier", c.Cluster)
	}
	for name, n := range map[string]int{
		"days to keep events": c.EventDays, "days to keep skill states": c.SkillDays, "days to keep roll-ups": c.RollupDays,
		"connections": c.MaxConns, "deduplication window": c.DeduplicationWindow,
	} {
		if n < 1 {
			fail("%s %d: must be at least 1", name, n)
		}
	}
	for name, d := range map[string]time.Duration{
		"dial timeout": c.DialTimeout, "query timeout": c.QueryTimeout, "insert timeout": c.InsertTimeout,
	} {
		if d < time.Second {
			fail("%s %v: must be at least a second", name, d)
		}
	}
	return errors.Join(errs...)
}

// options turns the configuration into the driver's, with every setting that our
// promises rest on made explicit: defaults change between server releases.
func (c Config) options() (*ch.Options, error) {
	opt := &ch.Options{Addr: c.Addr, Auth: ch.Auth{Database: c.Database, Username: c.User, Password: c.Password}}
	if c.DSN != "" {
		parsed, err := ch.ParseDSN(c.DSN)
		if err != nil {
			return nil, fmt.Errorf("read the ClickHouse DSN: %w", err)
		}
		opt = parsed
		if opt.Auth.Database == "" || opt.Auth.Database == "default" {
			opt.Auth.Database = c.Database
		}
		if !identifier().MatchString(opt.Auth.Database) {
			return nil, fmt.Errorf("read the ClickHouse DSN: database %q must be a plain identifier", opt.Auth.Database)
		}
	}
	opt.DialTimeout = c.DialTimeout
	opt.ReadTimeout = max(c.QueryTimeout, c.InsertTimeout) + 10*time.Second
	opt.MaxOpenConns, opt.MaxIdleConns = c.MaxConns, c.MaxConns
	opt.ConnMaxLifetime = time.Hour
	opt.BlockBufferSize = 4
	opt.MaxCompressionBuffer = 1 << 20
	if opt.Compression == nil && !loopback(opt.Addr) {
		opt.Compression = &ch.Compression{Method: ch.CompressionLZ4}
	}
	opt.ClientInfo.Products = append(opt.ClientInfo.Products, struct{ Name, Version string }{Name: "usher"})
	opt.Settings = ch.Settings{}
	for name, value := range c.settings() {
		opt.Settings[name] = value
	}
	return opt, nil
}

// settings are sent with every query and asserted by Open. They are given as text
// because the driver passes custom types unchanged and the server compares text.
func (c Config) settings() map[string]string {
	s := map[string]string{
		// One insert is one block, stored before it is answered, deduplicated by
		// its token here and in everything that depends on it.
		"async_insert":           "0",
		"wait_for_async_insert":  "1",
		"insert_deduplicate":     "1",
		"insert_quorum_parallel": "1",
		"deduplicate_blocks_in_dependent_materialized_views": "1",
		"max_partitions_per_insert_block":                    "0", // old event times are no poison
		"max_insert_block_size":                              "1048449",
		// One row per event in every answer, merged or not yet.
		"do_not_merge_across_partitions_select_final": "1",
		"join_use_nulls":         "0",
		"session_timezone":       "UTC",
		"date_time_input_format": "best_effort",
	}
	if c.Cluster != "" {
		s["distributed_foreground_insert"] = "1"
		s["distributed_product_mode"] = "global"
		s["insert_quorum"] = "auto"
	}
	return s
}

// loopback tells whether every address is on this machine, where compression
// costs more than it saves.
func loopback(addrs []string) bool {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return false
		}
		if ip := net.ParseIP(host); !strings.EqualFold(host, "localhost") && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}
