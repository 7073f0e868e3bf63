package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// What the request brought and nobody looked at tells the same whatever it was, and
// so do fields that a replay does not tell. Everything else must be found.
func brought() *regexp.Regexp {
	return regexp.MustCompile(`^(decision_id|latency_ns|time|(conversation|consumer|visitor|session)_id|channel|intent|baseline|max_actions|added|` +
		`waited_ns|only_policy|labels\..*|attributes\..*|sources\..*|calls\[.*|skills\..*|candidates\[\d+\]\.(type|target|payload.*|attributes.*))$`)
}

// TestTamperingIsFound changes every single value of every record, one at a time,
// and takes it away.
func TestTamperingIsFound(t *testing.T) {
	tampered, exempt := 0, brought()
	scenes(t, func(h *house, name string, d *event.Decision) {
		text, err := json.Marshal(d)
		must(t, err)
		var tree map[string]any
		must(t, json.Unmarshal(text, &tree))
		walk("", tree, func(path string, change func(string) bool) {
			if exempt.MatchString(path) {
				return
			}
			for _, how := range []string{"other", "gone"} {
				if !change(how) {
					continue
				}
				changed, err := json.Marshal(tree)
				must(t, err)
				other, err := event.DecodeDecision(&event.Message{Value: changed})
				must(t, err)
				got := h.verify(other)
				if tampered++; got.Verdict == replay.Same || len(got.Findings) == 0 {
					t.Errorf("%s: %s %s was not found: %s", name, path, how, changed)
				}
			}
			change("")
		})
	})
	if tampered < 1000 {
		t.Errorf("%d values were tried", tampered)
	}
}

// walk visits every leaf of a document; change replaces it by another value, takes it
// away, or, with "", puts the original back. It reports whether that is a change.
func walk(path string, v any, visit func(path string, change func(how string) bool)) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			original := v[key]
			at := strings.TrimPrefix(path+"."+key, ".")
			switch original.(type) {
			case map[string]any, []any:
				walk(at, original, visit)
			default:
				visit(at, func(how string) bool {
					switch how {
					case "gone":
						delete(v, key)
						return !isZero(original)
					case "other":
						v[key] = another(original)
					default:
						v[key] = original
					}
					return true
				})
			}
		}
	case []any:
		for i := range v {
			at, original := fmt.Sprintf("%s[%d]", path, i), v[i]
			switch original.(type) {
			case map[string]any, []any:
				walk(at, original, visit)
			default:
				visit(at, func(how string) bool {
					v[i] = original
					if how == "other" {
						v[i] = another(original)
					}
					return how != "gone"
				})
			}
		}
	}
}

func isZero(v any) bool { return v == "" || v == 0.0 || v == false || v == nil }

func another(v any) any {
	switch v := v.(type) {
	case string:
		if v != "" && strings.Trim(v, "0123456789") == "" {
			return "7" // the seed is a number in a string
		}
		return v + "x"
	case float64:
		return v + 1
	case bool:
		return !v
	}
	return "x"
}

