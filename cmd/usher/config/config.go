// Package config is the one configuration of all roles: defaults, then a YAML
// file, then USHER_* environment variables, then flags; the later wins. Every
// key has one name in each of the four, and every fault names its key and where
// the value came from.
package config

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// Config is what a person can set. A field's koanf tag is its key, flag the
// flag's name, doc its description; secret masks it in dumps. Durations are
// written as 1m30s. It is a plain value; the packages' own Configs are made from
// it by the wiring.
type Config struct {
	DataDir    string     `koanf:"data_dir" flag:"data-dir" doc:"folder that holds all local state: embedded engines, spool, models"`
	HTTP       HTTP       `koanf:"http"`
	GRPC       GRPC       `koanf:"grpc"`
	Admin      Admin      `koanf:"admin"`
	Kafka      Kafka      `koanf:"kafka"`
	ClickHouse ClickHouse `koanf:"clickhouse"`
	Context    Context    `koanf:"context"`
	Pipeline   Pipeline   `koanf:"pipeline"`
	Training   Training   `koanf:"training"`
	Decision   Decision   `koanf:"decision"`
	Log        Log        `koanf:"log"`
	StopAfter  Duration   `koanf:"stop_after" flag:"stop-after" doc:"longest a clean stop may take before it is forced"`
}

// Duration is a time.Duration; the alias keeps the section structs narrow.
type Duration = time.Duration

// HTTP is the REST door.
type HTTP struct {
	Addr string `koanf:"addr" flag:"http-addr" doc:"address of the REST API, host:port; port 0 picks a free one"`
}

// GRPC is the gRPC door.
type GRPC struct {
	Addr string `koanf:"addr" flag:"grpc-addr" doc:"address of the gRPC API, host:port"`
}

// Admin is the operators' door.
type Admin struct {
	Addr  string `koanf:"addr" flag:"admin-addr" doc:"address of /metrics, /livez and /readyz, host:port"`
	Pprof bool   `koanf:"pprof" flag:"pprof" doc:"serve Go profiles under /debug/pprof on the admin address"`
}

// Kafka is the log.
type Kafka struct {
	Addr       string   `koanf:"addr" flag:"kafka-addr" doc:"address of the embedded broker, host:port"`
	Brokers    []string `koanf:"brokers" flag:"kafka-brokers" doc:"brokers of a real Kafka, host:port,...; empty uses the embedded one"`
	TLS        bool     `koanf:"tls" doc:"connect to the brokers with TLS, verified by the system's roots"`
	Username   string   `koanf:"username" doc:"SASL PLAIN user of the brokers; empty logs in as nobody"`
	Password   string   `koanf:"password" secret:"true" doc:"SASL PLAIN password of the brokers"`
	Partitions int      `koanf:"partitions" doc:"partitions of the event topics when they are created"`
}

// ClickHouse is the warehouse.
type ClickHouse struct {
	Addr        string   `koanf:"addr" flag:"clickhouse-addr" doc:"address of the embedded engine's native protocol, host:port"`
	HTTPAddr    string   `koanf:"http_addr" flag:"clickhouse-http-addr" doc:"address of the embedded engine's HTTP interface, host:port"`
	DSN         string   `koanf:"dsn" flag:"clickhouse-dsn" secret:"true" doc:"a running server, clickhouse://user:password@host:9000/usher; empty uses the embedded engine"`
	Lib         string   `koanf:"lib" flag:"clickhouse-lib" doc:"path of libchdb for the embedded engine; empty looks in deploy/engine and the cache folder"`
	Cluster     string   `koanf:"cluster" doc:"cluster of a replicated installation; empty means one machine"`
	EventDays   int      `koanf:"event_days" doc:"days to keep decisions, outcomes and dead letters, from the time they were stored"`
	SkillDays   int      `koanf:"skill_days" doc:"days to keep reports of live skill state"`
	RollupDays  int      `koanf:"rollup_days" doc:"days to keep roll-ups"`
	MaxBackoff  Duration `koanf:"max_backoff" doc:"longest pause before an embedded engine that died is started again"`
	MemoryRatio float64  `koanf:"memory_ratio" doc:"share of the machine's memory that the embedded engine may use, 0 to 1"`
}

