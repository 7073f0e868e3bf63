package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger is the oracle: what Usher promised to keep, by id. An event is promised
// once the API has answered, or the log has acknowledged it. What got no answer
// may or may not be stored, but never twice.
type ledger struct {
	mu        sync.Mutex
	promised  map[string]float64 // outcome id -> value
	attempted map[string]bool
	decisions map[string]bool // decision ids answered
}

func newLedger() *ledger {
	return &ledger{promised: map[string]float64{}, attempted: map[string]bool{}, decisions: map[string]bool{}}
}

func (l *ledger) attempt(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.attempted[id] = true
	}
}

func (l *ledger) keep(value float64, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.promised[id] = value
	}
}

func (l *ledger) decided(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decisions[id] = true
}

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.promised) + len(l.decisions)
}

// compare looks at the stored rows of an account: every promise is there with its
// value, nothing is there that was never sent, and nothing is there twice.
func (l *ledger) compare(ctx context.Context, ch, account string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	where := " WHERE account = '" + account + "'"
	// Most looks come too early: they are cheap.
	stored, err := query(ctx, ch, "SELECT (SELECT count() FROM usher.decisions"+where+"), (SELECT count() FROM usher.outcomes"+where+")")
	if err != nil {
		return err
	}
	var decisions, reported int
	if _, err := fmt.Sscan(stored, &decisions, &reported); err != nil {
		return fmt.Errorf("read the counts %q: %w", stored, err)
	}
	if decisions < len(l.decisions) || reported < len(l.promised) {
		return fmt.Errorf("%d of %d decisions and %d of %d outcomes are stored", decisions, len(l.decisions), reported, len(l.promised))
	}
	outcomes, err := column(ctx, ch, "SELECT outcome_id, value FROM usher.outcomes"+where)
	if err != nil {
		return err
	}
	var faults []error
	seen := map[string]bool{}
	for _, row := range outcomes {
		id, text, _ := strings.Cut(row, "\t")
		value, err := strconv.ParseFloat(text, 64)
		want, promised := l.promised[id]
		switch {
		case err != nil:
			return fmt.Errorf("read the value of outcome %q: %w", id, err)
		case seen[id]:
			faults = append(faults, fmt.Errorf("outcome %q is stored twice", id))
		case !l.attempted[id]:
			faults = append(faults, fmt.Errorf("outcome %q was never sent", id))
		case promised && want != value:
			faults = append(faults, fmt.Errorf("outcome %q has value %v, sent was %v", id, value, want))
		}
		seen[id] = true
	}
	faults = append(faults, missing("outcome", slices.Collect(maps.Keys(l.promised)), seen)...)
	ids, err := column(ctx, ch, "SELECT decision_id FROM usher.decisions"+where)
	if err != nil {
		return err
	}
	clear(seen)
	for _, id := range ids {
		if seen[id] {
			faults = append(faults, fmt.Errorf("decision %q is stored twice", id))
		}
		seen[id] = true
	}
	faults = append(faults, missing("decision", slices.Collect(maps.Keys(l.decisions)), seen)...)
	if len(faults) > 10 {
		faults = append(faults[:10], fmt.Errorf("and %d more faults", len(faults)-10))
	}
	return errors.Join(faults...)
}

func missing(what string, want []string, seen map[string]bool) (faults []error) {
	slices.Sort(want)
	for _, id := range want {
		if !seen[id] {
			faults = append(faults, fmt.Errorf("%s %q is lost", what, id))
		}
	}
	return faults
}

// column runs a query and returns its lines.
func column(ctx context.Context, ch, sql string) ([]string, error) {
	text, err := query(ctx, ch, sql)
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(text, "\n"), nil
}

// settle waits until the warehouse agrees with the ledger, and that it stays so:
// a row that is stored a second time would come after the first.
func (l *ledger) settle(t *testing.T, ch func() string, account string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the ledger of %d events", l.size()), func() error {
		return l.compare(t.Context(), ch(), account)
	})
}

// recount compares the roll-ups of an account with a count of the raw rows: all
// decisions, and the outcomes that belong to one.
func recount(t *testing.T, ch func() string, account string) {
	t.Helper()
	eventually(t, "roll-ups equal recounts", func() error {
		where := " WHERE account = '" + account + "'"
		for _, grain := range []string{"hour", "day"} {
			rolled, err := query(t.Context(), ch(), "SELECT sum(decisions), sum(outcomes) FROM usher.rollup_"+grain+where)
			if err != nil {
				return err
			}
			raw, err := query(t.Context(), ch(), "SELECT (SELECT count() FROM usher.decisions"+where+"), (SELECT count() FROM usher.attributed_outcomes"+where+")")
			if err != nil {
				return err
			}
			if rolled != raw {
				return fmt.Errorf("rollup_%s says %q decisions and outcomes, the raw rows %q", grain, rolled, raw)
			}
		}
		return nil
	})
}

// traffic sends outcomes and asks for decisions until its context ends. Calls
// that fail are repeated with the same ids, as a careful client does.
type traffic struct {
	t      *testing.T
	ledger *ledger
	api    func() *client // the process may come back on other ports
	prefix string
}

// run is one client; several may run with prefixes of their own.
func (g *traffic) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		conversation := fmt.Sprintf("%s-c%d", g.prefix, n)
		g.decide(ctx, conversation)
		g.report(ctx, conversation, n)
		pause(ctx, 10*time.Millisecond) // the machine is small, and the loads that matter are kills
	}
}

func (g *traffic) decide(ctx context.Context, conversation string) {
	var answer struct {
		DecisionID string `json:"decision_id"`
	}
	in := map[string]any{
		"request_id": conversation, "conversation_id": conversation, "intent": "billing",
		"candidates": []any{map[string]any{"target": "sales"}, map[string]any{"target": "billing"}},
	}
	// A decision that got no answer is not asked again: the answer is what counts.
	if err := g.api().try(ctx, "POST", "/v1/accounts/default/nextActions", in, &answer); err == nil {
		g.ledger.decided(answer.DecisionID)
	}
}

func (g *traffic) report(ctx context.Context, conversation string, n int) {
	const batch = 5
	value := float64(n % 7)
	var ids []string
	var outcomes []any
	for i := range batch {
		id := fmt.Sprintf("%s-o%d", conversation, i)
		ids = append(ids, id)
		outcomes = append(outcomes, map[string]any{
			"id": id, "source": "ledger", "conversation_id": conversation, "kind": "resolved", "value": value,
			"event_time": time.Now().UTC().Format(time.RFC3339Nano),
		})
	}
	g.ledger.attempt(ids...)
	for ctx.Err() == nil {
		err := g.api().try(ctx, "POST", "/v1/accounts/default/outcomes:batchCreate", map[string]any{"outcomes": outcomes}, nil)
		if err == nil {
			g.ledger.keep(value, ids...)
			return
		}
		if strings.Contains(err.Error(), " 400 ") {
			g.t.Errorf("an outcome is refused: %v", err)
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
