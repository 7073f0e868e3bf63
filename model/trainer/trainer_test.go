package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 7)) }

func start(tb testing.TB, d *desk, cfg Config) *Trainer {
	tb.Helper()
	tr, err := d.trainer(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return tr
}

func TestFitsJudgesAndPromotes(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	r := seeded(1)
	d.arriveAll("acme", d.decide(r, "acme", 99))
	if tr.step(t.Context()); d.champion("acme") != "" || len(d.cards) != 0 {
		t.Fatal("fitted to fewer than MinRows rows")
	}
	d.arriveAll("acme", d.decide(r, "acme", 1901))
	tr.step(t.Context())
	card := d.lastCard("acme")
	if d.champion("acme") != card.Version || card.Version == "" || card.Gate != gatePassed {
		t.Fatalf("champion %q, card %+v", d.champion("acme"), card)
	}
	if card.Rows != 2000 || card.Arms != 3 || !card.Exact || card.HeldOut.Rows != 400 ||
		!(card.HeldOut.Loss < card.HeldOut.Constant) || !(card.ProgressiveLoss < card.BaselineLoss) {
		t.Errorf("card %+v", card)
	}
	if card.Coverage["kind"] != 1 || card.Coverage["baseline"] != 1 || card.Coverage["intent"] != 0 {
		t.Errorf("coverage %v", card.Coverage)
	}
	if !card.Watermark.Equal(d.watermark["acme"]) || !card.TrainFrom.Equal(day) || card.Size == 0 || len(card.SHA256) != 64 {
		t.Errorf("watermark %s, from %s, size %d, sha %q", card.Watermark, card.TrainFrom, card.Size, card.SHA256)
	}
	if !strings.HasPrefix(card.Version, card.Watermark.Format("20060102T150405Z")+"-") {
		t.Errorf("version %q does not tell the time of the newest outcome", card.Version)
	}
	if card.Comparison.Rows == 0 || card.Comparison.GainLower < 0.1 {
		t.Errorf("explored log: comparison %+v, want a clear gain over the logged decisions", card.Comparison)
	}
	m, err := model.Decode(d.artifacts["acme/"+card.Version])
	if err != nil {
		t.Fatal(err)
	}
	chooseRight(t, m)
}

// chooseRight asks the model about every kind and each choice of people.
func chooseRight(t *testing.T, m *model.Model) {
	t.Helper()
	var e model.Encoder
	var s model.Scratch
	scores := make([]model.Score, len(groups))
	for k, kind := range kinds {
		facts := &model.Facts{Channel: "web", Baseline: groups[(k+1)%3].Key, Attributes: map[string]any{"kind": kind, "wait": 0.5}}
		m.Score(&s, e.Context(facts), e.Arms(groups, facts.Baseline), scores)
		if got := best(scores); got != k {
			t.Errorf("kind %s: chooses %s, scores %+v", kind, groups[got].Key, scores)
		}
	}
}

func TestRefitsWhenRowsHaveGrown(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	r := seeded(2)
	const rows, at = 4000, 50
	for range rows / at {
		d.arriveAll("acme", d.decide(r, "acme", at))
		tr.step(t.Context())
		tr.step(t.Context()) // nothing new: nothing done
	}
	// 100, 200, ... 1000, then by a tenth each time.
	if n := len(d.cards); n < 18 || n > 26 {
		t.Errorf("%d fits for %d rows, want about 22", n, rows)
	}
	promoted := 0
	for _, c := range d.cards {
		if c.Gate == gatePassed {
			promoted++
		}
	}
	if promoted < len(d.cards)-3 {
		t.Errorf("%d of %d models promoted on a stream that stays the same", promoted, len(d.cards))
	}
}

// A model that nobody could load is worse than none: it is not stored, and the next
// fit, of rows that do no harm, is.
func TestModelThatCannotBeReadBackIsNotStored(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	d.arriveAll("acme", d.decide(seeded(1), "acme", 2000))
	poisoned := d.decisions["acme"][1000]
	poisoned.Weight = math.MaxFloat64 // no weight that makes finite numbers
	tr.step(t.Context())
	if len(d.cards) != 0 || d.champion("acme") != "" || tr.states["acme"].failures != 1 {
		t.Fatalf("%d models are stored, %q is live, %d failures", len(d.cards), d.champion("acme"), tr.states["acme"].failures)
	}
	poisoned.Weight = 1
	d.wait(time.Hour)
	tr.step(t.Context())
	if card := d.lastCard("acme"); d.champion("acme") != card.Version || card.Rows != 2000 {
		t.Errorf("champion %q, card %+v", d.champion("acme"), card)
	}
}

// TestMaturedSilenceIsNew: rows that came without any outcome, because their window
// passed, make a fit due by age as others do.
func TestMaturedSilenceIsNew(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	s := &state{rows: 10_000, watermark: d.clock(), fitted: d.clock()}
	s.fit.exact = true
	d.wait(tr.cfg.MaxAge)
	for more, want := range map[int64]bool{-1: false, 0: false, tr.cfg.Gate.MinRows: true} {
		if got := tr.due(s, Progress{Rows: s.rows + more, Watermark: s.watermark}); got != want {
			t.Errorf("%d more rows and no outcome: due is %t", more, got)
		}
	}
}

func TestRestartMakesTheSameBytes(t *testing.T) {
	d := newDesk("acme")
	warm := start(t, d, settings())
	r := seeded(3)
	for range 5 {
		d.arriveAll("acme", d.decide(r, "acme", 150))
		warm.step(t.Context())
	}
	want := d.lastCard("acme")
	before := d.artifacts["acme/"+want.Version]
	if len(before) == 0 {
		t.Fatal("no model was stored")
	}
	d.champions, d.cards, d.artifacts = map[string]string{}, nil, map[string][]byte{}
	start(t, d, settings()).step(t.Context())
	got := d.lastCard("acme")
	if got.Version != want.Version || got.DataHash != want.DataHash || !bytes.Equal(d.artifacts["acme/"+got.Version], before) {
		t.Errorf("restarted trainer made %q from the rows of %q", got.Version, want.Version)
	}
}

// TestRestartKeepsTheChampion: its own rows must not replace a champion's card.
func TestRestartKeepsTheChampion(t *testing.T) {
	d := newDesk("acme")
	d.arriveAll("acme", d.decide(seeded(4), "acme", 300))
	start(t, d, settings()).step(t.Context())
	card := d.lastCard("acme")
	start(t, d, settings()).step(t.Context())
	if len(d.cards) != 1 || d.champion("acme") != card.Version {
		t.Errorf("%d cards, champion %q", len(d.cards), d.champion("acme"))
	}
}

// TestMessyStreamEndsInTheSameModel: late, repeated, out-of-order and corrected
// outcomes, with fits in between, give what the clean stream gives.
func TestMessyStreamEndsInTheSameModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		r := seeded(seed)
		n := rapid.IntRange(150, 400).Draw(rt, "decisions")
		clean, messy := newDesk("acme"), newDesk("acme")
		events := clean.decide(seeded(seed), "acme", n)
		messy.decide(seeded(seed), "acme", n)
		for i := range n / 5 { // a later word on every fifth decision
			o := events[i*5]
			o.id, o.value, o.happened = o.id+"/again", 1-o.value, o.happened.Add(time.Hour)
			events = append(events, o)
		}
		clean.arriveAll("acme", events)
		start(t, clean, settings()).step(t.Context())

		noisy := append(slices.Clone(events), events[:n/3]...)
		r.Shuffle(len(noisy), func(i, j int) { noisy[i], noisy[j] = noisy[j], noisy[i] })
		cfg := settings()
		cfg.FullShare = rapid.SampledFrom([]float64{1, 0.01}).Draw(rt, "full share")
		tr := start(t, messy, cfg)
		for len(noisy) > 0 {
			k := min(len(noisy), rapid.IntRange(1, 150).Draw(rt, "chunk"))
			messy.arriveAll("acme", noisy[:k])
			noisy = noisy[k:]
			tr.step(t.Context())
		}
		messy.wait(time.Hour) // long enough for a last, full fit
		tr.step(t.Context())
		a, b := clean.lastCard("acme"), messy.lastCard("acme")
		if a.DataHash != b.DataHash || !b.Exact {
			rt.Fatalf("clean %s, messy %s (exact %v)", a.DataHash, b.DataHash, b.Exact)
		}
		if !sameModel(tr, clean) {
			rt.Fatal("same rows, different models")
		}
	})
}

