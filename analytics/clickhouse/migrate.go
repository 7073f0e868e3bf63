package clickhouse

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

//go:embed sql
var sqlFiles embed.FS

// Migration is one numbered, reversible step of the schema.
type Migration struct {
	Version  int
	Name     string
	up, down string // templates, see render
}

// Sum identifies the migration's text; an applied one must not change.
func (m Migration) Sum() string {
	sum := sha256.Sum256([]byte(m.up))
	return hex.EncodeToString(sum[:8])
}

// shared tells that the migration makes views of the shared pieces of SQL, which
// may change without its text: it is applied anew every time.
func (m Migration) shared() bool { return strings.Contains(m.up, "{{template") }

// Migrations lists every step in order.
func Migrations() ([]Migration, error) {
	entries, err := fs.ReadDir(sqlFiles, "sql/migrations")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	pattern := regexp.MustCompile(`^(\d{4})_([a-z_]+)\.up\.sql$`)
	var list []Migration
	for _, entry := range entries {
		match := pattern.FindStringSubmatch(entry.Name())
		if match == nil {
			continue
		}
		version, err := strconv.Atoi(match[1])
		if err != nil {
			return nil, fmt.Errorf("read migration %q: %w", entry.Name(), err)
		}
		m := Migration{Version: version, Name: match[2]}
		for suffix, text := range map[string]*string{".up.sql": &m.up, ".down.sql": &m.down} {
			content, err := fs.ReadFile(sqlFiles, path.Join("sql/migrations", match[1]+"_"+match[2]+suffix))
			if err != nil {
				return nil, fmt.Errorf("read migration %d: %w", version, err)
			}
			*text = string(content)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b Migration) int { return a.Version - b.Version })
	return list, nil
}

// scope is what the shared SQL pieces are limited to, see sql/fragments.sql.
type scope struct {
	Account, Target, Objective, Now string
}

func everything() scope { return scope{"1", "1", "1", "now64(3, 'UTC')"} }

// parse reads a SQL template together with the shared pieces. The functions make
// plain tables on one machine, and on a cluster replicated ones (name_local)
// with a distributed one over them.
func (c Config) parse(name, text string) (*template.Template, error) {
	name = "file " + name // never the name of a fragment
	on, local := "", ""
	if c.Cluster != "" {
		on, local = " ON CLUSTER "+c.Cluster, "_local"
	}
	t := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{
		"create": func(table string) string { return "CREATE TABLE IF NOT EXISTS " + table + local + on },
		"view":   func(view string) string { return "CREATE OR REPLACE VIEW " + view + on + " AS" },
		"engine": c.engine,
		"window": func() string {
			if c.Cluster != "" {
				return fmt.Sprintf("replicated_deduplication_window = %d", c.DeduplicationWindow)
			}
			return fmt.Sprintf("non_replicated_deduplication_window = %d", c.DeduplicationWindow)
		},
		"distribute": func(table, key string) string {
			if c.Cluster == "" {
				return ""
			}
			return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %[1]s%[2]s AS %[1]s_local\nENGINE = Distributed(%[3]s, currentDatabase(), %[1]s_local, %[4]s);",
				table, on, c.Cluster, key)
		},
		"drop": func(table string) string {
			drop := "DROP TABLE IF EXISTS " + table + on + " SYNC;"
			if c.Cluster != "" {
				drop += "\nDROP TABLE IF EXISTS " + table + local + on + " SYNC;"
			}
			return drop
		},
		// layers are the tables that a change of one's columns must reach.
		"layers": func(table string) []string {
			if c.Cluster == "" {
				return []string{table}
			}
			return []string{table + local + on, table + on}
		},
		"dropView":   func(view string) string { return "DROP VIEW IF EXISTS " + view + on + " SYNC;" },
		"grains":     func() []string { return []string{"hour", "day"} },
		"everything": everything,
	})
	fragments, err := fs.ReadFile(sqlFiles, "sql/fragments.sql")
	if err != nil {
		return nil, fmt.Errorf("read SQL fragments: %w", err)
	}
	if t, err = t.Parse(string(fragments)); err != nil {
		return nil, fmt.Errorf("parse SQL fragments: %w", err)
	}
	if t, err = t.New(name).Parse(text); err != nil {
		return nil, fmt.Errorf("parse SQL %q: %w", name, err)
	}
	return t, nil
}