// What policies look at is held by what they said of it: facts that mattered cannot
// be changed unseen either.
func TestTamperedFactsAreFound(t *testing.T) {
	h := build(t)
	h.skills["care"] = event.Skill{AgentsOnline: 2, Load: .5, At: h.now}
	h.lookup["crm.blocked"] = true
	for i, document := range lists()["fixed, exception, deny"] {
		h.put(fmt.Sprintf("p%d", i), document)
	}
	d := h.decide(decision.Request{RequestID: "r", Attributes: map[string]any{"tier": "gold"}, Candidates: candidates("care", "sales")})
	for name, change := range map[string]func(*event.Decision){
		"attribute": func(d *event.Decision) { d.Attributes["tier"] = "silver" },
		"found":     func(d *event.Decision) { d.Attributes["crm.blocked"] = false },
		"source":    func(d *event.Decision) { d.Sources["crm.blocked"] = "sde" },
		"live":      func(d *event.Decision) { d.Skills["care"] = event.Skill{Load: 1} },
		"intent":    func(d *event.Decision) { d.Intent = "help" },
		"request":   func(d *event.Decision) { d.RequestID = "s" },
		"one more":  func(d *event.Decision) { d.Candidates = append(d.Candidates, candidates("x")...) },
		"one less":  func(d *event.Decision) { d.Actions = d.Actions[:2] },
		"no trace":  func(d *event.Decision) { d.Policies = nil },
	} {
		other := stored(t, d)
		change(other)
		if got := h.verify(other); got.Verdict != replay.Different || len(got.Findings) == 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWhatIsGoneIsNamed(t *testing.T) {
	h := build(t)
	h.teach("m1")
	h.personal = []string{"tier", "mail"}
	h.put("vip", `{"when": {"attribute": "tier", "operator": "equal", "value": "gold"}, "effect": {"fixed": {"actions": [{"target": "desk"}]}}}`)
	secret := h.decide(decision.Request{RequestID: "r1", Attributes: map[string]any{"tier": "gold", "mail": "a@b.c"}, Candidates: candidates("billing")})
	harmless := h.decide(decision.Request{RequestID: "r2", Attributes: map[string]any{"mail": "a@b.c"}, Candidates: candidates("billing")})
	early, stranger := stored(t, harmless), stored(t, harmless)
	early.PolicyRevision, stranger.Account = 99, "nobody"
	if got := h.verify(harmless); got.Verdict != replay.Same {
		t.Errorf("a personal attribute that nobody looks at: %+v", got)
	}
	h.verifier = nil // which has the model still
	for want, d := range map[string]*event.Decision{
		`attribute "tier"`: secret, `model "m1"`: harmless, "policy_revision 99": early, `account "nobody"`: stranger,
	} {
		if want == `model "m1"` {
			delete(h.models, "m1")
		}
		got := h.verify(d)
		if got.Verdict != replay.NotVerifiable || len(got.Findings) != 1 || !strings.Contains(got.Findings[0], want) || got.Replayed != nil {
			t.Errorf("want %s, got %+v", want, got)
		}
		h.teach("m1")
		h.verifier = nil
	}
}

// TestPoliciesAreCompiledOncePerRevision: proving many decisions costs deciding them
// again, not compiling the account's policies for each.
func TestPoliciesAreCompiledOncePerRevision(t *testing.T) {
	h := build(t)
	for i := range 150 {
		h.put(fmt.Sprint("p", i), fmt.Sprintf(`{"when": {"attribute": "tier", "operator": "equal", "value": "t%d"},
			"effect": {"fixed": {"actions": [{"target": "desk"}]}}}`, i))
	}
	h.now = h.now.Add(time.Minute)
	d := h.decide(decision.Request{RequestID: "r1", Attributes: map[string]any{"tier": "t7"}, Candidates: candidates("billing")})
	verify := func() {
		if got := h.verify(d); got.Verdict != replay.Same {
			t.Fatalf("%+v", got)
		}
	}
	each := testing.AllocsPerRun(5, verify)
	first := testing.AllocsPerRun(5, func() { h.verifier = nil; verify() })
	if each > first/3 {
		t.Errorf("a verification makes %.0f allocations, the first one %.0f", each, first)
	}
	h.put("new", `{"when": {"attribute": "tier", "operator": "equal", "value": "new"}, "effect": {"fixed": {"actions": [{"target": "other"}]}}}`)
	verify() // by the list of its revision
	h.now = h.now.Add(time.Minute)
	d = h.decide(decision.Request{RequestID: "r2", Attributes: map[string]any{"tier": "new"}, Candidates: candidates("billing")})
	verify()
	if d.Chosen != "other" {
		t.Errorf("the new list answers %q", d.Chosen)
	}
}

// TestAVerificationWaitsItsTurn no longer than its context.
func TestAVerificationWaitsItsTurn(t *testing.T) {
	h := build(t)
	d := h.decide(decision.Request{RequestID: "r1", Candidates: candidates("billing")})
	ctx, cancel := context.WithCancel(t.Context())
	held := &gate{Log: h.log, in: make(chan struct{}), out: make(chan struct{})}
	v, err := replay.NewVerifier(decision.DefaultConfig(), replay.Deps{Log: held})
	must(t, err)
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() { _, _ = v.Verify(t.Context(), d) })
		<-held.in
	}
	cancel()
	if _, err := v.Verify(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("a third one gets %v", err)
	}
	close(held.out)
	running.Wait()
}

