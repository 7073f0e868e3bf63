package decision

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/usherhq/usher/pipeline/event"
)

// Redacted stands in records for the value of a personal attribute.
const Redacted = "[redacted]"

// redact takes the values of personal attributes out of the record. Policies have
// them still; the model never sees them, neither here nor in training.
func (t *turn) redact() {
	for _, list := range [...][]string{t.rules.Personal, t.found.Redact} {
		for _, name := range list {
			if v, masked, ok := mask(t.d.Attributes, name); ok {
				t.d.Attributes = masked
				t.personal = append(t.personal, v)
				if !slices.Contains(t.d.Redacted, name) {
					t.d.Redacted = append(t.d.Redacted, name)
				}
			}
		}
	}
	slices.Sort(t.d.Redacted)
}

// mask returns the value of an attribute and a copy of the attributes that hides
// it; what lies on the way to it is copied too, the rest shared.
func mask(attributes map[string]any, name string) (value any, masked map[string]any, ok bool) {
	if v, there := attributes[name]; there && v != nil && v != Redacted {
		masked = maps.Clone(attributes)
		masked[name] = Redacted
		return v, masked, true
	}
	for end := strings.LastIndexByte(name, '.'); end > 0; end = strings.LastIndexByte(name[:end], '.') {
		inner, isObject := attributes[name[:end]].(map[string]any)
		if !isObject {
			continue
		}
		if v, part, found := mask(inner, name[end+1:]); found {
			masked = maps.Clone(attributes)
			masked[name[:end]] = part
			return v, masked, true
		}
	}
	return nil, nil, false
}

// redactTraces takes personal values out of what the policies said: as the left
// side of a condition, and wherever the right side is the same value.
func (t *turn) redactTraces() {
	if len(t.personal) == 0 {
		return
	}
	for i := range t.d.Policies {
		conditions := t.d.Policies[i].Conditions
		for j := range conditions {
			t.redactTrace(&conditions[j])
		}
	}
}

func (t *turn) redactTrace(c *event.ConditionTrace) {
	if c.Actual != nil && t.isPersonal(c.Attribute) {
		c.Actual = Redacted
	}
	if c.Expected == nil {
		return
	}
	for _, v := range t.personal {
		if reflect.DeepEqual(v, c.Expected) {
			c.Expected = Redacted
			return
		}
	}
}

// isPersonal reports whether the value of the attribute is, lies in, or holds
// something personal.
func (t *turn) isPersonal(attribute string) bool {
	switch attribute {
	case "":
		return false
	case "channel", "intent", "user_message":
		attribute = nameInContext(attribute)
	}
	for _, name := range t.d.Redacted {
		if name == attribute || strings.HasPrefix(attribute, name+".") || strings.HasPrefix(name, attribute+".") {
			return true
		}
	}
	return false
}
