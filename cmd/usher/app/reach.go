package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/analytics/clickhouse/embedded"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/kafka"
)

// Brokers are the addresses of the log that a tool should talk to: the
// configured ones, else those of the process that has the data folder.
func Brokers(cfg *config.Config) ([]string, error) {
	if len(cfg.Kafka.Brokers) > 0 {
		return cfg.Kafka.Brokers, nil
	}
	r, err := FindRunning(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if r == nil || r.Address.Kafka == "" {
		return nil, notRunning(cfg.DataDir, "--kafka-brokers")
	}
	return []string{r.Address.Kafka}, nil
}

// OpenStore connects a tool to the warehouse: the configured one, else that of
// the process that has the data folder. The caller closes it.
func OpenStore(ctx context.Context, cfg *config.Config) (*clickhouse.DB, error) {
	c := storeConfig(cfg)
	if c.DSN == "" {
		r, err := FindRunning(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		if r == nil || r.Address.ClickHouse == "" {
			return nil, notRunning(cfg.DataDir, "--clickhouse-dsn")
		}
		password, err := os.ReadFile(filepath.Join(cfg.DataDir, storeFolder, embedded.UserWriter+".password"))
		if err != nil {
			return nil, fmt.Errorf("read the warehouse's password: %w", err)
		}
		c.Addr, c.User, c.Password = []string{r.Address.ClickHouse}, embedded.UserWriter, strings.TrimSpace(string(password))
	}
	return clickhouse.Open(ctx, c)
}

func notRunning(dir, flag string) error {
	return fault.New(fault.Precondition, "NOT_RUNNING",
		"no usher is running in the data folder %q; name it with --data-dir, or a server with %s", dir, flag)
}

// storeConfig is the warehouse as configured, without the address of an embedded
// engine.
func storeConfig(cfg *config.Config) clickhouse.Config {
	c := clickhouse.DefaultConfig()
	c.DSN, c.Cluster = cfg.ClickHouse.DSN, cfg.ClickHouse.Cluster
	c.EventDays, c.SkillDays, c.RollupDays = cfg.ClickHouse.EventDays, cfg.ClickHouse.SkillDays, cfg.ClickHouse.RollupDays
	return c
}

// checkReal refuses a role that has no engine of its own and is not told where
// one is.
func checkReal(cfg *config.Config, role Role) error {
	if role == Up {
		return nil
	}
	var check fault.Check
	if len(cfg.Kafka.Brokers) == 0 {
		check.Add("kafka.brokers", "usher %s needs a Kafka; give --kafka-brokers", role)
	}
	if cfg.ClickHouse.DSN == "" {
		check.Add("clickhouse.dsn", "usher %s needs a ClickHouse; give --clickhouse-dsn", role)
	}
	return check.Err("the configuration is not complete")
}

// logConfig is the Kafka client as configured, for the brokers.
func logConfig(cfg *config.Config, brokers []string) kafka.Config {
	c := kafka.DefaultConfig()
	c.Brokers, c.Group = brokers, cfg.Pipeline.Group
	c.TLS, c.Username, c.Password = cfg.Kafka.TLS, cfg.Kafka.Username, cfg.Kafka.Password
	return c
}
