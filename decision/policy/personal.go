package policy

import (
	"reflect"
	"slices"

	"github.com/usherhq/usher/pipeline/event"
)

// Redacted stands in records for what is personal.
const Redacted = "[redacted]"

// causePersonal is what a record says of an expression that went wrong over
// personal values: the evaluator's own words may repeat them.
const causePersonal = "the expression failed on a personal value"

// Redacting makes [Rule.Fixed], [Rule.Extra] and [Rule.Arms] fill in [Redacted] for
// every attribute that [Facts.Personal] names, until it is switched off.
func (in *Input) Redacting(on bool) { in.redacting = on }

// personal reports whether the slot's value must stay out of records.
func (in *Input) personal(slot int) bool {
	return slot >= 0 && in.facts.Personal != nil && in.facts.Personal(in.set.sources[slot].name)
}

// redact takes personal values out of a condition's trace, by the names that it
// looks at. A constant that equals the personal value says it, too.
func (l *leaf) redact(in *Input, t *event.ConditionTrace) {
	if in.facts.Personal == nil {
		return
	}
	own := t.Actual != nil && in.personal(l.slot)
	if own && reflect.DeepEqual(t.Actual, t.Expected) || t.Expected != nil && in.personal(l.other) {
		t.Expected = Redacted
	}
	if own {
		t.Actual = Redacted
	}
}

// personal reports whether the expression looks at something personal.
func (l *celLeaf) personal(in *Input) bool {
	return slices.ContainsFunc(l.slots, in.personal)
}
