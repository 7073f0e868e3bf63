package rpc

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Whatever a body is: what the codec takes is a message, and what it refuses is
// explained by a field and a problem.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"outcomes":[{"kind":"a","value":1,"event_time":"2026-01-01T00:00:00Z"}]}`,
		`{"candidates":[{"target":"x","attributes":{"a":[1,null]},"payload":{}}],"max_actions":"3"}`,
		`{"a":1}`, `[]`, `null`, `{`, `{"kind":null,"kind":3}`, "\x1f", `{"explain":"yes","attributes":[]}`,
	} {
		f.Add(seed)
	}
	c := newCodec(nil)
	f.Fuzz(func(t *testing.T, body string) {
		for _, m := range []proto.Message{&usherv1.ReportOutcomesRequest{}, &usherv1.NextActionsRequest{}, &usherv1.Policy{}} {
			err := c.NewDecoder(strings.NewReader(body)).Decode(m)
			if err == nil || strings.TrimSpace(body) == "" {
				continue
			}
			for _, v := range splitBodyError(err.Error()) {
				if v.Field == "" || v.Description == "" || strings.Contains(v.Description, "proto:") {
					t.Errorf("%q is refused with field %q, problem %q", body, v.Field, v.Description)
				}
			}
		}
	})
}

// No token ever gets more than its rate and its burst, and one that keeps to its
// rate is never refused.
func TestRateHoldsInEveryWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.5, 500).Draw(t, "rate")
		burst := rapid.IntRange(1, 50).Draw(t, "burst")
		l := newLimits(Config{MaxInFlight: 1, RatePerToken: rate, Burst: burst})
		var now time.Duration
		var admitted []time.Duration
		for range rapid.IntRange(1, 300).Draw(t, "calls") {
			now += time.Duration(rapid.Int64Range(0, int64(3*float64(time.Second)/rate)).Draw(t, "gap"))
			at := int64(time.Hour + now)
			if wait := l.spend("t", at); wait == 0 {
				admitted = append(admitted, now)
			} else if l.spend("t", at+int64(wait)) != 0 {
				t.Fatalf("after the wait of %v that it was told the token is refused again", wait)
			} else {
				now += wait
				admitted = append(admitted, now)
			}
		}
		for i := range admitted {
			for j := i; j < len(admitted); j++ {
				allowed := rate*(admitted[j]-admitted[i]).Seconds() + float64(burst) + 1e-3
				if float64(j-i+1) > allowed+1 {
					t.Fatalf("%d calls in %v, at most %.1f are allowed", j-i+1, admitted[j]-admitted[i], allowed)
				}
			}
		}
	})
}
