package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/internal/fault"
)

// TestCases loads each case's file, environment and flags, and compares the
// effective keys that differ from the defaults, or the faults.
func TestCases(t *testing.T) {
	cases, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			got := outcome(loadCase(t, parts))
			if got != parts["want"] {
				t.Errorf("difference (-want +got):\n%s", cmp.Diff(parts["want"], got))
			}
		})
	}
}

func loadCase(t *testing.T, parts map[string]string) (*Config, error) {
	t.Helper()
	in := Inputs{Environ: strings.Fields(parts["env"])}
	if text, ok := parts["usher.yaml"]; ok {
		t.Chdir(t.TempDir())
		in.File = "usher.yaml"
		if err := os.WriteFile(in.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in.Flags = pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(in.Flags)
	in.Flags.StringArrayVar(&in.Set, "set", nil, "")
	if err := in.Flags.Parse(strings.Fields(parts["flags"])); err != nil {
		t.Fatal(err)
	}
	return Load(in)
}

// outcome lists the keys that differ from the defaults, or the faults.
func outcome(c *Config, err error) string {
	var lines []string
	if f, ok := errors.AsType[*fault.Error](err); ok {
		for _, v := range f.Violations {
			lines = append(lines, v.Field+": "+v.Description)
		}
	} else {
		defaults := Default()
		for _, k := range Keys() {
			if got := k.Text(c); got != k.Text(&defaults) {
				lines = append(lines, k.Path+"="+got)
			}
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestDumpReadsBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := Default()
		want.DataDir = rapid.StringMatching(`[a-z #:'"-]{1,12}x`).Draw(rt, "folder")
		want.Kafka.Brokers = rapid.SliceOfN(rapid.Just("10.0.0.1:9092"), 0, 3).Draw(rt, "brokers")
		want.Admin.Pprof = rapid.Bool().Draw(rt, "pprof")
		want.Training.MinRows = rapid.IntRange(1, 200_000).Draw(rt, "rows")
		want.ClickHouse.MemoryRatio = rapid.Float64Range(0.001, 1).Draw(rt, "ratio")
		want.StopAfter = Duration(rapid.Int64Range(1, 1<<40).Draw(rt, "stop"))
		text, err := want.YAML()
		if err != nil {
			rt.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "dump.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			rt.Fatal(err)
		}
		got, err := Load(Inputs{File: path})
		if err != nil {
			rt.Fatalf("load %s: %v", text, err)
		}
		for _, k := range Keys() {
			if strings.TrimSpace(k.Text(&want)) != k.Text(got) {
				rt.Fatalf("%s: want %q, got %q", k.Path, k.Text(&want), k.Text(got))
			}
		}
	})
}

func TestDumpMasksSecrets(t *testing.T) {
	c := Default()
	c.ClickHouse.DSN = "clickhouse://writer:hunter2@db:9440/usher?secret=hunter2"
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), "writer:"+mask+"@db:9440/usher") {
		t.Errorf("the dump is not masked well:\n%s", text)
	}
	if got := masked("opaque"); got != mask {
		t.Errorf("an opaque secret shows as %q", got)
	}
}

// TestNamesAreUnique guards the mapping from variables and flags to keys.
func TestNamesAreUnique(t *testing.T) {
	var names []string
	for _, k := range Keys() {
		if k.Doc == "" {
			t.Errorf("key %s has no description", k.Path)
		}
		names = append(names, k.Path, k.Env)
		if k.Flag != "" {
			names = append(names, "--"+k.Flag)
		}
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("a name is used twice among %v", names)
	}
}

func TestPublishedSchemaIsCurrent(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/config.schema.json is old; run: go run ./cmd/usher config schema >docs/config.schema.json\n%s", diff)
	}
}
