package policy

import (
	"fmt"

	"github.com/usherhq/usher/pipeline/event"
)

// action is a compiled event.Action.
type action struct {
	plain   event.Action
	target  template
	payload any // tree of template, map[string]any, []any and constants
	varies  bool
}

// actions compiles a list; what the templates in it need goes to the rule.
func (c *compiler) actions(r *Rule, list []event.Action, path string) []action {
	if len(list) > maxActions {
		c.check.fail(CodeLimit, path, "has %d elements; the limit is %d", len(list), maxActions)
	}
	out := make([]action, len(list))
	for i, a := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.checkAction(&a, at)
		out[i].plain = a
		before := len(r.leaves)
		target, leaves := c.template(a.Target, at+".target")
		out[i].target = target
		r.leaves = append(r.leaves, leaves...)
		if a.Payload != nil {
			out[i].payload = c.payload(r, a.Payload, at+".payload")
		}
		out[i].varies = len(r.leaves) > before
	}
	return out
}

// payload compiles every string of the tree; anything else stays as it is.
func (c *compiler) payload(r *Rule, v any, path string) any {
	switch t := v.(type) {
	case string:
		compiled, leaves := c.template(t, path)
		r.leaves = append(r.leaves, leaves...)
		return compiled
	case map[string]any:
		out := make(map[string]any, len(t))
		for _, key := range sortedKeys(t) {
			out[key] = c.payload(r, t[key], path+"."+key)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = c.payload(r, t[i], fmt.Sprintf("%s[%d]", path, i))
		}
		return out
	default:
		return v
	}
}

func render(list []action, in *Input) []event.Action {
	if len(list) == 0 {
		return nil
	}
	out := make([]event.Action, len(list))
	for i := range list {
		a := &list[i]
		out[i] = a.plain
		// A constant payload is shared by all decisions: records are read-only.
		if !a.varies {
			continue
		}
		out[i].Target = a.target.text(in)
		if a.payload != nil {
			out[i].Payload, _ = fill(a.payload, in).(map[string]any)
		}
	}
	return out
}

// fill copies a compiled payload with the templates filled in.
func fill(v any, in *Input) any {
	switch t := v.(type) {
	case template:
		return t.value(in)
	case map[string]any:
		out := make(map[string]any, len(t))
		for key, inner := range t {
			out[key] = fill(inner, in)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = fill(t[i], in)
		}
		return out
	default:
		return v
	}
}
