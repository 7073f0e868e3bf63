package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/usherhq/usher/model/congestion"
)

// simulate runs the command on a small centre.
func simulate(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	all := append([]string{"simulate", "--runs", "2", "--days", "2", "--prices", "0.01,0.1"}, args...)
	if err := run(t.Context(), all, nil, streams{out: &out, err: &errs}); err != nil {
		t.Fatalf("usher %v: %v %s", all, err, errs.String())
	}
	return out.String()
}

// Whatever leaves the simulator says that it is simulated, and is the same again.
func TestSimulateLabelsEverything(t *testing.T) {
	t.Parallel()
	figure := filepath.Join(t.TempDir(), "frontier.svg")
	text := simulate(t, "--svg", figure)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "[simulated] ") {
			t.Errorf("a line is not labelled: %q", line)
		}
	}
	if again := simulate(t); again != text {
		t.Errorf("another run prints\n%s\nnot\n%s", again, text)
	}
	drawn, err := os.ReadFile(figure)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SIMULATED", "longest idle", "score only", "Simulated, not observed"} {
		if !bytes.Contains(drawn, []byte(want)) {
			t.Errorf("the figure does not say %q", want)
		}
	}
	for d := xml.NewDecoder(bytes.NewReader(drawn)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the figure is not XML: %v", err)
		}
	}
	var f congestion.Frontier
	if err := json.Unmarshal([]byte(simulate(t, "--json")), &f); err != nil {
		t.Fatal(err)
	}
	if !f.Simulated || f.Notice == "" || len(f.References) != 3 || len(f.Prices) != 4 {
		t.Errorf("the JSON is %+v", f)
	}
	for _, p := range slices.Concat(f.References, f.Prices) {
		if !p.Simulated {
			t.Errorf("%v is not labelled", p.Rule)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(simulate(t, "--csv"))).ReadAll()
	if err != nil || len(rows) != 8 {
		t.Fatalf("%d rows of CSV, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		if row[0] != "simulated" {
			t.Errorf("a row is not labelled: %v", row)
		}
	}
}

func TestSimulateRefusesNonsense(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "short.csv")
	if err := os.WriteFile(short, []byte("opened_at,first_group\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"price -1":                   {"--prices", "-1"},
		`signal is "felt"`:           {"--signals", "felt"},
		`staffing is "nobody"`:       {"--staffing", "nobody"},
		"occupancy is 2":             {"--occupancy", "2"},
		"runs is 1":                  {"--runs", "1"},
		"cannot open":                {"--log", filepath.Join(t.TempDir(), "none.csv")},
		`the column "sys_mod_count"`: {"--log", short},
	} {
		err := run(t.Context(), append([]string{"simulate"}, args...), nil, streams{out: io.Discard, err: io.Discard})
		if err == nil || exitCode(err, io.Discard) != 2 || !strings.Contains(explain(err), want) {
			t.Errorf("simulate %v: %v, want exit code 2 and %q", args, err, want)
		}
	}
}
