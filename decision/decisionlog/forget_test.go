package decisionlog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// TestForgetLeavesNothingBehind: the decision of a person is no longer at hand, and no
// file of the spool has it once it is published or was refused; another's stay.
func TestForgetLeavesNothingBehind(t *testing.T) {
	dir, k := t.TempDir(), &kafka{limit: 5000}
	l := open(t, config(dir), k)
	stop := run(t, l)
	defer stop()
	for i, who := range []string{"zoe", "ann"} {
		for _, size := range []int{1, 6000} { // the second is refused
			d := &event.Decision{
				ID: who + strings.Repeat("x", i) + time.Duration(size).String(), Account: "a", Time: time.Unix(1, 0).UTC(), Mode: "ON",
				DecidedBy: event.DecidedByModel, ConsumerID: who, Attributes: map[string]any{"long": strings.Repeat(who, size)},
			}
			if err := l.Record(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "nothing waits", func() bool { return l.Stats().Backlog == 0 })
	if n := l.Stats().Refused; n != 2 {
		t.Fatalf("%d are refused, want 2", n)
	}
	err := l.Forget(func(d *event.Decision) bool { return d.ConsumerID == "zoe" }, func(*event.Outcome) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	all := func(*event.Decision) bool { return true }
	if left := l.Latest("a", all); len(left) != 2 || left[0].ConsumerID != "ann" || left[1].ConsumerID != "ann" {
		t.Errorf("at hand are %v", left)
	}
	eventually(t, "the segment is gone", func() bool {
		paths, err := filepath.Glob(filepath.Join(dir, "*.seg"))
		return err == nil && len(paths) == 1
	})
	kept, err := os.ReadFile(filepath.Join(dir, "refused.jsonl"))
	if err != nil || strings.Count(string(kept), "\n") != 1 {
		t.Errorf("%d lines are kept (%v), want one", strings.Count(string(kept), "\n"), err)
	}
	if err := l.Forget(func(*event.Decision) bool { return false }, func(*event.Outcome) bool { return false }); err != nil {
		t.Error(err)
	}
}

// TestForgetThatFailsLeavesNoCopy: when the file of refused messages cannot be replaced,
// the half that was written of it goes.
func TestForgetThatFailsLeavesNoCopy(t *testing.T) {
	dir := t.TempDir()
	l := open(t, config(dir), &kafka{limit: 5000})
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := os.Mkdir(filepath.Join(dir, "refused.jsonl"), 0o700); err != nil { // which reads as an error
		t.Fatal(err)
	}
	nobody := func(*event.Decision) bool { return false }
	if err := l.Forget(nobody, func(*event.Outcome) bool { return false }); err == nil {
		t.Error("nothing tells of the failure")
	}
	if _, err := os.Stat(filepath.Join(dir, "refused.jsonl.new")); !os.IsNotExist(err) {
		t.Errorf("the copy is there still: %v", err)
	}
}
