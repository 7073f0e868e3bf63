package decision

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// Redacted stands in records for the value of a personal attribute.
const Redacted = policy.Redacted

// NamesPersonal reports whether the value of the attribute is, lies in, or holds
// something of what the names of personal attributes say, under any of its names.
func NamesPersonal(personal []string, attribute string) bool {
	_, ok := personalAs(personal, attribute)
	return ok
}

// personalAs returns the personal name that the attribute falls under.
func personalAs(personal []string, attribute string) (string, bool) {
	if len(personal) == 0 {
		return "", false
	}
	if attribute == "attributes" { // all of them
		return personal[0], true
	}
	attribute = canonical(strings.TrimPrefix(attribute, candidatePrefix))
	for _, name := range personal {
		if n := canonical(strings.TrimPrefix(name, candidatePrefix)); within(attribute, n) || within(n, attribute) {
			return n, true
		}
	}
	return "", false
}

const candidatePrefix = "candidate."

// within reports whether the attribute is the other or a part of it.
func within(name, of string) bool {
	return strings.HasPrefix(name, of) && (len(name) == len(of) || name[len(of)] == '.')
}

// canonical is the one name, for redaction, of a field of the request that has two.
func canonical(name string) string {
	switch name {
	case "channel", "intent", "user_message":
		return nameInContext(name)
	case "conversation.consumerId":
		return "consumer_id"
	case "conversation.groupId":
		return "session_id"
	}
	return name
}

// spellings are the names under which a request can bring what has that name.
func spellings(name string) []string {
	switch name = canonical(strings.TrimPrefix(name, candidatePrefix)); name {
	case "orchestrator.channel":
		return []string{name, "channel"}
	case "orchestrator.intent":
		return []string{name, "intent"}
	case messageName:
		return []string{name, "user_message"}
	case "consumer_id":
		return []string{name, "conversation.consumerId"}
	case "session_id":
		return []string{name, "conversation.groupId"}
	}
	return []string{name}
}

// isPersonal is policy.Facts.Personal of this decision: by what the account and the
// context declare, whether or not the record has the value. What it finds, the record
// lists as redacted.
func (t *turn) isPersonal(attribute string) bool {
	for _, list := range [...][]string{t.rules.Personal, t.found.Redact} {
		if name, ok := personalAs(list, attribute); ok {
			t.hide(name)
			return true
		}
	}
	return false
}

// guards reports whether anything is personal in this decision.
func (t *turn) guards() bool { return len(t.rules.Personal) > 0 || len(t.found.Redact) > 0 }

// hide notes in the record that something was kept out of it.
func (t *turn) hide(name string) {
	if at, there := slices.BinarySearch(t.d.Redacted, name); !there {
		t.d.Redacted = slices.Insert(t.d.Redacted, at, name)
	}
}

// redact takes the values of personal attributes out of the record. Policies have
// them still; the model never sees them, neither here nor in training.
func (t *turn) redact() { t.d.Attributes = t.masked(t.d.Attributes) }

// redactCandidates does the same with what is known of candidates, once no policy
// looks at it any more.
func (t *turn) redactCandidates() {
	if !t.guards() {
		return
	}
	for i := range t.d.Candidates {
		if c := &t.d.Candidates[i]; len(c.Attributes) > 0 {
			c.Attributes = t.masked(c.Attributes)
		}
	}
	t.redactPayloads()
}

func (t *turn) masked(attributes map[string]any) map[string]any {
	for _, list := range [...][]string{t.rules.Personal, t.found.Redact} {
		for _, name := range list {
			for _, spelling := range spellings(name) {
				if m, ok := mask(attributes, "", spelling, func(v any) { t.note(canonical(name), v) }); ok {
					attributes = m
					t.hide(canonical(name))
				}
			}
		}
	}
	return attributes
}

// mask returns a copy of the attributes that hides one of them, however it is
// spelled: flat, nested or both, whole or in parts. What lies on the way to it is
// copied too, the rest shared. hid gets what is hidden.
func mask(attributes map[string]any, path, name string, hid func(any)) (masked map[string]any, ok bool) {
	for key, v := range attributes {
		part, found := maskValue(v, path+key, name, hid)
		if !found {
			continue
		}
		if masked == nil {
			masked = maps.Clone(attributes)
		}
		masked[key] = part
	}
	return masked, masked != nil
}

