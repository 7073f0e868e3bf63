package policy

import (
	"strings"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// sourceLive is the source of live skill state in traces.
const sourceLive = "live"

// causeSchedule is why a policy is DISABLED outside of its schedule.
const causeSchedule = "schedule"

// Trace says what every policy and every leaf condition was worth, in order.
// Policies after place decided are NOT_REACHED; pass -1 when none decided. It may
// be called any number of times after one [Input.Load].
func (s *Set) Trace(in *Input, decided int) []event.PolicyTrace {
	if decided < 0 {
		decided = len(s.rules)
	}
	end := len(s.conditions)
	if decided+1 < len(s.rules) {
		end = s.rules[decided+1].first
	}
	// Two allocations for the whole trace. What the facts do not change was written
	// when the set was compiled, so that tracing is copying and filling in.
	conditions := append([]event.ConditionTrace(nil), s.conditions[:end]...)
	out := append([]event.PolicyTrace(nil), s.entries...)
	for i, r := range s.rules {
		switch {
		case r.state != event.True:
		case i > decided:
			out[i].State = event.NotReached
		default:
			last := r.first + len(r.traced)
			// The capacity ends with the part, so that nobody who appends to one
			// policy's conditions writes into the next one's.
			r.trace(in, &out[i], conditions[r.first:last:last])
		}
	}
	return out
}

// Trace says what this one policy was worth.
func (r *Rule) Trace(in *Input) event.PolicyTrace {
	root := in.set.rules[r.at]
	t := in.set.entries[r.at]
	if root.state == event.True {
		last := root.first + len(root.traced)
		root.trace(in, &t, append([]event.ConditionTrace(nil), in.set.conditions[root.first:last]...))
	}
	return t
}

// trace fills in what the facts make of the policy.
func (r *Rule) trace(in *Input, t *event.PolicyTrace, conditions []event.ConditionTrace) {
	t.Conditions = conditions
	cause := ""
	for i := range r.traced {
		l := &r.traced[i]
		if l.trace(in, &conditions[i]); conditions[i].Truth == event.Unknown && cause == "" && r.decides(i) && l.failed(in) {
			cause = conditions[i].Cause
		}
	}
	if r.schedule != nil && !r.schedule.holds(in.facts.Now) {
		t.State, t.Cause = event.Disabled, causeSchedule
		return
	}
	result := r.test(in)
	if r.exception != nil {
		if e := r.exception.test(in); e == isTrue {
			t.Exception, result = true, e
		} else {
			result = max(result, e)
		}
	}
	switch {
	case result == isTrue:
		t.State = event.True
	case result == isFalse:
		t.State = event.False
	case cause != "":
		t.State, t.Cause = event.Errored, cause
	default:
		t.State = event.Unknown
	}
}

// decides reports whether the leaf is one that the policy's state depends on: of
// the exception, or of the condition and the templates.
func (r *Rule) decides(i int) bool {
	if r.exception != nil {
		if i < len(r.exception.leaves) {
			return i < r.exception.decisive
		}
		i -= len(r.exception.leaves)
	}
	return i < r.decisive
}

// trace evaluates the leaf, whatever its neighbours say, and writes what the facts
// change: a record holds many of these.
func (l *leaf) trace(in *Input, t *event.ConditionTrace) {
	switch l.test(in) {
	case isTrue:
		t.Truth = event.True
	case isFalse:
		t.Truth = event.False
	default:
		t.Truth = event.Unknown
		t.Cause = l.cause(in)
	}
	switch {
	case l.slot >= 0:
		v := &in.values[l.slot]
		t.Actual = v.boxed()
		if v.from != fromRequest {
			o := in.origin(l.slot)
			t.Source, t.Age = o.source, o.age
		}
	case l.expression != nil:
		l.expression.seen(in, t)
	case l.broken == "":
		t.Actual = in.clockText(l.zone)
	}
	if l.other >= 0 {
		t.Expected = in.values[l.other].boxed()
	}
	l.redact(in, t)
}

// clockText is the decision's time as the clock on the wall of the condition's zone
// shows it. Conditions mostly are of few zones, so the last text is kept.
func (in *Input) clockText(zone *time.Location) any {
	if zone == nil {
		zone = time.UTC
	}
	if in.clock == nil || in.clockZone != zone.String() {
		in.clockZone = zone.String()
		in.clock = in.facts.Now.In(zone).Format("Mon 2006-01-02 15:04:05 ") + in.clockZone
	}
	return in.clock
}

// failed reports whether something went wrong beneath the leaf, just found
// UNKNOWN, as opposed to an attribute that nobody has.
func (l *leaf) failed(in *Input) bool {
	switch {
	case l.broken != "":
		return true
	case l.expression != nil:
		return in.cels[l.expression.result].failed
	}
	return l.slot >= 0 && in.failure(l.slot) != "" || l.other >= 0 && in.failure(l.other) != ""
}

// cause says why the leaf, just evaluated, was UNKNOWN.
func (l *leaf) cause(in *Input) string {
	switch {
	case l.broken != "":
		return l.broken
	case l.expression != nil:
		return in.cels[l.expression.result].cause
	}
	for _, side := range [...]struct {
		slot    int
		missing string
	}{{l.slot, "missing"}, {l.other, "value_from missing"}} {
		if side.slot < 0 || in.values[side.slot].kind != kindMissing {
			continue
		}
		if why := in.failure(side.slot); why != "" {
			return why
		}
		return side.missing
	}
	if l.slot >= 0 {
		return in.values[l.slot].kind.wrong()
	}
	return ""
}

// wrong names the kind as the cause of UNKNOWN.
func (k kind) wrong() string {
	switch k {
	case kindString:
		return "wrong type: a string"
	case kindNumber:
		return "wrong type: a number"
	case kindBool:
		return "wrong type: a boolean"
	case kindList:
		return "wrong type: a list"
	case kindMissing:
		return "missing"
	default:
		return "wrong type: an object"
	}
}

// origin is where a slot's value came from, or why it did not come.
type origin struct {
	load    uint64 // of the facts that it is about; 0 for none
	source  string
	failure string
	age     time.Duration
}

// origin finds out once for all conditions on the slot.
func (in *Input) origin(slot int) *origin {
	if len(in.origins) == 0 {
		in.origins = make([]origin, len(in.values))
	}
	o, src := &in.origins[slot], &in.set.sources[slot]
	if o.load == in.loads && !src.ofCandidate {
		return o
	}
	*o = origin{load: in.loads}
	f := in.facts
	switch in.values[slot].from {
	case fromLive:
		o.source = sourceLive
		if f.Skills != nil && src.skill != "" {
			if state, ok := f.Skills(src.skill); ok {
				o.age = ageOf(f, state)
			}
		}
	case fromFound:
		o.source, _ = byPrefix(f.Sources, src)
		o.age, _ = byPrefix(f.Ages, src)
	case fromRequest:
	}
	if in.values[slot].kind == kindMissing {
		o.failure, _ = byPrefix(f.Failed, src)
	}
	return o
}

// failure returns why the slot has no value when something went wrong, else "".
func (in *Input) failure(slot int) string {
	if len(in.facts.Failed) == 0 || in.values[slot].kind != kindMissing {
		return ""
	}
	return in.origin(slot).failure
}

// byPrefix looks up a source by any of its names: the whole one, the attribute that
// it is a part of, or its alias.
func byPrefix[V any](m map[string]V, src *source) (V, bool) {
	for at := src.key; len(m) > 0; {
		if v, ok := m[at]; ok {
			return v, true
		}
		dot := strings.LastIndexByte(at, '.')
		if dot < 0 {
			break
		}
		at = at[:dot]
	}
	if src.alias != nil {
		return byPrefix(m, src.alias)
	}
	var none V
	return none, false
}
