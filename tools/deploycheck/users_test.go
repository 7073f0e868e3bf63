package deploycheck

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inner is the login that the engine starts itself with when it runs as a
// library; a real server needs none.
const inner = `<default><no_password/><networks><ip>::1</ip><ip>127.0.0.1</ip></networks><profile>usher</profile><quota>default</quota>
<grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants></default>`

// TestComposeUsersCanWork starts the real engine with the users of the compose
// file: the roles' user can bring up the schema, the reader can read it and do
// nothing else.
func TestComposeUsersCanWork(t *testing.T) {
	native, door := engineWith(t, read(t, "../../deploy/compose/clickhouse/users.xml"))
	ask := func(user, password, sql string) (string, error) {
		return queryAs(t, door, user, password, sql)
	}
	await(t, func() error { _, err := ask("usher", "one", "SELECT 1"); return err })

	cmd := exec.CommandContext(t.Context(), binary(t), "migrate", "up", "--clickhouse-dsn", "clickhouse://usher:one@"+native+"/usher")
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("usher migrate up: %v\n%s", err, out)
	}
	for _, c := range []struct {
		user, password, sql string
		allowed             bool
	}{
		{"usher_reader", "two", "SELECT count() FROM usher.rollup_hour", true},
		{"usher_reader", "two", "SELECT name FROM system.columns WHERE database = 'usher' LIMIT 1", true},
		{"usher_reader", "two", "SELECT 1 SETTINGS max_execution_time = 20", true},
		{"usher_reader", "two", "SELECT 1 SETTINGS max_execution_time = 3600", false},
		{"usher_reader", "two", "INSERT INTO usher.dead_letters (topic) VALUES ('x')", false},
		{"usher_reader", "two", "DROP TABLE usher.decisions", false},
		{"usher_reader", "two", "SELECT * FROM file('/etc/hostname', 'LineAsString')", false},
		{"usher", "one", "SELECT * FROM file('/etc/hostname', 'LineAsString')", false},
		{"usher", "one", "SELECT * FROM url('http://" + door.Host + "/', 'LineAsString')", false},
		{"usher", "one", "CREATE USER intruder", false},
		{"usher", "two", "SELECT 1", false},
		{"usher_reader", "", "SELECT 1", false},
	} {
		if answer, err := ask(c.user, c.password, c.sql); (err == nil) != c.allowed {
			t.Errorf("%s: %s: allowed %v, want %v\n%s", c.user, c.sql, err == nil, c.allowed, answer)
		}
	}
}

// engineWith runs the embedded engine by its hidden command with these users.
func engineWith(t *testing.T, users string) (native string, door *url.URL) {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`<clickhouse><user_directories><users_xml><path>%s</path></users_xml></user_directories>
<logger><level>warning</level><log>%s</log><console>0</console></logger></clickhouse>`, filepath.Join(dir, "users.xml"), filepath.Join(dir, "engine.log"))
	// The image merges the file into its own, which has the defaults.
	merged := strings.NewReplacer(`<default remove="remove"/>`, inner, `<profiles>`, `<quotas><default/></quotas><profiles><default/>`)
	for name, text := range map[string]string{
		"config.xml": config,
		"users.xml":  merged.Replace(users),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	libraries, err := filepath.Glob("../../deploy/engine/node_modules/@chdb/*/libchdb.*")
	if err != nil || len(libraries) != 1 {
		t.Fatalf("found %d engine libraries, want 1; make engine fetches it: %v", len(libraries), err)
	}
	library, err := filepath.Abs(libraries[0])
	if err != nil {
		t.Fatal(err)
	}
	nativeAddr, httpAddr := freeAddr(t), freeAddr(t)
	lifeline, parent, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary(t), "clickhouse", "--library="+library, "--path="+dir, "--native="+nativeAddr, "--http="+httpAddr)
	cmd.Env = append(os.Environ(), "CLICKHOUSE_PASSWORD=one", "CLICKHOUSE_READER_PASSWORD=two")
	cmd.ExtraFiles = []*os.File{lifeline}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		force := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		_ = in.Close() // asks the engine to stop
		_ = cmd.Wait()
		_ = lifeline.Close()
		_ = parent.Close()
	})
	return nativeAddr, &url.URL{Scheme: "http", Host: httpAddr}
}

// freeAddr picks a port that is free now. The engine cannot take port 0.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func await(t *testing.T, probe func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the engine does not answer: %v", err)
		case <-tick.C:
		}
	}
}

func queryAs(t *testing.T, door *url.URL, user, password, sql string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, door.String(), strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-ClickHouse-User", user)
	req.Header.Set("X-ClickHouse-Key", password)
	return send(req)
}
