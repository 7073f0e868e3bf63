package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/usherhq/usher/decision/policy"
)

// rule is the policy that all engines translate: intent is X, wait is above a
// limit, the hour is in a range, not a VIP, the channel starts with a prefix.
type rule struct {
	Intent   string
	Wait     float64
	From, To float64
	Prefix   string
}

// ask is one question to the rules.
type ask struct {
	Intent, Channel string
	Wait, Hour      float64
	VIP             bool
	attributes      map[string]any // the same, as a bot sends it
}

// decider answers with the index of the first rule that matches, -1 for none.
type decider interface {
	decide(a *ask) int
}

func newAsk(intent, channel string, wait, hour float64, vip bool) *ask {
	return &ask{
		Intent: intent, Channel: channel, Wait: wait, Hour: hour, VIP: vip,
		attributes: map[string]any{"intent": intent, "channel": channel, "wait": wait, "hour": hour, "vip": vip},
	}
}

// lastMatches makes n rules of which only the last one matches its asks, which is
// the worst case of a list that is read from the top.
func lastMatches(n int) ([]rule, []*ask) {
	rules := make([]rule, n)
	for i := range rules {
		rules[i] = rule{Intent: fmt.Sprintf("intent-%d", i), Wait: 30, From: 8, To: 20, Prefix: "web"}
	}
	asks := make([]*ask, 64)
	for i := range asks {
		asks[i] = newAsk(rules[n-1].Intent, "webchat", float64(31+i), float64(8+i%12), false)
	}
	return rules, asks
}

// random makes rules and asks that overlap, so that order and every condition
// matter.
func random(seed uint64, rules, asks int) ([]rule, []*ask) {
	r := rand.New(rand.NewPCG(seed, 1))
	intents, channels := 1+rules/3, []string{"web", "webchat", "voice", "email", "we", ""}
	out := make([]rule, rules)
	for i := range out {
		from := float64(r.IntN(24))
		out[i] = rule{
			Intent: fmt.Sprintf("intent-%d", r.IntN(intents)), Wait: float64(r.IntN(60)),
			From: from, To: from + float64(r.IntN(24)), Prefix: channels[r.IntN(len(channels))],
		}
	}
	in := make([]*ask, asks)
	for i := range in {
		in[i] = newAsk(fmt.Sprintf("intent-%d", r.IntN(intents+1)), channels[r.IntN(len(channels))],
			float64(r.IntN(90)), float64(r.IntN(24)), r.IntN(4) == 0)
	}
	return out, in
}

// linear is what a programmer would write by hand.
type linear []rule

func (l linear) decide(a *ask) int {
	for i := range l {
		r := &l[i]
		if a.Intent == r.Intent && a.Wait > r.Wait && a.Hour >= r.From && a.Hour < r.To && !a.VIP &&
			len(a.Channel) >= len(r.Prefix) && a.Channel[:len(r.Prefix)] == r.Prefix {
			return i
		}
	}
	return -1
}

// ours is the product's policy language.
type ours struct {
	set   *policy.Set
	in    *policy.Input
	facts policy.Facts
	index map[*policy.Rule]int
}

func newOurs(rules []rule) (*ours, error) {
	policies := make([]*policy.Policy, len(rules))
	for i, r := range rules {
		doc, err := json.Marshal(map[string]any{
			"name": fmt.Sprintf("p%05d", i),
			"when": map[string]any{"all": []any{
				map[string]any{"attribute": "intent", "operator": "equal", "value": r.Intent},
				map[string]any{"attribute": "wait", "operator": "greater_than", "value": r.Wait},
				map[string]any{"attribute": "hour", "operator": "greater_than_or_equal", "value": r.From},
				map[string]any{"attribute": "hour", "operator": "less_than", "value": r.To},
				map[string]any{"attribute": "vip", "operator": "equal", "value": false},
				map[string]any{"attribute": "channel", "operator": "starts_with", "value": r.Prefix},
			}},
			"effect": map[string]any{"fixed": map[string]any{"actions": []any{
				map[string]any{"type": "TRANSFER_TO_SKILL", "target": r.Intent},
			}}},
		})
		if err != nil {
			return nil, err
		}
		if policies[i], err = policy.Parse(doc); err != nil {
			return nil, err
		}
	}
	o := &ours{set: policy.Compile(policies, 1), index: map[*policy.Rule]int{}}
	if o.set.Live() != len(rules) {
		return nil, fmt.Errorf("%d of %d policies are live", o.set.Live(), len(rules))
	}
	o.in = o.set.NewInput()
	for i := range o.set.Len() {
		o.index[o.set.Rule(i)] = i
	}
	return o, nil
}

func (o *ours) decide(a *ask) int {
	if r := o.eval(a); r != nil {
		return o.index[r]
	}
	return -1
}

func (o *ours) eval(a *ask) *policy.Rule {
	o.facts = policy.Facts{Attributes: a.attributes}
	o.in.Load(&o.facts)
	return o.set.Eval(o.in)
}