// sameModel compares the warm learner of one trainer with a fresh fit elsewhere,
// under one version.
func sameModel(tr *Trainer, d *desk) bool {
	other := fitter{}
	rows, err := readRows(context.Background(), d, Query{Account: "acme", Limit: 1 << 20})
	if err != nil {
		return false
	}
	j := job{cfg: settings(), account: d.accounts[0], rows: rows, now: d.clock}
	if _, err := other.fit(context.Background(), j); err != nil {
		return false
	}
	a := tr.states["acme"].fit.learner.Snapshot("v").Encode()
	return len(a) > 0 && bytes.Equal(a, other.learner.Snapshot("v").Encode())
}

// TestSlowFullFitsWaitTheirTurn: when a full fit took long, new rows are added to
// the warm learner until the next full fit may start.
func TestSlowFullFitsWaitTheirTurn(t *testing.T) {
	d := newDesk("acme")
	cfg := settings()
	cfg.FullShare = 0.25
	tr := start(t, d, cfg)
	r := seeded(5)
	events := d.decide(r, "acme", 600)
	d.arriveAll("acme", events[200:400])
	tr.step(t.Context())
	tr.states["acme"].fit.fullTook = 10 * time.Minute // as if it had been a large account
	d.arriveAll("acme", events[:200])                 // older decisions: out of order
	tr.step(t.Context())
	if c := d.lastCard("acme"); c.Exact || c.Rows != 400 {
		t.Fatalf("card %+v, want 200 rows added out of order", c)
	}
	d.arriveAll("acme", events[400:])
	d.wait(31 * time.Minute)
	tr.step(t.Context())
	if c := d.lastCard("acme"); !c.Exact || c.Rows != 600 {
		t.Errorf("card %+v, want a full fit of 600 rows", c)
	}
}