// engine renders a MergeTree family engine with its arguments.
func (c Config) engine(family string, args ...string) string {
	if c.Cluster != "" {
		family = "Replicated" + family
		args = append([]string{"'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'"}, args...)
	}
	return family + "(" + strings.Join(args, ", ") + ")"
}

// render turns a template into its statements.
func (c Config) render(name, text string, data any) ([]string, error) {
	t, err := c.parse(name, text)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("render SQL %q: %w", name, err)
	}
	var statements []string
	for part := range strings.SplitSeq(withoutComments(b.String()), ";\n") {
		if part = strings.TrimSpace(part); part != "" {
			statements = append(statements, part)
		}
	}
	return statements, nil
}

// withoutComments drops comment lines and empty ones: a semicolon inside a
// comment must not end a statement.
func withoutComments(sql string) string {
	var b strings.Builder
	for line := range strings.Lines(sql + "\n") {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "--") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// query renders the named file of sql/queries, one statement.
func (c Config) query(name string, data any) (string, error) {
	text, err := fs.ReadFile(sqlFiles, "sql/queries/"+name+".sql")
	if err != nil {
		return "", fmt.Errorf("read query %q: %w", name, err)
	}
	statements, err := c.render(name, string(text), data)
	if err != nil {
		return "", err
	}
	if len(statements) != 1 {
		return "", fmt.Errorf("render query %q: %d statements", name, len(statements))
	}
	return statements[0], nil
}

// Version is the number of the newest applied migration, 0 when there is none.
func (db *DB) Version(ctx context.Context) (int, error) {
	applied, err := db.applied(ctx)
	if err != nil {
		return 0, err
	}
	newest := 0
	for version := range applied {
		newest = max(newest, version)
	}
	return newest, nil
}

// Migrate brings the schema up to version to, or to the newest when to is 0, and
// sets the tables' retention to the configured one. It is safe to repeat after a
// crash at any point; an applied migration whose text has changed is an error.
func (db *DB) Migrate(ctx context.Context, to int) error {
	list, err := Migrations()
	if err != nil {
		return err
	}
	if err := db.createBookkeeping(ctx); err != nil {
		return err
	}
	applied, err := db.applied(ctx)
	if err != nil {
		return err
	}
	for _, m := range list {
		if to > 0 && m.Version > to {
			break
		}
		if sum, ok := applied[m.Version]; ok {
			if sum != m.Sum() {
				return fmt.Errorf("migrate to %d (%s): it was applied with another text (%s, now %s)", m.Version, m.Name, sum, m.Sum())
			}
			if !m.shared() {
				continue
			}
		}
		if err := db.step(ctx, m, m.up, true); err != nil {
			return fmt.Errorf("migrate up to %d (%s): %w", m.Version, m.Name, err)
		}
	}
	return db.applyRetention(ctx)
}

// MigrateDown takes back every migration above version to. Their tables and rows
// are gone afterwards.
func (db *DB) MigrateDown(ctx context.Context, to int) error {
	list, err := Migrations()
	if err != nil {
		return err
	}
	if err := db.createBookkeeping(ctx); err != nil {
		return err
	}
	applied, err := db.applied(ctx)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(list) {
		if _, ok := applied[m.Version]; !ok || m.Version <= to {
			continue
		}
		if err := db.step(ctx, m, m.down, false); err != nil {
			return fmt.Errorf("migrate down from %d (%s): %w", m.Version, m.Name, err)
		}
	}
	return nil
}

func (db *DB) createBookkeeping(ctx context.Context) error {
	statements, err := db.cfg.render("schema_migrations", `{{create "schema_migrations"}} (
    version UInt32, name String, sum String, applied Bool, at DateTime64(6, 'UTC')
) ENGINE = {{engine "ReplacingMergeTree" "at"}} ORDER BY version SETTINGS {{window}};
{{distribute "schema_migrations" "version"}}`, db.cfg)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if err := db.exec(ctx, statement); err != nil {
			return fmt.Errorf("create the table of migrations: %w", err)
		}
	}
	return nil
}

