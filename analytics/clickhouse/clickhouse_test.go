package clickhouse

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/usherhq/usher/analytics/clickhouse/embedded"
	"github.com/usherhq/usher/analytics/clickhouse/embedded/embeddedtest"
)

var (
	engine    *embedded.Server
	databases atomic.Int64
)

func TestMain(m *testing.M) {
	// Every check is a small world in a real engine: an eighth of the usual number
	// by default, more with -rapid.checks.
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
	os.Exit(embeddedtest.Main(m, func(s *embedded.Server) { engine = s }))
}

// testConfig names a database of its own for every test.
func testConfig(tb testing.TB) Config {
	tb.Helper()
	cfg := DefaultConfig()
	cfg.Addr = []string{engine.NativeAddr()}
	cfg.User, cfg.Password = engine.Writer().Name, engine.Writer().Password
	cfg.Database = fmt.Sprintf("usher_test_%d", databases.Add(1))
	return cfg
}

// open opens and migrates a database that is dropped at the end of the test.
func open(tb testing.TB) *DB {
	tb.Helper()
	return openWith(tb, testConfig(tb))
}

func openWith(tb testing.TB, cfg Config) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Migrate(tb.Context(), 0); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// tables lists the names in the test's database.
func tables(t *testing.T, db *DB) string {
	t.Helper()
	var names []string
	err := db.conn.QueryRow(t.Context(), "SELECT arraySort(groupArray(name)) FROM system.tables WHERE database = currentDatabase()").Scan(&names)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestMigrationsGoUpAndDownOneByOne(t *testing.T) {
	db, err := Open(t.Context(), testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list, err := Migrations()
	if err != nil {
		t.Fatal(err)
	}
	states := []string{"schema_migrations"}
	for i, m := range list {
		if m.Version != i+1 {
			t.Fatalf("migration %d is numbered %d", i+1, m.Version)
		}
		if err := db.Migrate(t.Context(), m.Version); err != nil {
			t.Fatal(err)
		}
		states = append(states, tables(t, db))
	}
	for i := range slices.Backward(list) {
		if err := db.MigrateDown(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if got := tables(t, db); got != states[i] {
			t.Errorf("after going down to %d there is %s, want %s", i, got, states[i])
		}
		if version, err := db.Version(t.Context()); err != nil || version != i {
			t.Errorf("the version is %d (%v), want %d", version, err, i)
		}
	}
	if err := db.Migrate(t.Context(), 0); err != nil {
		t.Fatalf("up again: %v", err)
	}
	if err := db.Migrate(t.Context(), 0); err != nil {
		t.Fatalf("twice: %v", err)
	}
	if got := tables(t, db); got != states[len(list)] {
		t.Errorf("after going up again there is %s", got)
	}
}