func TestNoiseIsNotPromoted(t *testing.T) {
	d := newDesk("acme")
	r := seeded(6)
	events := d.decide(r, "acme", 600)
	for i := range events {
		events[i].value = float64(r.IntN(2))
	}
	d.arriveAll("acme", events)
	start(t, d, settings()).step(t.Context())
	card := d.lastCard("acme")
	if d.champion("acme") != "" || card.Gate != gateNone || !strings.Contains(card.GateReason, "no better than their mean") {
		t.Errorf("champion %q, gate %q: %s", d.champion("acme"), card.Gate, card.GateReason)
	}
}

func TestObjectiveThatDemandsProofGetsIt(t *testing.T) {
	for _, tc := range []struct {
		margin float64
		pass   bool
	}{{0.05, true}, {0.6, false}} {
		d := newDesk("acme")
		d.accounts[0].Margin = tc.margin
		d.arriveAll("acme", d.decide(seeded(7), "acme", 2000))
		start(t, d, settings()).step(t.Context())
		if card := d.lastCard("acme"); (card.Gate == gatePassed) != tc.pass {
			t.Errorf("margin %g: gate %q: %s", tc.margin, card.Gate, card.GateReason)
		}
	}
}

// TestNewObjectiveStartsAfresh: rewards that mean something else are no grounds to
// compare with the champion.
func TestNewObjectiveStartsAfresh(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	d.arriveAll("acme", d.decide(seeded(8), "acme", 400))
	tr.step(t.Context())
	first := d.champion("acme")
	d.accounts[0].ObjectiveVersion = 2
	tr.step(t.Context())
	card := d.lastCard("acme")
	if card.ObjectiveVersion != 2 || card.Comparison.ChampionVersion != "" || card.Version == first || d.champion("acme") != card.Version {
		t.Errorf("card %+v after champion %q", card, first)
	}
}

// TestCardSaysThatAModelIsLive: one that cannot be compared with is live all the same.
// What the log does not tell has no number.
func TestCardSaysThatAModelIsLive(t *testing.T) {
	d := newDesk("acme")
	d.arriveAll("acme", d.decide(seeded(8), "acme", 400))
	start(t, d, settings()).step(t.Context())
	first := d.champion("acme")
	d.accounts[0].ObjectiveVersion, d.accounts[0].Margin = 2, 0.9 // nothing gains that much
	start(t, d, settings()).step(t.Context())                     // a new process
	card := d.lastCard("acme")
	if d.champion("acme") != first || card.Version == first || card.Gate != gateKept || !strings.Contains(card.GateReason, "cannot be compared with") {
		t.Errorf("gate %q: %s, champion %q", card.Gate, card.GateReason, d.champion("acme"))
	}
	text, err := json.Marshal(card.HeldOut)
	if err != nil || strings.Contains(string(text), "challenger") || strings.Contains(string(text), "champion") {
		t.Errorf("held out %s, %v: nothing was held against a champion", text, err)
	}
	for i := range d.decisions["acme"] {
		d.decisions["acme"][i].Propensity = 0
	}
	d.accounts[0].ObjectiveVersion = 3
	start(t, d, settings()).step(t.Context())
	text, err = json.Marshal(d.lastCard("acme").Comparison)
	if err != nil || !strings.Contains(string(text), `"trusted":false`) || strings.Contains(string(text), `"gain":`) || strings.Contains(string(text), `"challenger"`) {
		t.Errorf("comparison %s, %v", text, err)
	}
}

