package decision

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Validate lists every rule that the request breaks as one Invalid *fault.Error,
// nil when it is sound. Field names are those of the public contract.
func (r *Request) Validate() error {
	c := checker{}
	c.id("request_id", "", r.RequestID)
	c.id("conversation_id", "", r.ConversationID)
	c.id("consumer_id", "", r.ConsumerID)
	c.id("visitor_id", "", r.VisitorID)
	c.id("session_id", "", r.SessionID)
	c.id("channel", "", r.Channel)
	c.id("intent", "", r.Intent)
	c.id("policy", "", r.Policy)
	c.value("user_message", "", r.UserMessage, 0)
	if r.Waited < 0 || r.Waited > MaxWaited {
		c.Add("waited", "is %v, must be 0 to %v", r.Waited, MaxWaited)
	}
	if r.Policies != nil && !r.DryRun {
		c.Add("draft", "can be asked in a dry run only")
	}
	if r.Supplied != nil && !r.DryRun {
		c.Add("dry_run_options", "can be given in a dry run only: set dry_run")
	}
	if r.MaxActions < 0 || r.MaxActions > MaxActions {
		c.Add("max_actions", "is %d, must be 0 to %d", r.MaxActions, MaxActions)
	}
	c.attributes("attributes", r.Attributes)
	if r.Baseline != nil {
		c.action("baseline", r.Baseline)
	}
	c.candidates(r.Candidates)
	return c.Err("request is not valid")
}

// checker spells paths only for faults: it runs on every request.
type checker struct{ fault.Check }

func (c *checker) id(prefix, field, value string) {
	if len(value) > maxID {
		c.Add(prefix+field, "has %d bytes, at most %d are allowed", len(value), maxID)
	}
	if !utf8.ValidString(value) {
		c.Add(prefix+field, "is not UTF-8")
	}
	if fault.HasControl(value) {
		c.Add(prefix+field, "holds a control character")
	}
}

func (c *checker) action(path string, a *event.Action) {
	c.id(path, ".type", a.Type)
	c.id(path, ".target", a.Target)
	if a.Key() == "" {
		c.Add(path, "needs a type or a target")
	}
	for name, v := range a.Payload {
		c.value(path+".payload", name, v, 0)
	}
}

func (c *checker) candidates(list []event.Candidate) {
	if len(list) > MaxCandidates {
		c.Add("candidates", "has %d elements, at most %d are allowed", len(list), MaxCandidates)
		return
	}
	var seen map[string]int
	if len(list) > linearSearch {
		seen = make(map[string]int, len(list))
	}
	for i := range list {
		one := &list[i]
		if len(one.Type) > maxID || len(one.Target) > maxID || one.Key() == "" ||
			!utf8.ValidString(one.Type) || !utf8.ValidString(one.Target) || len(one.Payload) > 0 {
			c.action(fmt.Sprintf("candidates[%d]", i), &one.Action)
		}
		if len(one.Attributes) > 0 {
			c.candidateAttributes(i, one.Attributes)
		}
		if first, twice := duplicate(list, seen, i); twice {
			c.Add(fmt.Sprintf("candidates[%d]", i), "has the key %q of candidates[%d]", one.Key(), first)
		}
	}
}

// linearSearch is the number of candidates up to which comparing all pairs beats
// making a map.
const linearSearch = 16

func duplicate(list []event.Candidate, seen map[string]int, i int) (int, bool) {
	key := list[i].Key()
	if key == "" {
		return 0, false
	}
	if seen != nil {
		first, twice := seen[key]
		if !twice {
			seen[key] = i
		}
		return first, twice
	}
	for j := range i {
		if list[j].Key() == key {
			return j, true
		}
	}
	return 0, false
}

func (c *checker) candidateAttributes(i int, attributes map[string]any) {
	// Spelling the path of every candidate beforehand would cost more than all
	// the checks.
	inner := checker{}
	inner.attributes("attributes", attributes)
	if f, ok := errors.AsType[*fault.Error](inner.Err("")); ok {
		for _, v := range f.Violations {
			c.Add(fmt.Sprintf("candidates[%d].%s", i, v.Field), "%s", v.Description)
		}
	}
}

func (c *checker) attributes(path string, attributes map[string]any) {
	if len(attributes) > MaxAttributes {
		c.Add(path, "has %d entries, at most %d are allowed", len(attributes), MaxAttributes)
		return
	}
	for name, v := range attributes {
		if name == "" || len(name) > maxID || !utf8.ValidString(name) {
			c.Add(path, "has a name that is empty, over %d bytes or not UTF-8: %.40q", maxID, name)
		}
		c.value(path, name, v, 0)
	}
}

func (c *checker) value(path, name string, v any, depth int) {
	if depth > maxDepth {
		c.Add(path+"."+name, "is nested more than %d deep", maxDepth)
		return
	}
	switch t := v.(type) {
	case string:
		if len(t) > maxString || !utf8.ValidString(t) {
			c.Add(strings.TrimSuffix(path+"."+name, "."), "is over %d bytes or not UTF-8", maxString)
		}
	case float64:
		if math.IsNaN(t) || math.IsInf(t, 0) {
			c.Add(path+"."+name, "is not a finite number")
		}
	case bool, nil, int, int32, int64:
	case []any:
		for _, element := range t {
			c.value(path, name, element, depth+1)
		}
	case map[string]any:
		for key, inner := range t {
			c.value(path+"."+name, key, inner, depth+1)
		}
	default:
		c.Add(path+"."+name, "is a %T, which is not JSON", v)
	}
}
