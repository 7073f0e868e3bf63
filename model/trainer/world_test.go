package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model"
)

// desk is a small installation held in memory: decisions, the outcomes that have
// arrived, the models stored and the champion. Its rows are joined the way the
// warehouse does: an outcome counts once by its id, the latest event time wins.
type desk struct {
	mu        sync.Mutex
	accounts  []Account
	decisions map[string][]*Row // by account, as logged, without reward
	outcomes  map[string]map[string]outcome
	watermark map[string]time.Time
	cards     []model.Card
	artifacts map[string][]byte
	champions map[string]string
	now       time.Time
	held      bool
	fail      func(call, account string) error
}

// outcome is one event of a decision.
type outcome struct {
	id, decision string
	value        float64
	happened     time.Time
	arrived      time.Time
}

func newDesk(accounts ...string) *desk {
	d := &desk{
		decisions: map[string][]*Row{}, outcomes: map[string]map[string]outcome{}, watermark: map[string]time.Time{},
		artifacts: map[string][]byte{}, champions: map[string]string{}, now: day.Add(90 * time.Minute),
		fail: func(string, string) error { return nil },
	}
	for _, a := range accounts {
		d.accounts = append(d.accounts, Account{ID: a, Objective: "default", Revision: 1})
		d.outcomes[a] = map[string]outcome{}
	}
	return d
}

var day = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) wait(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// arrive stores an outcome now.
func (d *desk) arrive(account string, o outcome) {
	d.wait(time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, twice := d.outcomes[account][o.id]; twice {
		return
	}
	o.arrived = d.now
	d.outcomes[account][o.id] = o
	d.watermark[account] = d.now
}

// joined returns the rows that have an outcome, in no order that anybody could
// rely on.
func (d *desk) joined(account string) []*Row {
	last := map[string]outcome{}
	newest := map[string]time.Time{}
	for _, o := range d.outcomes[account] {
		if was, ok := last[o.decision]; !ok || o.happened.After(was.happened) {
			last[o.decision] = o
		}
		if o.arrived.After(newest[o.decision]) {
			newest[o.decision] = o.arrived
		}
	}
	var out []*Row
	for _, r := range d.decisions[account] {
		if o, ok := last[r.ID]; ok {
			row := *r
			row.Reward, row.Watermark = o.value, newest[r.ID]
			out = append(out, &row)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (d *desk) Accounts(context.Context) ([]Account, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.accounts), d.fail("accounts", "")
}

func (d *desk) Progress(_ context.Context, account, _ string) (Progress, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	decided := map[string]bool{}
	for _, o := range d.outcomes[account] {
		decided[o.decision] = true
	}
	return Progress{Rows: int64(len(decided)), Watermark: d.watermark[account]}, d.fail("progress", account)
}

func (d *desk) TrainingRows(_ context.Context, q Query, fn func(*Row) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.joined(q.Account) {
		if r.Time.Before(q.From) {
			continue
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return d.fail("rows", q.Account)
}

func (d *desk) SaveModel(_ context.Context, card model.Card, artifact []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail("save", card.Account); err != nil {
		return err
	}
	if _, err := json.Marshal(card); err != nil { // as the warehouse will
		return err
	}
	d.cards = append(d.cards, card)
	d.artifacts[card.Account+"/"+card.Version] = artifact
	return nil
}

func (d *desk) LoadModel(_ context.Context, account, version string) (model.Card, []byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range slices.Backward(d.cards) {
		if c.Account == account && c.Version == version {
			return c, d.artifacts[account+"/"+version], d.fail("load", account)
		}
	}
	return model.Card{}, nil, fault.New(fault.NotFound, "MODEL_NOT_FOUND", "no model %q", version)
}

func (d *desk) Champion(_ context.Context, account string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.champions[account], d.fail("champion", account)
}

func (d *desk) Promote(_ context.Context, card *model.Card, _ string) error {
	account, version := card.Account, card.Version
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail("promote", account); err != nil {
		return err
	}
	d.champions[account] = version
	return nil
}

func (d *desk) Held(context.Context, string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held, nil
}

func (d *desk) champion(account string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.champions[account]
}

func (d *desk) lastCard(account string) (card model.Card) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.cards {
		if c.Account == account {
			card = c
		}
	}
	return card
}

// groups of the test's desk; which one is right depends on the kind of the
// conversation.
var (
	groups = []model.Option{{Key: "billing"}, {Key: "technical"}, {Key: "sales"}}
	kinds  = []string{"invoice", "outage", "order"}
)

// decide logs n decisions: people's choice is right in 60 %, 30 % are explored.
// It returns an outcome for each, which says whether the choice was right.
func (d *desk) decide(r *rand.Rand, account string, n int) []outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []outcome
	for range n {
		i := len(d.decisions[account])
		kind := r.IntN(len(kinds))
		people := kind
		if r.Float64() > 0.6 {
			people = r.IntN(len(groups))
		}
		chosen := people
		if r.Float64() < 0.3 {
			chosen = r.IntN(len(groups))
		}
		propensity := 0.1
		if chosen == people {
			propensity = 0.8
		}
		row := &Row{
			ID: fmt.Sprintf("d%06d", i), Time: day.Add(time.Duration(i) * time.Second),
			Facts: model.Facts{
				Channel: "web", Baseline: groups[people].Key,
				Attributes: map[string]any{"kind": kinds[kind], "wait": r.Float64()},
			},
			Options: groups, Chosen: groups[chosen].Key, Propensity: propensity,
		}
		d.decisions[account] = append(d.decisions[account], row)
		o := outcome{id: row.ID + "/right", decision: row.ID, happened: row.Time.Add(time.Minute)}
		if chosen == kind {
			o.value = 1
		}
		out = append(out, o)
	}
	return out
}

func (d *desk) arriveAll(account string, all []outcome) {
	for _, o := range all {
		d.arrive(account, o)
	}
}

// settings of tests: those of the product, but a fit may take all the time.
func settings() Config {
	cfg := DefaultConfig()
	cfg.FullShare = 1
	return cfg
}

func (d *desk) trainer(cfg Config) (*Trainer, error) {
	return New(cfg, Deps{Directory: d, Rows: d, Store: d, Promoter: d, Now: d.clock})
}

func sortedVersions(d *desk) []string { return slices.Sorted(maps.Keys(d.artifacts)) }