// Context is where context documents lie.
type Context struct {
	RedisAddrs    []string `koanf:"redis_addrs" flag:"redis-addrs" doc:"Redis or Valkey that keeps context documents, host:port,... or the path of a socket; several are a cluster; empty keeps them in the data folder"`
	RedisCluster  bool     `koanf:"redis_cluster" doc:"the one address of redis_addrs belongs to a cluster"`
	RedisTLS      bool     `koanf:"redis_tls" doc:"connect to Redis with TLS, verified by the system's roots"`
	RedisUsername string   `koanf:"redis_username" doc:"user of Redis; empty is its default user"`
	RedisPassword string   `koanf:"redis_password" secret:"true" doc:"password of Redis"`
	MaxCharacters int      `koanf:"max_characters" doc:"characters of a context document at the most, as JSON"`
	SweepEvery    Duration `koanf:"sweep_every" doc:"how often expired context documents, which nobody can read any more, are removed from disk"`
}

// Pipeline is how events become rows.
type Pipeline struct {
	BatchRows int      `koanf:"batch_rows" doc:"rows of one insert at the most"`
	BatchAge  Duration `koanf:"batch_age" doc:"longest a row waits for its insert"`
	MaxSkew   Duration `koanf:"max_skew" doc:"how far in the future an outcome may be: over REST it is refused, from Kafka it becomes a dead letter"`
	Group     string   `koanf:"group" doc:"consumer group of the ingest role"`
}

// Training is when and on what models are refitted.
type Training struct {
	Check       Duration `koanf:"check" doc:"how often new rows are looked for"`
	MinRows     int      `koanf:"min_rows" doc:"rows with a known reward before the first model, and the least growth that starts a refit"`
	GrowthShare float64  `koanf:"growth_share" doc:"growth since the last fit, as a share, that starts a refit"`
	MaxAge      Duration `koanf:"max_age" doc:"age of a fit after which less growth starts a refit too"`
	Window      Duration `koanf:"window" doc:"how far back decisions are learned from"`
	MaxRows     int      `koanf:"max_rows" doc:"decisions of one fit at the most, the newest; about 2 kB of memory each"`
	Parallel    int      `koanf:"parallel" doc:"accounts that are fitted at once"`

	Challenger       Duration `koanf:"challenger" doc:"least time between two challenges to an account's models by golearn's trees, in a process of their own; 0 for none"`
	ChallengerRows   int      `koanf:"challenger_rows" doc:"newest rows of one challenge at the most"`
	ChallengerTime   Duration `koanf:"challenger_time" doc:"longest golearn may work on one challenge or distillation"`
	ChallengerMemory int      `koanf:"challenger_memory" doc:"MiB that golearn may take for one challenge or distillation"`

	ErasureDays int `koanf:"erasure_days" doc:"days until models that learned from an erased person's rows must be trained anew"`
}

// Decision is what one answer may cost and rely on.
type Decision struct {
	Budget        Duration `koanf:"budget" doc:"longest a decision looks for attributes that its request does not bring"`
	SkillMaxAge   Duration `koanf:"skill_max_age" doc:"age from which reports of live skill state no longer count"`
	FunctionHosts []string `koanf:"function_hosts" doc:"hosts inside the network that HTTP functions may ask: host, host:port or account/host:port,..."`
}

// Log is what is said on standard error.
type Log struct {
	Level  string `koanf:"level" flag:"log-level" doc:"debug, info, warn or error"`
	Format string `koanf:"format" flag:"log-format" doc:"text or json"`
}

// Default is the configuration of one machine.
func Default() Config {
	return Config{
		DataDir:    "data",
		HTTP:       HTTP{Addr: "127.0.0.1:8080"},
		GRPC:       GRPC{Addr: "127.0.0.1:9090"},
		Admin:      Admin{Addr: "127.0.0.1:9091"},
		Kafka:      Kafka{Addr: "127.0.0.1:9092", Partitions: 4},
		ClickHouse: ClickHouse{Addr: "127.0.0.1:9000", HTTPAddr: "127.0.0.1:8123", EventDays: 400, SkillDays: 30, RollupDays: 1830, MaxBackoff: 5 * time.Second, MemoryRatio: 0.4},
		Context:    Context{MaxCharacters: 800_000, SweepEvery: time.Minute},
		Pipeline:   Pipeline{BatchRows: 20_000, BatchAge: 200 * time.Millisecond, MaxSkew: 10 * time.Minute, Group: "usher-ingest"},
		Training: Training{
			Check: time.Second, MinRows: 100, GrowthShare: 0.1, MaxAge: 30 * time.Second,
			Window: 90 * 24 * time.Hour, MaxRows: 200_000, Parallel: 1,
			Challenger: time.Hour, ChallengerRows: 20_000, ChallengerTime: 30 * time.Second, ChallengerMemory: 512,
			ErasureDays: 30,
		},
		Decision:  Decision{Budget: 50 * time.Millisecond, SkillMaxAge: 10 * time.Minute},
		Log:       Log{Level: "info", Format: "text"},
		StopAfter: 30 * time.Second,
	}
}