// applied maps the versions in force to the sums of their texts.
func (db *DB) applied(ctx context.Context) (versions map[int]string, err error) {
	ctx, cancel := db.deadline(ctx, db.cfg.QueryTimeout, nil)
	defer cancel()
	versions = map[int]string{}
	var there uint64
	row := db.conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
		ch.Named("database", db.database))
	if err := row.Scan(&there); err != nil {
		return nil, fmt.Errorf("read the schema's version: %w", err)
	}
	if there == 0 {
		return versions, nil
	}
	rows, err := db.conn.Query(ctx, "SELECT version, sum FROM schema_migrations FINAL WHERE applied")
	if err != nil {
		return nil, fmt.Errorf("read the schema's version: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var version uint32
		var sum string
		if err := rows.Scan(&version, &sum); err != nil {
			return nil, fmt.Errorf("read the schema's version: %w", err)
		}
		versions[int(version)] = sum
	}
	return versions, rows.Err()
}

// step runs one direction of a migration and then writes it down. Every statement
// is idempotent, so a crash between the two is healed by running it again.
func (db *DB) step(ctx context.Context, m Migration, text string, applied bool) error {
	statements, err := db.cfg.render(m.Name, text, db.cfg)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if err := db.exec(ctx, statement); err != nil {
			return fmt.Errorf("run %q: %w", firstLine(statement), err)
		}
	}
	return db.exec(ctx, "INSERT INTO schema_migrations (version, name, sum, applied, at) SELECT {version:UInt32}, {name:String}, {sum:String}, {applied:Bool}, now64(6)",
		ch.Named("version", m.Version), ch.Named("name", m.Name), ch.Named("sum", m.Sum()), ch.Named("applied", strconv.FormatBool(applied)))
}

func firstLine(sql string) string {
	line, _, _ := strings.Cut(sql, "\n")
	return line
}

// applyRetention changes the TTL of tables created with another number of days.
func (db *DB) applyRetention(ctx context.Context) error {
	suffix, on := "", ""
	if db.cfg.Cluster != "" {
		suffix, on = "_local", " ON CLUSTER "+db.cfg.Cluster
	}
	for table, ttl := range map[string]struct {
		column string
		days   int
	}{
		"decisions": {"toDateTime(ingested_at)", db.cfg.EventDays}, "outcomes": {"toDateTime(ingested_at)", db.cfg.EventDays},
		"dead_letters": {"toDateTime(ingested_at)", db.cfg.EventDays}, "skill_states": {"toDateTime(ingested_at)", db.cfg.SkillDays},
		"rollup_hour_rows": {"hour", db.cfg.RollupDays}, "rollup_day_rows": {"day", db.cfg.RollupDays},
	} {
		want := fmt.Sprintf("TTL %s + toIntervalDay(%d)", ttl.column, ttl.days)
		stale, err := db.retentionDiffers(ctx, table+suffix, want)
		if err != nil {
			return fmt.Errorf("set retention of %q: %w", table, err)
		}
		if !stale {
			continue
		}
		// Rows that are there expire by the new rule too. Nothing but the time at
		// which each part expires is computed anew, in the background.
		for _, change := range []string{"MODIFY SETTING materialize_ttl_recalculate_only = 1", "MODIFY " + want} {
			if err := db.exec(ctx, "ALTER TABLE "+table+suffix+on+" "+change); err != nil {
				return fmt.Errorf("set retention of %q: %w", table, err)
			}
		}
	}
	return nil
}

func (db *DB) retentionDiffers(ctx context.Context, table, want string) (bool, error) {
	ctx, cancel := db.deadline(ctx, db.cfg.QueryTimeout, nil)
	defer cancel()
	rows, err := db.conn.Query(ctx, "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}",
		ch.Named("database", db.database), ch.Named("table", table))
	if err != nil {
		return false, err
	}
	defer rows.Close()
	differs := false
	for rows.Next() {
		var engine string
		if err := rows.Scan(&engine); err != nil {
			return false, err
		}
		differs = !strings.Contains(engine, want)
	}
	return differs, rows.Err()
}

// clock is the time source of everything that stamps rows.
type clock func() time.Time