func maskValue(v any, path, name string, hid func(any)) (any, bool) {
	switch {
	case v == nil || v == any(Redacted):
		return nil, false
	case within(path, name):
		hid(v)
		return Redacted, true
	case !within(name, path):
		return nil, false
	}
	switch t := v.(type) {
	case map[string]any:
		return mask(t, path+".", name, hid)
	case []any:
		var out []any
		for i := range t {
			if part, found := maskValue(t[i], path, name, hid); found {
				if out == nil {
					out = slices.Clone(t)
				}
				out[i] = part
			}
		}
		return out, out != nil
	}
	return nil, false
}

// shown is an action of a policy with personal values in it, and how records show it.
type shown struct{ real, record event.Action }

// rendered fills in what a policy answers, and notes how records are to show it.
func (t *turn) rendered(in *policy.Input, of func(*policy.Input) []event.Action) []event.Action {
	actions := of(in)
	if !t.guards() {
		return actions
	}
	in.Redacting(true)
	defer in.Redacting(false)
	for i, record := range of(in) {
		t.show(actions[i], record)
	}
	return actions
}

// renderedArms does the same with the arms of a split.
func (t *turn) renderedArms(r *policy.Rule, in *policy.Input) []policy.ArmActions {
	arms := r.Arms(in)
	if !t.guards() {
		return arms
	}
	in.Redacting(true)
	defer in.Redacting(false)
	for i, hidden := range r.Arms(in) {
		for j := range hidden.Actions {
			t.show(arms[i].Actions[j], hidden.Actions[j])
		}
	}
	return arms
}

func (t *turn) show(filled, record event.Action) {
	if filled, record = withType(filled), withType(record); !reflect.DeepEqual(filled, record) {
		t.shown = append(t.shown, shown{filled, record})
	}
}

// part parts the decision: the record without personal values, and the answer, which
// the caller gets and which is the record itself when that lacks nothing.
func (t *turn) part() (answer, record *event.Decision) {
	record = t.d
	if !t.guards() {
		return record, record
	}
	own := *record
	answer = &own
	t.redactRequest()
	if len(t.shown) == 0 {
		return answer, record
	}
	record.Actions, record.Candidates = slices.Clone(record.Actions), slices.Clone(record.Candidates)
	for i := range record.Actions {
		record.Actions[i] = t.asShown(record.Actions[i])
	}
	for i := range record.Candidates {
		record.Candidates[i].Action = t.asShown(record.Candidates[i].Action)
	}
	for _, key := range [...]*string{&record.Baseline, &record.PolicyOnly, &record.ModelOnly, &record.Drawn, &record.Chosen} {
		*key = t.keyShown(*key)
	}
	if len(record.Skills) > 0 {
		skills := make(map[string]event.Skill, len(record.Skills))
		for key, state := range record.Skills {
			skills[t.keyShown(key)] = state
		}
		record.Skills = skills
	}
	return answer, record
}

// redactRequest takes personal ids out of the record.
func (t *turn) redactRequest() {
	for _, f := range [...]struct {
		name  string
		value *string
	}{{"consumer_id", &t.d.ConsumerID}, {"visitor_id", &t.d.VisitorID}, {"session_id", &t.d.SessionID}} {
		if *f.value != "" && t.isPersonal(f.name) {
			*f.value = Redacted
		}
	}
}

// asShown is an action as the record has it. A caller's candidate with the target of
// one that is hidden says that target, and is hidden with it.
func (t *turn) asShown(a event.Action) event.Action {
	for i := range t.shown {
		if reflect.DeepEqual(t.shown[i].real, a) {
			return t.shown[i].record
		}
	}
	a.Target = t.keyShown(a.Target)
	return a
}

// keyShown is the key of a candidate as the record has it.
func (t *turn) keyShown(key string) string {
	for i := range t.shown {
		if s := &t.shown[i]; key != "" && s.real.Key() == key {
			return s.record.Key()
		}
	}
	return key
}
