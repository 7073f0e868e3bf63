package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// DB is a pool of connections to one ClickHouse database. All methods are safe
// for concurrent use.
type DB struct {
	cfg      Config
	conn     driver.Conn
	database string
	sealed   atomic.Pointer[seal] // what ids of people are hashed with, once it is known
}

// Open connects, creates the database when it is missing, and checks that the
// server takes every setting that our promises rest on. It creates no tables, see
// [DB.Migrate]. The caller closes the DB.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure ClickHouse: %w", err)
	}
	opt, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if err := createDatabase(ctx, cfg, *opt); err != nil {
		return nil, err
	}
	conn, err := ch.Open(opt)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", err)
	}
	db := &DB{cfg: cfg, conn: conn, database: opt.Auth.Database}
	if err := db.checkSettings(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return db, nil
}

// createDatabase uses a connection without a database, the only kind that can be
// had before it exists. A login that may only read finds it there or not at all.
func createDatabase(ctx context.Context, cfg Config, opt ch.Options) (err error) {
	name := opt.Auth.Database
	opt.Auth.Database = ""
	conn, err := ch.Open(&opt)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, cfg.QueryTimeout)
	defer cancel()
	var there uint64
	row := conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = {name:String}",
		ch.Named("name", name))
	if err := row.Scan(&there); err != nil {
		return fmt.Errorf("reach ClickHouse at %v: %w", opt.Addr, err)
	}
	if there > 0 {
		return nil
	}
	onCluster := ""
	if cfg.Cluster != "" {
		onCluster = " ON CLUSTER " + cfg.Cluster
	}
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+name+onCluster+" ENGINE = Atomic"); err != nil {
		return fmt.Errorf("create database %q: %w", name, err)
	}
	return nil
}

// checkSettings compares what the server runs our queries with against what we
// asked for: a profile's constraint or a renamed setting must not pass unnoticed.
func (db *DB) checkSettings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.cfg.QueryTimeout)
	defer cancel()
	want := db.cfg.settings()
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	rows, err := db.conn.Query(ctx, "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)}",
		ch.Named("names", names))
	if err != nil {
		return fmt.Errorf("check ClickHouse settings: %w", err)
	}
	defer rows.Close()
	var errs []error
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return fmt.Errorf("check ClickHouse settings: %w", err)
		}
		if want[name] != value {
			errs = append(errs, fmt.Errorf("setting %s is %q, must be %q", name, value, want[name]))
		}
		delete(want, name)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check ClickHouse settings: %w", err)
	}
	for name := range want {
		errs = append(errs, fmt.Errorf("setting %s is not known to the server", name))
	}
	if len(errs) > 0 {
		return fmt.Errorf("check ClickHouse settings: %w", errors.Join(errs...))
	}
	return nil
}

// Ping returns nil when the server answers a query.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.cfg.DialTimeout)
	defer cancel()
	var one uint8
	if err := db.conn.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("ping ClickHouse: %w", err)
	}
	return nil
}

// Close closes the connections; queries that run then fail.
func (db *DB) Close() error { return db.conn.Close() }

// Database is the name of the database in use.
func (db *DB) Database() string { return db.database }

// deadline bounds a query on both sides: the context stops the wait, and the
// driver turns its deadline into max_execution_time (five seconds later), so that
// the server stops the work even when the context's end does not reach it.
func (db *DB) deadline(ctx context.Context, limit time.Duration, extra ch.Settings) (context.Context, context.CancelFunc) {
	settings := ch.Settings{}
	for name, value := range db.cfg.settings() {
		settings[name] = value
	}
	maps.Copy(settings, extra)
	ctx = ch.Context(ctx, ch.WithSettings(settings))
	return context.WithTimeout(ctx, limit)
}

func (db *DB) exec(ctx context.Context, query string, args ...any) error {
	ctx, cancel := db.deadline(ctx, db.cfg.QueryTimeout, nil)
	defer cancel()
	return db.conn.Exec(ctx, query, args...)
}