// TestOtherWordsForTheSameRewards: what is written of an objective beside its reward
// neither fits afresh nor makes the gate forget the champion.
func TestOtherWordsForTheSameRewards(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	d.arriveAll("acme", d.decide(seeded(8), "acme", 400))
	tr.step(t.Context())
	first := d.champion("acme")
	d.accounts[0].Revision = 2
	tr.step(t.Context())
	if d.champion("acme") != first || d.lastCard("acme").Version != first {
		t.Errorf("champion %q after %q, nothing but words changed", d.champion("acme"), first)
	}
	d.accounts[0].Revision, d.accounts[0].Margin = 3, 0.01
	d.arriveAll("acme", d.decide(seeded(9), "acme", 400))
	tr.step(t.Context())
	if card := d.lastCard("acme"); card.Version == first || card.Comparison.ChampionVersion != first {
		t.Errorf("model %q was held against %q, want %q", card.Version, card.Comparison.ChampionVersion, first)
	}
}

func TestOneFailingAccountStopsNoOther(t *testing.T) {
	for _, call := range []string{"progress", "rows", "champion", "save", "promote"} {
		t.Run(call, func(t *testing.T) {
			d := newDesk("broken", "fine")
			broken := true
			d.fail = func(c, account string) error {
				if broken && c == call && account == "broken" {
					return errors.New("the store is away")
				}
				return nil
			}
			tr := start(t, d, settings())
			for _, a := range []string{"broken", "fine"} {
				d.arriveAll(a, d.decide(seeded(9), a, 300))
			}
			tr.step(t.Context())
			if d.champion("fine") == "" || d.champion("broken") != "" {
				t.Fatalf("champions %v", d.champions)
			}
			tries := tr.states["broken"].failures
			tr.step(t.Context())
			if got := tr.states["broken"].failures; got != tries || tries != 1 {
				t.Errorf("%d then %d failures, want one and a pause", tries, got)
			}
			broken = false
			d.wait(2 * time.Second)
			tr.step(t.Context())
			if d.champion("broken") == "" || tr.states["broken"].failures != 0 {
				t.Errorf("not recovered: champions %v, last card %s", sortedVersions(d), d.lastCard("broken").GateReason)
			}
		})
	}
}

// TestRollbackHolds: after a person has rolled back, models are made and judged
// and none goes live until the hold is lifted.
func TestRollbackHolds(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	r := seeded(12)
	d.arriveAll("acme", d.decide(r, "acme", 300))
	tr.step(t.Context())
	d.champions["acme"], d.held = "", true
	d.arriveAll("acme", d.decide(r, "acme", 300))
	tr.step(t.Context())
	if c := d.lastCard("acme"); c.Gate != gateHeld || d.champion("acme") != "" || !strings.Contains(c.GateReason, "rolled back") {
		t.Errorf("champion %q, gate %q: %s", d.champion("acme"), c.Gate, c.GateReason)
	}
	d.held = false
	d.arriveAll("acme", d.decide(r, "acme", 300))
	if tr.step(t.Context()); d.champion("acme") == "" {
		t.Errorf("still held: %s", d.lastCard("acme").GateReason)
	}
}

func TestChampionThatIsGoneIsNoRival(t *testing.T) {
	d := newDesk("acme")
	d.champions["acme"] = "20200101T000000Z-deadbeef"
	d.arriveAll("acme", d.decide(seeded(10), "acme", 300))
	start(t, d, settings()).step(t.Context())
	if c := d.lastCard("acme"); c.Gate != gatePassed || d.champion("acme") != c.Version {
		t.Errorf("champion %q, card %+v", d.champion("acme"), c)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	d := newDesk("acme")
	d.arriveAll("acme", d.decide(seeded(11), "acme", 300))
	cfg := settings()
	cfg.Check = time.Millisecond
	tr := start(t, d, cfg)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); d.champion("acme") == ""; <-poll.C {
		if time.Now().After(deadline) {
			t.Fatal("no champion after 10 s")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestConfigNamesEveryBadField(t *testing.T) {
	err := Config{Gate: DefaultConfig().Gate}.Validate()
	for _, name := range []string{"check", "min_rows", "growth_share", "max_age", "window", "max_rows", "parallel", "retry_min"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(DefaultConfig(), Deps{}); err == nil {
		t.Error("New without dependencies must fail")
	}
}
