package policy

import (
	"fmt"
	"strings"

	"github.com/usherhq/usher/pipeline/event"
)

func (d *decoder) effect(v any, path string) Effect {
	o := d.object(v, path)
	e := Effect{Fixed: d.fixed(o), Rank: d.rank(o), Split: d.split(o)}
	if v, at, ok := o.take("deny"); ok {
		f := d.object(v, at)
		e.Deny = &Deny{Targets: f.selector(), Where: d.optional(f, "where")}
		f.done()
	}
	list, at := o.list("steps")
	for i, v := range list {
		e.Steps = append(e.Steps, d.step(v, fmt.Sprintf("%s[%d]", at, i)))
	}
	if list != nil && len(list) == 0 {
		d.check.unreadable(CodeMissing, at, "is empty")
	}
	if d.check.madeUp(at) {
		e.Steps = []Step{{}} // so that the effect is not called empty
	}
	o.done()
	return e
}

func (d *decoder) fixed(o *object) *Fixed {
	v, at, ok := o.take("fixed")
	if !ok {
		return nil
	}
	f := d.object(v, at)
	defer f.done()
	return &Fixed{Actions: d.actions(f, "actions")}
}

func (d *decoder) rank(o *object) *Rank {
	v, at, ok := o.take("rank")
	if !ok {
		return nil
	}
	f := d.object(v, at)
	defer f.done()
	return &Rank{
		Objective: f.text("objective"), Targets: f.selector(), Where: d.optional(f, "where"),
		Levers: d.levers(f), Actions: d.actions(f, "actions"),
	}
}

// selector reads the keys of candidates. An empty list would select all of them.
func (o *object) selector() []string {
	const key = "targets"
	out := o.texts(key)
	if list, isList := o.fields[key].([]any); isList && len(list) == 0 {
		o.d.check.unreadable(CodeMissing, join(o.path, key), "is empty; name candidates, or leave it out")
	}
	return out
}

func (d *decoder) split(o *object) *Split {
	v, at, ok := o.take("split")
	if !ok {
		return nil
	}
	f := d.object(v, at)
	defer f.done()
	s := &Split{By: strings.TrimSpace(f.text("by")), Arms: []Arm{}}
	list, path := f.list("arms")
	for i, v := range list {
		a := d.object(v, fmt.Sprintf("%s[%d]", path, i))
		s.Arms = append(s.Arms, Arm{Weight: a.number("weight"), Actions: d.actions(a, "actions")})
		a.done()
	}
	return s
}

func (d *decoder) step(v any, path string) Step {
	o := d.object(v, path)
	defer o.done()
	return Step{
		Fixed: d.fixed(o), Rank: d.rank(o), Split: d.split(o),
		SkipWhen: d.optional(o, "skip_when"), ExpiresAfter: strings.TrimSpace(o.text("expires_after", `such as "45s"`)),
	}
}

func (d *decoder) levers(o *object) map[string]float64 {
	v, path, ok := o.take("levers")
	if !ok {
		return nil
	}
	f := d.object(v, path)
	out := map[string]float64{}
	for _, key := range sortedKeys(f.fields) {
		out[key] = f.number(key)
	}
	return out
}

// unreadText stands where a text of an action could not be read.
const unreadText = "?"

func (d *decoder) actions(o *object, key string) []event.Action {
	list, path := o.list(key)
	out := make([]event.Action, 0, len(list))
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		a := d.object(v, at)
		action := event.Action{Type: a.text("type"), Target: a.text("target")}
		if d.check.madeUp(at + ".type") {
			action.Type = unreadText
		}
		if action.Type == "" && d.check.madeUp(at+".target") {
			action.Target = unreadText
		}
		if p, at, ok := a.take("payload"); ok {
			action.Payload = d.object(p, at).fields
		}
		a.done()
		out = append(out, d.canonical(action, at))
	}
	return out
}

// canonical brings an action into canonical form and reports what is said twice.
func (d *decoder) canonical(a event.Action, path string) event.Action {
	out := NormalizeAction(a)
	for _, name := range otherNames(out.Type) {
		if _, left := out.Payload[name]; left {
			d.check.fail(CodeBadAction, path+".payload."+name, "says again, and otherwise, what the target or another field says")
		}
	}
	return out
}
