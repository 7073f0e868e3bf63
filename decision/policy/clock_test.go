package policy_test

import (
	"testing"
	"time"

	"github.com/usherhq/usher/decision/policy"
)

// TestTracesShowTheClockOfTheCondition: hours in Berlin stand beside a clock in
// Berlin, and the text says so.
func TestTracesShowTheClockOfTheCondition(t *testing.T) {
	p := parse(t, `{"when":{"all":[{"time":{"from":"09:00","to":"23:30","zone":"Europe/Berlin"}},{"date":{"from":"2026-11-23","zone":"Asia/Tokyo"}},
		{"time":{"from":"09:00"}},{"time":{"calendar":"office"}}]},"effect":{"rank":{}}}`)
	env := &policy.Environment{Calendars: map[string]*policy.Calendar{"office": {Zone: "America/New_York", Hours: []policy.Hours{{}}}}}
	set := policy.Compile([]*policy.Policy{p}, 1, policy.WithEnvironment(env))
	in := set.NewInput()
	in.Load(&policy.Facts{Now: time.Date(2026, 11, 22, 18, 59, 19, 0, time.UTC)})
	trace := set.Trace(in, -1)[0].Conditions
	for i, want := range []string{
		"Sun 2026-11-22 19:59:19 Europe/Berlin", "Mon 2026-11-23 03:59:19 Asia/Tokyo", "Sun 2026-11-22 18:59:19 UTC", "Sun 2026-11-22 13:59:19 America/New_York",
	} {
		if trace[i].Actual != want || trace[i].Truth != "TRUE" {
			t.Errorf("condition %d was %v, want %s: %+v", i, trace[i].Actual, want, trace[i])
		}
	}
}
