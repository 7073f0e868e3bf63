package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func replica(t *testing.T, log configlog.Log) *configlog.Store {
	t.Helper()
	store := configlog.New(log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = store.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	<-store.Ready()
	return store
}

func start(t *testing.T) *control.Control {
	t.Helper()
	c := control.New(replica(t, &configlog.Memory{}))
	if err := c.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

var ann = control.Author{Name: "ann", Reason: "because"}

func TestBootstrapMayHappenManyTimes(t *testing.T) {
	log := &configlog.Memory{}
	var starts sync.WaitGroup
	for range 4 {
		c := control.New(replica(t, log))
		starts.Go(func() {
			if err := c.Bootstrap(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	c := control.New(replica(t, log))
	if a, err := c.GetAccount(control.DefaultAccount); err != nil || string(a.DefaultEffect) != `{"rank":{}}` {
		t.Errorf("the default account is %+v, %v", a, err)
	}
	if m, ok := c.Mode(control.DefaultAccount, decision.ScopeAccount); !ok || m.Kind != decision.ModeShadow {
		t.Errorf("its mode is %+v, %v", m, ok)
	}
	o, err := c.GetObjective(control.DefaultAccount, control.DefaultObjective)
	if err != nil || len(o.Terms) != 1 || o.Terms[0].Kind != "resolved" || o.Max != 1 || o.Window != control.DefaultWindow || o.Version != 1 {
		t.Errorf("its objective is %+v, %v", o, err)
	}
	if a, ok := c.Account(control.DefaultAccount); !ok || a.Default == nil {
		t.Error("its default effect is not compiled")
	}
}

func TestAccounts(t *testing.T) {
	c := start(t)
	if _, ok := c.Account("shop"); ok {
		t.Error("an account that nobody opened exists")
	}
	a, err := c.CreateAccount(t.Context(), control.Account{ID: "shop", DisplayName: "Shop"}, ann)
	if err != nil {
		t.Fatal(err)
	}
	if live, ok := c.Account("shop"); !ok || live.Default != nil {
		t.Errorf("right after its creation the account is %+v, %v", live, ok)
	}
	if _, err := c.CreateAccount(t.Context(), control.Account{ID: "shop"}, ann); fault.KindOf(err) != fault.Exists {
		t.Errorf("a second creation = %v", err)
	}
	b := a
	b.DefaultEffect = json.RawMessage(`{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"general"}]}}`)
	b, err = c.UpdateAccount(t.Context(), b, ann)
	if err != nil || b.Revision <= a.Revision {
		t.Fatalf("update = %+v, %v", b, err)
	}
	if live, _ := c.Account("shop"); live.Default == nil {
		t.Error("the new default effect is not live")
	}
	_, err = c.UpdateAccount(t.Context(), a, ann)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Conflict || e.Metadata["etag"] != fmt.Sprint(b.Revision) {
		t.Errorf("an update on an old revision = %v", err)
	}
	a.Revision = 0
	if _, err = c.UpdateAccount(t.Context(), a, ann); err != nil {
		t.Errorf("an unguarded update = %v", err)
	}
	if _, err = c.UpdateAccount(t.Context(), control.Account{ID: "nobody"}, ann); fault.KindOf(err) != fault.NotFound {
		t.Errorf("update of nobody = %v", err)
	}
	if got := c.Accounts(); len(got) != 2 || got[0].ID != "default" || got[1].ID != "shop" {
		t.Errorf("accounts = %+v", got)
	}
	faults(t, func() error {
		_, err := c.CreateAccount(t.Context(), control.Account{
			ID: "Über", DisplayName: strings.Repeat("x", 300), DefaultEffect: json.RawMessage(`{"fixed":{"actions":[]},"rnk":{}}`),
		}, ann)
		return err
	}, "name", "display_name", "default_effect.rnk")
}

func TestObjectives(t *testing.T) {
	c := start(t)
	o := control.Objective{ID: "csat", Description: "Happy"}
	o.Terms = []event.Term{{Kind: "csat", Weight: 0.2}}
	o.Max = 5
	first, err := c.CreateObjective(t.Context(), "default", o, ann)
	if err != nil || first.Version != 1 || first.Terms[0].Aggregate != "last" {
		t.Fatalf("create = %+v, %v", first, err)
	}
	o.Terms[0].Weight = 0.3
	second, err := c.UpdateObjective(t.Context(), "default", o, ann)
	if err != nil || second.Version != 2 || second.Terms[0].Weight != 0.3 {
		t.Fatalf("update = %+v, %v", second, err)
	}
	o.Revision = first.Revision
	if _, err := c.UpdateObjective(t.Context(), "default", o, ann); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an update on an old revision = %v", err)
	}
	if all, err := c.Objectives("default"); err != nil || len(all) != 2 || all[0].ID != "csat" {
		t.Errorf("objectives = %+v, %v", all, err)
	}
	if _, err := c.CreateObjective(t.Context(), "nobody", o, ann); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an objective of nobody = %v", err)
	}
	bad := control.Objective{ID: "no good"}
	reward := 7.0
	bad.Terms = []event.Term{{Weight: math.NaN(), Aggregate: "median"}}
	bad.Min, bad.Max, bad.Window, bad.DefaultReward, bad.Margin = 3, 2, 1, &reward, -1
	bad.OpenRows = "FAIL"
	faults(t, func() error { _, err := c.CreateObjective(t.Context(), "default", bad, ann); return err },
		"name", "terms[0].kind", "terms[0].weight", "terms[0].aggregate", "max", "window", "default_reward", "margin", "open_rows")
}

func TestModes(t *testing.T) {
	c := start(t)
	exploration := 0.05
	m, err := c.SetMode(t.Context(), "default", control.Mode{Scope: "skill:vip", Kind: decision.ModeHoldout, Share: 0.1, Exploration: &exploration}, ann)
	if err != nil {
		t.Fatal(err)
	}
	live, ok := c.Mode("default", "skill:vip")
	if !ok || live.Kind != decision.ModeHoldout || live.Share != 0.1 || *live.Exploration != 0.05 {
		t.Errorf("the live mode is %+v, %v", live, ok)
	}
	if _, err := c.SetMode(t.Context(), "default", control.Mode{Scope: "skill:vip", Kind: decision.ModeOn}, ann); err != nil {
		t.Errorf("an unguarded change = %v", err)
	}
	m.Kind = decision.ModeOff
	if _, err := c.SetMode(t.Context(), "default", m, ann); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a change on an old revision = %v", err)
	}
	if live, _ := c.Mode("default", "skill:vip"); live.Kind != decision.ModeOn {
		t.Errorf("the live mode is %+v", live)
	}
	if all, err := c.Modes("default"); err != nil || len(all) != 2 {
		t.Errorf("modes = %+v, %v", all, err)
	}
	if _, err := c.GetMode("default", "skill:x"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a scope without a mode = %v", err)
	}
	exploration = 2
	faults(t, func() error {
		_, err := c.SetMode(t.Context(), "default", control.Mode{
			Scope: "planet:mars", Kind: "FAST", Share: math.NaN(), Exploration: &exploration, Objective: "fame",
		}, ann)
		return err
	}, "name", "mode", "share", "exploration", "objective")
}

func TestPromoteAndRollBackOneByOne(t *testing.T) {
	c := start(t)
	if _, err := c.Rollback(t.Context(), "default", ann); fault.KindOf(err) != fault.Precondition {
		t.Errorf("rollback without a model = %v", err)
	}
	for _, v := range []string{"v1", "v2", "v3"} {
		for range 2 { // the second time changes nothing
			if got, err := c.Promote(t.Context(), "default", v, control.Trained{}, ann); err != nil || got.Version != v || got.Reason != "because" {
				t.Fatalf("promote %s = %+v, %v", v, got, err)
			}
		}
	}
	for _, want := range []control.Champion{{Version: "v2", Previous: "v1"}, {Version: "v1"}, {}} {
		got, err := c.Rollback(t.Context(), "default", ann)
		if err != nil || got.Version != want.Version || got.Previous != want.Previous {
			t.Fatalf("rollback = %+v, %v, want %+v", got, err, want)
		}
		if live, err := c.Champion("default"); err != nil || live != got {
			t.Errorf("the champion is %+v, %v", live, err)
		}
	}
	for i := range 40 {
		if _, err := c.Promote(t.Context(), "default", fmt.Sprint("w", i), control.Trained{}, ann); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.Rollback(t.Context(), "default", ann); err != nil || got.Version != "w38" {
		t.Errorf("rollback = %+v, %v", got, err)
	}
	if got, err := c.Champion("nobody"); err != nil || got != (control.Champion{}) {
		t.Errorf("champion of nobody = %+v, %v", got, err)
	}
}

// TestRollbackPassesOverOtherRewards: one call takes the bad model out, and what it
// makes live learned what the objective asks today.
func TestRollbackPassesOverOtherRewards(t *testing.T) {
	c := start(t)
	promote := func(model string, version int64) {
		if _, err := c.Promote(t.Context(), "default", model, control.Trained{Objective: control.DefaultObjective, Version: version}, ann); err != nil {
			t.Fatal(err)
		}
	}
	for _, model := range []string{"a1", "b1"} {
		promote(model, 1)
	}
	o, err := c.GetObjective("default", control.DefaultObjective)
	if err != nil {
		t.Fatal(err)
	}
	terms := o.Terms
	o.Terms = []event.Term{{Kind: terms[0].Kind, Weight: -1}}
	o, err = c.UpdateObjective(t.Context(), "default", o, ann)
	if err != nil {
		t.Fatal(err)
	}
	promote("bad", 2)
	if now, err := c.Champion("default"); err != nil || now.Previous != "" {
		t.Errorf("a rollback would make %q live, %v, whose rewards meant something else", now.Previous, err)
	}
	o.Terms = terms
	if _, err = c.UpdateObjective(t.Context(), "default", o, ann); err != nil {
		t.Fatal(err)
	}
	promote("good", 3)
	promote("old", 1) // by a person
	promote("new", 3)
	got, err := c.Rollback(t.Context(), "default", ann)
	if err != nil || got.Version != "good" || got.Previous != "" || !strings.Contains(got.Reason, "because (passed over old: trained for another objective") {
		t.Errorf("rollback = %+v, %v, want the newest of this version", got, err)
	}
	got, err = c.Rollback(t.Context(), "default", ann)
	if err != nil || got.Version != "" || !got.Held || !strings.Contains(got.Reason, "passed over a1, b1, bad:") {
		t.Errorf("rollback = %+v, %v, want policy alone", got, err)
	}
	if live, err := c.Champion("default"); err != nil || live != got {
		t.Errorf("the champion is %+v, %v", live, err)
	}
}

// TestRollbackHoldsTheTrainer: promotion waits for a person, who may as well
// confirm the model that is live.
func TestRollbackHoldsTheTrainer(t *testing.T) {
	c := start(t)
	for _, v := range []string{"v1", "v2"} {
		if got, err := c.Promote(t.Context(), "default", v, control.Trained{}, ann); err != nil || got.Held {
			t.Fatalf("promote %s = %+v, %v", v, got, err)
		}
	}
	if got, err := c.Rollback(t.Context(), "default", ann); err != nil || !got.Held {
		t.Fatalf("rollback = %+v, %v", got, err)
	}
	got, err := c.Promote(t.Context(), "default", "v1", control.Trained{}, ann)
	if err != nil || got.Held || got.Version != "v1" || got.Previous != "" {
		t.Errorf("confirming the live model = %+v, %v", got, err)
	}
	if live, err := c.Champion("default"); err != nil || live != got {
		t.Errorf("the champion is %+v, %v", live, err)
	}
}

// TestOnlyTheRewardMakesAVersion: models of one version can be compared, so words, the
// margin and the price on waiting keep it.
func TestOnlyTheRewardMakesAVersion(t *testing.T) {
	c := start(t)
	version, half := int64(1), 0.5
	for _, step := range []struct {
		name   string
		change func(*control.Objective)
		anew   bool
	}{
		{"nothing", func(*control.Objective) {}, false},
		{"description", func(o *control.Objective) { o.Description = "only words" }, false},
		{"margin", func(o *control.Objective) { o.Margin = -0.1 }, false},
		{"wait_price", func(o *control.Objective) { o.WaitPrice = 0.05 }, false},
		{"the default spelled out", func(o *control.Objective) { o.OpenRows = control.OpenRowsWait }, false},
		{"weight", func(o *control.Objective) { o.Terms[0].Weight = -1 }, true},
		{"aggregate", func(o *control.Objective) { o.Terms[0].Aggregate = "max" }, true},
		{"bias", func(o *control.Objective) { o.Bias = 0.25 }, true},
		{"min", func(o *control.Objective) { o.Min = -2 }, true},
		{"max", func(o *control.Objective) { o.Max = 2 }, true},
		{"window", func(o *control.Objective) { o.Window = time.Hour }, true},
		{"default_reward", func(o *control.Objective) { o.DefaultReward = &half }, true},
		{"open_rows", func(o *control.Objective) { o.OpenRows = control.OpenRowsWeigh }, true},
	} {
		o, err := c.GetObjective("default", control.DefaultObjective)
		if err != nil {
			t.Fatal(err)
		}
		o.Terms = slices.Clone(o.Terms)
		step.change(&o)
		if step.anew {
			version++
		}
		if got, err := c.UpdateObjective(t.Context(), "default", o, ann); err != nil || got.Version != version {
			t.Errorf("%s: version %d, %v, want %d", step.name, got.Version, err, version)
		}
	}
}

// faults holds that one error names exactly these fields.
func faults(t *testing.T, call func() error, fields ...string) {
	t.Helper()
	err := call()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.Invalid {
		t.Errorf("error = %v, want an Invalid fault", err)
		return
	}
	got := map[string]bool{}
	for _, v := range e.Violations {
		got[v.Field] = true
	}
	for _, f := range fields {
		if !got[f] {
			t.Errorf("%s is not among the violations %v", f, e.Violations)
		}
	}
}
