package deploycheck

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dashboard is the part of a Grafana dashboard that is checked.
type dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Query      string `json:"query"`
			Datasource source `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		RawSQL     string `json:"rawSql"`
		Datasource source `json:"datasource"`
	} `json:"targets"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// macros stand for what the data source plugin puts into a query.
var macros = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\$__timeFilter\((\w+)\)`), "$1 >= toDateTime(0) AND $1 <= now()"},
	{regexp.MustCompile(`\$__timeInterval\((\w+)\)`), "toStartOfInterval($1, INTERVAL 3600 second)"},
	{regexp.MustCompile(`\$\{account\}`), "default"},
}

// TestDashboards: names and places are in order, and every query runs on the
// tables that a fresh installation has.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob("../../dashboards/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	provisioned := regexp.MustCompile(`(?m)^\s+uid: (\S+)$`).FindStringSubmatch(read(t, "../../dashboards/grafana/provisioning/datasources/usher.yaml"))
	if provisioned == nil {
		t.Fatal("the provisioned data source has no uid")
	}
	ask := warehouse(t)
	for _, file := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d.UID == "" || d.Title == "" || len(d.Panels) == 0 {
			t.Errorf("%s has no uid, title or panel", file)
		}
		checkPanels(t, file, &d)
		for name, sql := range queries(t, &d, provisioned[1]) {
			if answer, err := ask(expandMacros(sql)); err != nil {
				t.Errorf("%s, %s: %v\n%s", file, name, err, answer)
			}
		}
	}
	if answer, err := ask("SELECT no_such_column FROM usher.rollup_hour"); err == nil {
		t.Errorf("a query of a column that is not there was answered: %s", answer)
	}
}

func checkPanels(t *testing.T, file string, d *dashboard) {
	t.Helper()
	seen := map[int]bool{}
	for i, p := range d.Panels {
		if seen[p.ID] || p.Title == "" || p.Description == "" {
			t.Errorf("%s: panel %d %q needs an id of its own, a title and a description", file, p.ID, p.Title)
		}
		seen[p.ID] = true
		a := p.GridPos
		for _, q := range d.Panels[:i] {
			b := q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s: panels %q and %q overlap", file, p.Title, q.Title)
			}
		}
		if a.X+a.W > 24 {
			t.Errorf("%s: panel %q is wider than the page", file, p.Title)
		}
	}
}

// queries returns the SQL of a dashboard by the name of its panel or variable.
func queries(t *testing.T, d *dashboard, uid string) map[string]string {
	t.Helper()
	sql := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			if target.Datasource.UID != uid {
				t.Errorf("%q asks the data source %q, provisioned is %q", p.Title, target.Datasource.UID, uid)
			}
			sql[p.Title] = target.RawSQL
		}
	}
	for _, v := range d.Templating.List {
		sql["$"+v.Name] = v.Query
	}
	return sql
}

func expandMacros(sql string) string {
	for _, m := range macros {
		sql = m.pattern.ReplaceAllString(sql, m.with)
	}
	return sql
}

// warehouse starts usher up on free ports and returns a function that asks its
// ClickHouse over HTTP, as Grafana and people do.
func warehouse(t *testing.T) func(sql string) (string, error) {
	t.Helper()
	free, data := "127.0.0.1:0", t.TempDir()
	cmd := exec.Command(binary(t), "up", "--ready-json", "--data-dir", data, "--http-addr", free, "--grpc-addr", free,
		"--admin-addr", free, "--kafka-addr", free, "--clickhouse-addr", free, "--clickhouse-http-addr", free, "--log-level", "warn")
	cmd.Dir = "../.." // the engine is found beside the sources
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		force := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("usher up did not stop cleanly: %v", err)
		}
	})
	var ready struct {
		Ready bool   `json:"ready"`
		HTTP  string `json:"clickhouse_http"`
	}
	slow := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer slow.Stop()
	lines := bufio.NewScanner(out)
	for !ready.Ready && lines.Scan() {
		_ = json.Unmarshal(lines.Bytes(), &ready) // other lines are for people
	}
	if !ready.Ready {
		t.Fatal("usher up ended before it was ready")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	secret := strings.TrimSpace(read(t, filepath.Join(data, "clickhouse", "usher_reader.password")))
	door := url.URL{Scheme: "http", Host: ready.HTTP}
	return func(sql string) (string, error) { return queryAs(t, &door, "usher_reader", secret, sql) }
}

// send returns the answer to a query, and an error when the engine refused it.
func send(req *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{resp.Status}
	}
	return string(body), err
}

type statusError struct{ status string }

func (e *statusError) Error() string { return "clickhouse answered " + e.status }
