package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestEvalBanditPrintsOneObject(t *testing.T) {
	var out bytes.Buffer
	cmd := newEvalBanditCommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--data", "../../model/evaluate/testdata/multiclass/vehicle.csv.gz", "--label", "label", "--seed", "1", "--where", "label!=bus"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	for _, key := range []string{"rows", "arms", "error", "curve", "seconds", "peak_rss_bytes"} {
		if _, ok := got[key]; !ok {
			t.Errorf("no %q in %s", key, out.Bytes())
		}
	}
	if got["arms"] != 3.0 || got["peak_rss_bytes"].(float64) < 1<<20 {
		t.Errorf("got %s", out.Bytes())
	}
}

func TestEvalBanditFaultsExitWithTwo(t *testing.T) {
	for args, want := range map[string]string{
		"":                                       "data: name the table",
		"--data x.csv --label a":                 `no file "x.csv"`,
		"--data x --label a --where":             "flag needs an argument",
		"--data x --label a --where b --cross c": "must be column=value",
	} {
		cmd := newEvalBanditCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetFlagErrorFunc(newRoot(&world{}).FlagErrorFunc())
		cmd.SetArgs(strings.Fields(args))
		var out bytes.Buffer
		if code := exitCode(cmd.Execute(), &out); code != 2 || !strings.Contains(out.String(), want) {
			t.Errorf("%q: exit code %d, message %q, want 2 and %q", args, code, out.String(), want)
		}
	}
}
