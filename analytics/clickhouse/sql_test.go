package clickhouse

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/usherhq/usher/analytics"
)

var update = flag.Bool("update", false, "rewrite the SQL snapshots")

// queryData is what each file of sql/queries is rendered with here.
func queryData(name string) any {
	narrow := scope{Account: "account = {account:String}", Target: "decision_id = {id:String}", Objective: "objective = {objective:String}", Now: "now64(3, 'UTC')"}
	switch name {
	case "training_rows", "training_progress", "outcomes_of_decision", "roll_hours", "replay_rows", "objective",
		"learning_delays", "learning_open":
		return narrow
	case "list_decisions":
		return analytics.DecisionQuery{ConversationID: "c", ConsumerID: "u", Policy: "p", Chosen: "k", DecidedBy: "model", BeforeID: "d"}
	case "policy_groups", "policy_outcomes", "unknown_conditions", "outcome_kinds", "policy_pairs":
		return reportScope{
			scope: narrow, Since: sinceFrom, After: afterFrom, DecidedTwice: true, SentTwice: true, Grain: analytics.Day, WindowMillis: 60000,
			Bias: "toFloat64(0)", Lowest: "toFloat64(0)", Highest: "toFloat64(1)",
			Terms: []reportTerm{{"toFloat64(1)", "last", 1}, {"toFloat64(-0.5)", "sum", 2}, {"toFloat64(2)", "max", 1}, {"toFloat64(2)", "first", 1}},
		}
	case "ladder_match":
		return ladderScope{scope: narrow}
	case "ladder_rows":
		return ladderScope{scope: narrow, Kind: true, Conversations: true}
	case "value_sums":
		return valueScope{scope: narrow, Segment: "intent", Weight: "if(baseline = chosen, 1 / least(propensity, 1), 0)"}
	case "dirty_hours":
		return everything()
	case "rollups":
		return analytics.RollupQuery{Grain: analytics.Hour}
	}
	return nil
}

// rendered is all SQL of one layout: file name without path -> statements.
func rendered(t *testing.T, cfg Config) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	list, err := Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		for direction, text := range map[string]string{"up": m.up, "down": m.down} {
			statements, err := cfg.render(m.Name, text, cfg)
			if err != nil {
				t.Fatal(err)
			}
			all[fmt.Sprintf("%04d_%s.%s", m.Version, m.Name, direction)] = statements
		}
	}
	entries, err := fs.ReadDir(sqlFiles, "sql/queries")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".sql")
		statement, err := cfg.query(name, queryData(name))
		if err != nil {
			t.Fatal(err)
		}
		all["query_"+name] = []string{statement}
	}
	return all
}

// The SQL of both layouts, as it is sent: a change of a template shows here.
func TestSQLSnapshots(t *testing.T) {
	cluster := DefaultConfig()
	cluster.Cluster = "usher"
	for layout, cfg := range map[string]Config{"one": DefaultConfig(), "cluster": cluster} {
		for name, statements := range rendered(t, cfg) {
			file := filepath.Join("testdata", "sql", layout, name+".sql")
			got := strings.Join(statements, ";\n\n") + ";\n"
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from its snapshot (rewrite with -update):\n%s", file, got)
			}
		}
	}
}

// The server parses every statement of both layouts.
func TestSQLParses(t *testing.T) {
	db, err := Open(t.Context(), testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	cluster := DefaultConfig()
	cluster.Cluster = "usher"
	for layout, cfg := range map[string]Config{"one": DefaultConfig(), "cluster": cluster} {
		for name, statements := range rendered(t, cfg) {
			for _, statement := range statements {
				var formatted string
				row := db.conn.QueryRow(t.Context(), "SELECT formatQuery({sql:String})", ch.Named("sql", statement))
				if err := row.Scan(&formatted); err != nil {
					t.Errorf("%s %s: %v", layout, name, err)
				}
			}
		}
	}
}

// Every query that reads events names the account in each scan of a table.
func TestQueriesAreLimitedToTheAccount(t *testing.T) {
	for _, name := range []string{
		"training_rows", "training_progress", "outcomes_of_decision", "roll_hours", "roll_days", "decision", "model_cards", "model_artifact", "rollups",
		"list_decisions", "replay_start", "replay_rows", "objective", "policy_groups", "policy_outcomes", "unknown_conditions", "outcome_kinds",
		"policy_pairs",
	} {
		statement, err := DefaultConfig().query(name, queryData(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"decisions", "outcomes", "config_log", "model_cards", "model_artifacts", "rollup_hour"} {
			scans := strings.Count(statement, "FROM "+table+" ") + strings.Count(statement, "FROM "+table+"\n")
			if scans > strings.Count(statement, "account = {account:String}") {
				t.Errorf("%s scans %s %d times, with fewer account predicates", name, table, scans)
			}
		}
	}
}

func TestRetentionFollowsTheConfiguration(t *testing.T) {
	cfg := testConfig(t)
	openWith(t, cfg)
	cfg.EventDays, cfg.SkillDays, cfg.RollupDays = 31, 7, 99
	db := openWith(t, cfg)
	for table, days := range map[string]int{"decisions": 31, "outcomes": 31, "dead_letters": 31, "skill_states": 7, "rollup_hour_rows": 99, "rollup_day_rows": 99} {
		full := scalar[string](t, db, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = '"+table+"'")
		if !strings.Contains(full, fmt.Sprintf("toIntervalDay(%d)", days)) || !strings.Contains(full, "non_replicated_deduplication_window = 10000") {
			t.Errorf("%s has engine %s", table, full)
		}
	}
}

func TestAnAppliedMigrationMustNotChange(t *testing.T) {
	db := open(t)
	if err := db.exec(t.Context(), "INSERT INTO schema_migrations (version, name, sum, applied, at) SELECT 1, 'events', 'other', true, now64(6)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "another text") {
		t.Errorf("Migrate returned %v", err)
	}
}

func TestSettingsAreAsserted(t *testing.T) {
	cfg := testConfig(t)
	cfg.User, cfg.Password, cfg.Database = engine.Reader().Name, engine.Reader().Password, "system"
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	settings := cfg.settings()
	if settings["async_insert"] != "0" || settings["insert_deduplicate"] != "1" {
		t.Errorf("the settings are %v", settings)
	}
	got := scalar[string](t, db, "SELECT value FROM system.settings WHERE name = 'async_insert'")
	if got != "0" {
		t.Errorf("the server runs our queries with async_insert = %s", got)
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	err := Config{Addr: []string{"x"}, Database: "a b", Cluster: "c;d"}.Validate()
	for _, want := range []string{"address", "database", "cluster", "days to keep events", "connections", "query timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
