package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also the body of the children that the tests start: the engine
// itself, and a parent that is killed to see what becomes of its engine.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "clickhouse":
			if err := RunChild(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "parent":
			if err := runParent(os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

// runParent runs one server and prints the engine's process id and HTTP address.
func runParent(dir string) error {
	cfg := testConfig(dir)
	cfg.StopTimeout = 5 * time.Second
	s, err := New(cfg, Deps{})
	if err != nil {
		return err
	}
	go func() {
		<-s.Ready()
		fmt.Println(s.PID(), s.HTTPAddr())
	}()
	return s.Run(context.Background())
}

func testConfig(dir string) Config {
	cfg := DefaultConfig()
	cfg.DataDir = dir
	cfg.NativeAddr, cfg.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.MemoryRatio = 0.2
	return cfg
}

// start runs a server until the test ends and waits until it is ready.
func start(t *testing.T, cfg Config) (s *Server, stop func() error) {
	t.Helper()
	s, err := New(cfg, Deps{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		cancel()
	})
	select {
	case <-s.Ready():
	case err := <-ended:
		stopped = true
		t.Fatalf("the engine did not start: %v", err)
	}
	return s, stop
}

// ask sends one query over HTTP and returns the answer or the engine's error.
func ask(s *Server, user User, query string) (string, error) {
	return askAt(s.HTTPAddr(), user, query)
}

func askAt(addr string, user User, query string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/", strings.NewReader(query))
	if err != nil {
		return "", err
	}
	if user.Name != "" {
		req.Header.Set("X-ClickHouse-User", user.Name)
		req.Header.Set("X-ClickHouse-Key", user.Password)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(text)
	}
	return text, nil
}

func mustAsk(t *testing.T, s *Server, user User, query string) string {
	t.Helper()
	text, err := ask(s, user, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

// eventually polls until ok or ten seconds have passed.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute) // far beyond every promise, for a busy machine
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// alive tells whether a process runs. One that has ended and that nobody has
// waited for yet (its parent was killed, and the machine's first process is slow
// to adopt) does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // it went in between, or this system has no /proc
	}
	_, state, found := strings.Cut(string(stat), ") ")
	return !found || !strings.HasPrefix(state, "Z")
}

func TestUsersCanDoTheirWorkAndNothingElse(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	writer, reader, person := s.Writer(), s.Reader(), User{}
	for _, q := range []string{
		"CREATE DATABASE usher ENGINE = Atomic",
		"CREATE TABLE usher.t (a Int64) ENGINE = MergeTree ORDER BY a",
		"CREATE VIEW usher.v AS SELECT sum(a) AS s FROM usher.t",
		"INSERT INTO usher.t SELECT number FROM numbers(10)",
		"ALTER TABLE usher.t ADD COLUMN b String",
		"CREATE DATABASE usher_test ENGINE = Atomic",
		"CREATE TABLE usher_test.t (a Int64) ENGINE = ReplacingMergeTree ORDER BY a",
		"DROP DATABASE usher_test SYNC",
	} {
		mustAsk(t, s, writer, q)
	}
	for _, user := range []User{writer, reader, person} {
		if got := mustAsk(t, s, user, "SELECT count() FROM usher.t"); got != "10" {
			t.Errorf("user %q counted %s rows", user.Name, got)
		}
		if got := mustAsk(t, s, user, "SELECT s FROM usher.v"); got != "45" {
			t.Errorf("user %q read %s from the view", user.Name, got)
		}
		mustAsk(t, s, user, "SELECT name FROM system.tables WHERE database = 'usher'")
	}

	outside := []string{
		"SELECT * FROM file('/etc/hostname', 'LineAsString')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"SELECT * FROM s3('http://127.0.0.1:1/a/b', 'LineAsString')",
		"SELECT * FROM remote('127.0.0.1:1', system.one)",
		"SELECT * FROM executable('true', 'LineAsString', 'line String')",
		"SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
		"INSERT INTO FUNCTION file('x.csv', 'CSV', 'a Int64') SELECT 1",
		"SELECT 1 INTO OUTFILE '/tmp/usher-outfile'",
		"CREATE TABLE usher.f (line String) ENGINE = File(LineAsString)",
		"CREATE TABLE usher.u (line String) ENGINE = URL('http://127.0.0.1:1/')",
		"CREATE USER intruder",
		"GRANT ALL ON *.* TO default",
		"SYSTEM SHUTDOWN",
		"SYSTEM RELOAD CONFIG",
		"BACKUP TABLE usher.t TO File('/tmp/x')",
	}
	for _, user := range []User{writer, reader, person} {
		for _, q := range outside {
			if got, err := ask(s, user, q); err == nil {
				t.Errorf("user %q was allowed: %s -> %s", user.Name, q, got)
			}
		}
	}
	writes := []string{
		"INSERT INTO usher.t (a) VALUES (1)", "DROP TABLE usher.t", "TRUNCATE TABLE usher.t",
		"CREATE TABLE usher.n (a Int64) ENGINE = Memory", "ALTER TABLE usher.t DELETE WHERE 1",
		"CREATE TEMPORARY TABLE x (a Int64)", "SELECT * FROM system.users",
		"SELECT 1 SETTINGS max_execution_time = 0", "SELECT 1 SETTINGS max_memory_usage = 0",
	}
	for _, user := range []User{reader, person} {
		for _, q := range writes {
			if got, err := ask(s, user, q); err == nil {
				t.Errorf("user %q was allowed: %s -> %s", user.Name, q, got)
			}
		}
	}
	for _, user := range []User{{Name: UserWriter}, {Name: UserReader, Password: "guess"}} {
		if _, err := ask(s, user, "SELECT 1"); err == nil {
			t.Errorf("user %q came in with password %q", user.Name, user.Password)
		}
	}
	for _, name := range []string{"usher.password", "usher_reader.password", "users.xml"} {
		info, err := os.Stat(filepath.Join(s.cfg.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode().Perm())
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	got := mustAsk(t, s, s.Writer(), "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage_to_ram_ratio'")
	if ratio, err := strconv.ParseFloat(got, 64); err != nil || ratio != 0.2 {
		t.Errorf("the memory ratio is %q", got)
	}
	_, err := ask(s, User{}, "SELECT length(groupArray(number)) FROM numbers(1000000000)")
	if err == nil || !strings.Contains(err.Error(), "MEMORY_LIMIT_EXCEEDED") {
		t.Errorf("a greedy query ended with %v", err)
	}
}

func TestStopKeepsDataAndAddressesAreReusable(t *testing.T) {
	cfg := testConfig(t.TempDir())
	s, stop := start(t, cfg)
	mustAsk(t, s, s.Writer(), "CREATE DATABASE usher ENGINE = Atomic")
	mustAsk(t, s, s.Writer(), "CREATE TABLE usher.t (a Int64) ENGINE = MergeTree ORDER BY a")
	mustAsk(t, s, s.Writer(), "INSERT INTO usher.t VALUES (7)")
	pid := s.PID()
	if err := stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	if alive(pid) {
		t.Fatal("the engine is still there after the stop")
	}
	cfg.NativeAddr, cfg.HTTPAddr = s.NativeAddr(), s.HTTPAddr()
	again, _ := start(t, cfg)
	if again.Writer() != s.Writer() {
		t.Error("the writer's password changed")
	}
	if got := mustAsk(t, again, again.Writer(), "SELECT a FROM usher.t"); got != "7" {
		t.Errorf("read %q after the restart", got)
	}
}

func TestSignalsForTheTerminalDoNotReachTheEngine(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(s.PID(), sig); err != nil {
			t.Fatal(err)
		}
	}
	own, err := syscall.Getpgid(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if group, err := syscall.Getpgid(s.PID()); err != nil || group == own {
		t.Errorf("the engine is in the parent's process group %d (%v)", group, err)
	}
	// Signals are asynchronous: several questions in a row give them time.
	for range 20 {
		mustAsk(t, s, s.Writer(), "SELECT sleep(0.01)")
	}
	if s.Deaths() != 0 {
		t.Errorf("the engine died %d times", s.Deaths())
	}
}

func TestKilledEngineComesBackWithEveryAcknowledgedRow(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	mustAsk(t, s, s.Writer(), "CREATE DATABASE usher ENGINE = Atomic")
	mustAsk(t, s, s.Writer(), "CREATE TABLE usher.t (a Int64) ENGINE = MergeTree ORDER BY a")
	acked := 0
	for kill := range 3 {
		pid := s.PID()
		for i := range 20 {
			if i == 10+kill {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := ask(s, s.Writer(), fmt.Sprintf("INSERT INTO usher.t VALUES (%d)", acked)); err == nil {
				acked++
			}
		}
		eventually(t, "the engine answers again", func() bool {
			_, err := ask(s, s.Writer(), "SELECT 1")
			return err == nil && s.PID() != pid && s.PID() != 0
		})
		got := mustAsk(t, s, s.Writer(), "SELECT countDistinct(a) FROM usher.t WHERE a < "+strconv.Itoa(acked))
		if got != strconv.Itoa(acked) {
			t.Fatalf("%s of %d acknowledged rows are there", got, acked)
		}
	}
	if s.Deaths() != 3 {
		t.Errorf("counted %d deaths", s.Deaths())
	}
}

func TestFrozenEngineIsReplaced(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.ProbeInterval, cfg.ProbeFailures = 100*time.Millisecond, 2
	s, _ := start(t, cfg)
	pid := s.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another engine answers", func() bool { return s.PID() != pid && s.PID() != 0 })
	eventually(t, "it answers queries", func() bool { _, err := ask(s, s.Writer(), "SELECT 1"); return err == nil })
}

func TestEngineDiesWithItsParent(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		parent := exec.Command(os.Args[0], "parent", dir)
		var out bytes.Buffer
		reader, writer := io.Pipe()
		parent.Stdout, parent.Stderr = writer, &out
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		var addr string
		if _, err := fmt.Fscan(reader, &pid, &addr); err != nil {
			t.Fatalf("round %d: the parent said nothing: %v %s", round, err, &out)
		}
		begun := time.Now()
		if err := parent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := parent.Wait(); err == nil {
			t.Error("the parent ended by itself")
		}
		if round == 1 {
			continue // the next start must wait for the old engine, see lockFolder
		}
		eventually(t, "the engine ends", func() bool { return !alive(pid) })
		t.Logf("round %d: the engine was gone %v after its parent", round, time.Since(begun))
	}
}

func TestUnkillableStopIsForced(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.StopTimeout = 200 * time.Millisecond
	s, stop := start(t, cfg)
	pid := s.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("stop returned %v", err)
	}
	if alive(pid) {
		t.Error("the frozen engine is still there")
	}
}

func TestTakenPortIsReported(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	cfg := testConfig(t.TempDir())
	cfg.HTTPAddr = s.HTTPAddr()
	_, err := New(cfg, Deps{})
	if err == nil || !strings.Contains(err.Error(), "--clickhouse-http-addr") {
		t.Errorf("New returned %v", err)
	}
}

func TestBrokenLibraryIsReported(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.LibraryPath = filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(cfg.LibraryPath, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "load the engine") {
		t.Errorf("Run returned %v", err)
	}
}

func TestMissingLibraryTellsWhatToRun(t *testing.T) {
	_, err := Locate(filepath.Join(t.TempDir(), "nowhere"))
	if !errors.Is(err, ErrLibraryMissing) {
		t.Errorf("Locate returned %v", err)
	}
	_, err = locateIn([]string{t.TempDir()})
	if !errors.Is(err, ErrLibraryMissing) || !strings.Contains(err.Error(), "npm ci --prefix deploy/engine") {
		t.Errorf("locateIn returned %v", err)
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	err := Config{NativeAddr: "0.0.0.0:1", HTTPAddr: "b"}.Validate()
	for _, want := range []string{"data folder", "on this machine", "missing port", "memory ratio", "start timeout", "stop timeout", "probe failures"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestChildRefusesToBeStartedByHand(t *testing.T) {
	if _, err := parseChildFlags([]string{"--path=x"}); err == nil || !strings.Contains(err.Error(), "never by hand") {
		t.Errorf("parseChildFlags returned %v", err)
	}
}

// TestTheLogHoldsNoQueries: queries name people, and nothing erases them from a log.
func TestTheLogHoldsNoQueries(t *testing.T) {
	cfg := testConfig(t.TempDir())
	s, stop := start(t, cfg)
	mustAsk(t, s, s.Writer(), "SELECT 'a person by name'")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(cfg.DataDir, "engine.log"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(log, []byte("a person by name")) || bytes.Contains(log, []byte("<Debug>")) {
		t.Errorf("the log says more than warnings: %.2000s", log)
	}
}