// gate is a config log that makes its readers wait.
type gate struct {
	replay.Log
	in, out chan struct{}
}

func (g *gate) State() *configlog.State {
	g.in <- struct{}{}
	<-g.out
	return g.Log.State()
}

// TestASplitByWhatIsPersonalIsNotVerifiable: the record lacks what the draw went by,
// under either name of it.
func TestASplitByWhatIsPersonalIsNotVerifiable(t *testing.T) {
	for by, hidden := range map[string]string{
		"consumer": "consumer_id", "consumer_id": "conversation.consumerId", "conversation.consumerId": "consumer_id",
		"visitor_id": "visitor_id", "mail": "mail", "session_id": "conversation.groupId",
	} {
		h := build(t)
		h.personal = []string{hidden}
		h.put("half", `{"effect": {"split": {"by": "`+by+`", "arms": [
			{"weight": 1, "actions": [{"target": "a"}]}, {"weight": 1, "actions": [{"target": "b"}]}]}}}`)
		for i := range 8 {
			id := fmt.Sprint("anna", i)
			d := h.decide(decision.Request{
				RequestID: "r", ConversationID: "c", ConsumerID: id, VisitorID: id, SessionID: id, Attributes: map[string]any{"mail": id},
			})
			if got := h.verify(d); got.Verdict != replay.NotVerifiable {
				t.Errorf("split by %s: %+v of %q", by, got, d.Redacted)
			}
		}
	}
}

// Settings that changed within seconds of the decision may or may not have been
// there yet.
func TestSettingsOfTheMomentMayBeEither(t *testing.T) {
	h := build(t)
	h.teach("m1")
	h.mode(control.Mode{Kind: decision.ModeOn})
	d := h.decide(decision.Request{RequestID: "r1", Channel: "web", Intent: "refund", Candidates: candidates("billing", "sales", "care")})
	h.now = d.Time.Add(-2 * time.Second)
	h.mode(control.Mode{Kind: decision.ModeShadow})
	if got := h.verify(d); got.Verdict != replay.Same {
		t.Errorf("%+v", got)
	}
	h.now = d.Time.Add(time.Hour)
	h.mode(control.Mode{Kind: decision.ModeOff})
	if got := h.verify(d); got.Verdict != replay.Same {
		t.Errorf("a change of an hour later counts: %+v", got)
	}
}

// What an account answers by default is of its time, too: as a policy, and as the
// effect that older accounts have.
func TestDefaultsAreToldAgain(t *testing.T) {
	h := build(t)
	const effect = `{"fixed": {"actions": [{"target": "%s"}]}}`
	set := func(target string) {
		a, err := h.control.GetAccount("acme")
		must(t, err)
		a.DefaultEffect = fmt.Appendf(nil, effect, target)
		_, err = h.control.UpdateAccount(t.Context(), a, control.Author{Name: "test"})
		must(t, err)
		h.now = h.now.Add(time.Minute)
	}
	var log []*event.Decision
	ask := func(want string) {
		d := h.decide(decision.Request{RequestID: fmt.Sprint("r", len(log)), Candidates: candidates("billing")})
		if d.Chosen != want || d.DecidedBy != event.DecidedByDefault {
			t.Fatalf("%s by %s, want %s", d.Chosen, d.DecidedBy, want)
		}
		log = append(log, d)
	}
	set("front")
	ask("front")
	set("back")
	ask("back")
	h.put("default", fmt.Sprintf(`{"effect": `+effect+`}`, "desk"))
	ask("desk")
	must(t, h.policies.Delete(t.Context(), "acme", "default", policystore.Change{Author: "test"}))
	h.now = h.now.Add(time.Minute)
	for i, d := range log {
		if got := h.verify(d); got.Verdict != replay.Same {
			t.Errorf("%d: %s %q", i, got.Verdict, got.Findings)
		}
	}
}
