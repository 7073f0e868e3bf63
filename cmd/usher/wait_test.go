package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// priced is what the test reads of a record.
type priced struct {
	DecisionID string `json:"decision_id"`
	ModelOnly  string `json:"model_only"`
	Reasons    []string
	Candidates []struct {
		Action          struct{ Target string }
		Score, Priority float64
		Cost            float64 `json:"wait_cost"`
		Factors         []struct {
			Name  string
			Value float64
		}
	}
}

// TestWaitPrice holds the whole binary to a price on waiting: the ranking follows
// the queue, the record says why, and it can be told again from the record.
func TestWaitPrice(t *testing.T) {
	t.Parallel()
	p := launch(t, append(free(t.TempDir()), "--set", "pipeline.batch_age=100ms")...)
	t.Cleanup(p.stop)
	api := p.client(p.ready.AdminToken)
	const account = "/v1/accounts/default"
	api.must("PATCH", account+"/modes/account", map[string]any{"mode": "ON", "exploration": 0.3}, nil)
	seats := []any{map[string]any{"target": "expert"}, map[string]any{"target": "generalist"}}
	n := 0
	ask := func(wait string) (out priced) {
		t.Helper()
		n++
		var answer struct {
			DecisionID string `json:"decision_id"`
			Actions    []struct{ Target string }
		}
		id := fmt.Sprintf("%s-%d", wait, n)
		api.must("POST", account+"/nextActions", map[string]any{"request_id": id, "conversation_id": id, "candidates": seats, "explain": true}, &answer)
		solved := 0.0
		if answer.Actions[0].Target == "expert" && n%10 != 0 || n%3 == 0 {
			solved = 1
		}
		api.must("POST", account+"/outcomes", map[string]any{"id": id, "source": "desk", "decision_id": answer.DecisionID, "kind": "resolved", "value": solved}, nil)
		out.DecisionID = answer.DecisionID
		return out
	}
	record := func(d priced) (out priced) {
		t.Helper()
		eventually(t, "the decision is stored", func() error {
			return api.try(t.Context(), "GET", account+"/decisions/"+d.DecisionID, nil, &out)
		})
		return out
	}
	// Until there is a model the first candidate is taken: both seats must be seen.
	for range 300 {
		ask("learn")
		slices.Reverse(seats)
	}
	eventually(t, "the expert is known to be better", func() error {
		for range 60 {
			ask("learn")
			slices.Reverse(seats)
		}
		if d := record(ask("learn")); d.ModelOnly != "expert" || gap(d) < 0.2 {
			pause(t.Context(), 300*time.Millisecond)
			return fmt.Errorf("%+v", d)
		}
		return nil
	})

	report := func(queue int) {
		api.must("POST", account+"/skillStates", map[string]any{"states": []any{
			map[string]any{"skill": "expert", "state": map[string]any{"agents_online": 2, "queue_size": queue, "load": 1, "handle_avg_seconds": 600}},
			map[string]any{"skill": "generalist", "state": map[string]any{"agents_online": 9, "load": 0.3}},
		}}, nil)
	}
	report(20)
	if d := record(ask("free of charge")); d.ModelOnly != "expert" || slices.Contains(d.Reasons, "WAIT_PRICED") {
		t.Errorf("without a price the queue counts: %+v", d)
	}
	api.must("PATCH", account+"/objectives/default", map[string]any{"wait_price": 0.01}, nil)
	var busy priced
	eventually(t, "the ranking leaves the queue", func() error {
		if busy = record(ask("busy")); busy.ModelOnly != "generalist" || !slices.Contains(busy.Reasons, "WAIT_PRICED") {
			return fmt.Errorf("%+v", busy)
		}
		return nil
	})
	for _, c := range busy.Candidates {
		want := 0.0
		if c.Action.Target == "expert" {
			want = 0.01 * 21 * 600 / 60 / 2
		}
		if abs(c.Cost-want) > 1e-9 || abs(c.Priority-(c.Score-c.Cost)) > 1e-9 {
			t.Errorf("%s costs %g, want %g: %+v", c.Action.Target, c.Cost, want, c)
		}
		if told := slices.ContainsFunc(c.Factors, func(f struct {
			Name  string
			Value float64
		},
		) bool {
			return f.Name == "wait" && f.Value == -c.Cost
		}); told != (want > 0) {
			t.Errorf("%s: factors %v", c.Action.Target, c.Factors)
		}
	}
	explained(t, p, busy.DecisionID)
	report(0)
	eventually(t, "the ranking returns", func() error {
		if d := record(ask("quiet")); d.ModelOnly != "expert" || slices.Contains(d.Reasons, "WAIT_PRICED") {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
}

// explained asks the program why, and whether the record can be told again.
func explained(t *testing.T, p *process, id string) {
	t.Helper()
	var page bytes.Buffer
	args := []string{"explain", id, "--server", "http://" + p.ready.HTTP, "--token", p.ready.AdminToken}
	if err := run(t.Context(), args, nil, streams{out: &page, err: &page}); err != nil {
		t.Fatalf("usher explain: %v\n%s", err, page.String())
	}
	for _, want := range []string{"WAIT_PRICED", "waiting there costs 1.05", "wait -1.05", "20 in queue", "handle 600s"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not say %q:\n%s", want, page.String())
		}
	}
	page.Reset()
	if err := run(t.Context(), append(args, "--verify"), nil, streams{out: &page, err: &page}); err != nil {
		t.Errorf("told again from the record: %v\n%s", err, page.String())
	}
}

// gap is by how much the expert is better.
func gap(d priced) float64 {
	var gap float64
	for _, c := range d.Candidates {
		if c.Action.Target == "expert" {
			gap += c.Score
		} else {
			gap -= c.Score
		}
	}
	return gap
}

func abs(v float64) float64 { return max(v, -v) }
