package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEvalOPEPrintsOneObject(t *testing.T) {
	const data = "../../model/evaluate/testdata/openbandit/"
	var out bytes.Buffer
	cmd := newEvalOPECommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{
		"--log", data + "men_random.csv.gz", "--target", data + "men_bts_policy.csv",
		"--action", "item_id", "--reward", "click", "--propensity", "propensity",
	})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	var got struct {
		N         int
		Estimates map[string]struct{ Value, Lower, Upper float64 }
		Effective float64  `json:"effective_sample_size"`
		Largest   float64  `json:"largest_weight"`
		Warnings  []string `json:"warnings"`
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	snips, ok := got.Estimates["snips"]
	if got.N != 10000 || !ok || !(snips.Lower < snips.Value && snips.Value < snips.Upper) || got.Effective < 2000 || got.Largest < 10 {
		t.Errorf("got %s", out.Bytes())
	}
	if got.Warnings == nil {
		t.Error("warnings must be a list, even an empty one")
	}
}

func TestEvalOPEFaultsExitWithTwo(t *testing.T) {
	cmd := newEvalOPECommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"--log", "x.csv"})
	var out bytes.Buffer
	if code := exitCode(cmd.Execute(), &out); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	for _, flag := range []string{"target", "action", "reward", "propensity"} {
		if !strings.Contains(out.String(), flag+": must be given") {
			t.Errorf("message %q does not name --%s", out.String(), flag)
		}
	}
}

func TestEvalOPEShowsNoValueThatCannotBeTrusted(t *testing.T) {
	const data = "../../model/evaluate/testdata/openbandit/"
	target := "position,item_id,prob\n"
	for position := 1; position <= 3; position++ {
		for item := range 46 {
			target += fmt.Sprintf("%d,%d,%.17g\n", position, item, 1.0/46)
		}
	}
	path := filepath.Join(t.TempDir(), "uniform.csv")
	if err := os.WriteFile(path, []byte(target), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := newEvalOPECommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{
		"--log", data + "women_bts.csv.gz", "--target", path,
		"--action", "item_id", "--reward", "click", "--propensity", "propensity",
	})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Estimates map[string]struct{ Value *float64 }
		Default   string
		Trusted   *bool
		Warnings  []string
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	for _, name := range []string{"ips", "snips", "dm", "dr", "sndr", "switch_dr", "dros"} {
		if e, ok := got.Estimates[name]; !ok || e.Value != nil {
			t.Errorf("%s: given %v, value %v", name, ok, e.Value)
		}
	}
	if got.Default != "dr" || got.Trusted == nil || *got.Trusted || len(got.Warnings) == 0 {
		t.Errorf("got %s", out.Bytes())
	}
}

func TestEvalConversionNamesWhatIsMissing(t *testing.T) {
	cmd := newEvalConversionCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(nil)
	var out bytes.Buffer
	if code := exitCode(cmd.Execute(), &out); code != 2 || !strings.Contains(out.String(), "policies: must be given") {
		t.Errorf("exit code %d, message %q", code, out.String())
	}
}