// Validate reports every value that breaks a rule, by key.
func (c *Config) Validate() error {
	var check fault.Check
	if c.DataDir == "" {
		check.Add("data_dir", "must name a folder")
	}
	for _, a := range []struct{ key, addr string }{
		{"http.addr", c.HTTP.Addr},
		{"grpc.addr", c.GRPC.Addr},
		{"admin.addr", c.Admin.Addr},
		{"kafka.addr", c.Kafka.Addr},
		{"clickhouse.addr", c.ClickHouse.Addr},
		{"clickhouse.http_addr", c.ClickHouse.HTTPAddr},
	} {
		checkAddr(&check, a.key, a.addr)
	}
	for _, b := range c.Kafka.Brokers {
		checkAddr(&check, "kafka.brokers", b)
	}
	for _, addr := range c.Context.RedisAddrs {
		if !strings.HasPrefix(addr, "/") {
			checkAddr(&check, "context.redis_addrs", addr)
		}
	}
	for _, d := range []struct {
		key   string
		value Duration
	}{
		{"clickhouse.max_backoff", c.ClickHouse.MaxBackoff},
		{"context.sweep_every", c.Context.SweepEvery},
		{"pipeline.batch_age", c.Pipeline.BatchAge},
		{"pipeline.max_skew", c.Pipeline.MaxSkew},
		{"decision.budget", c.Decision.Budget},
		{"decision.skill_max_age", c.Decision.SkillMaxAge},
		{"training.check", c.Training.Check},
		{"training.max_age", c.Training.MaxAge},
		{"training.window", c.Training.Window},
		{"training.challenger_time", c.Training.ChallengerTime},
		{"stop_after", c.StopAfter},
	} {
		if d.value <= 0 {
			check.Add(d.key, "%v must be above 0", d.value)
		}
	}
	c.validateNumbers(&check)
	c.validateWords(&check)
	return check.Err("the configuration is not valid")
}

func (c *Config) validateNumbers(check *fault.Check) {
	for _, n := range []struct {
		key          string
		value, least int
	}{
		{"kafka.partitions", c.Kafka.Partitions, 1},
		{"clickhouse.event_days", c.ClickHouse.EventDays, 1},
		{"clickhouse.skill_days", c.ClickHouse.SkillDays, 1},
		{"clickhouse.rollup_days", c.ClickHouse.RollupDays, 1},
		{"context.max_characters", c.Context.MaxCharacters, 2},
		{"pipeline.batch_rows", c.Pipeline.BatchRows, 1},
		{"training.min_rows", c.Training.MinRows, 1},
		{"training.max_rows", c.Training.MaxRows, c.Training.MinRows},
		{"training.parallel", c.Training.Parallel, 1},
		{"training.challenger_rows", c.Training.ChallengerRows, 1000},
		{"training.challenger_memory", c.Training.ChallengerMemory, 64},
		{"training.erasure_days", c.Training.ErasureDays, 1},
	} {
		if n.value < n.least {
			check.Add(n.key, "%d must be at least %d", n.value, n.least)
		}
	}
	if r := c.ClickHouse.MemoryRatio; r <= 0 || r > 1 {
		check.Add("clickhouse.memory_ratio", "%v must be above 0 and at most 1", r)
	}
	if every := c.Training.Challenger; every < 0 {
		check.Add("training.challenger", "%v must be 0 or more", every)
	}
	if r := c.Training.GrowthShare; r <= 0 || r > 1 {
		check.Add("training.growth_share", "%v must be above 0 and at most 1", r)
	}
}

func (c *Config) validateWords(check *fault.Check) {
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		check.Add("log.level", "%q must be debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		check.Add("log.format", "%q must be text or json", c.Log.Format)
	}
	if dsn := c.ClickHouse.DSN; dsn != "" && !strings.Contains(dsn, "://") {
		// The value may hold a password: it is not repeated.
		check.Add("clickhouse.dsn", "must look like clickhouse://user:password@host:9000/usher")
	}
	if c.Pipeline.Group == "" {
		check.Add("pipeline.group", "must not be empty")
	}
}

func checkAddr(check *fault.Check, key, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		check.Add(key, "%q is no host:port", addr)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		check.Add(key, "%q has no valid port", addr)
	}
}
