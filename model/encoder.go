package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Facts is what a decision knew of its conversation, as logged. Engine and
// trainer both hand it to an [Encoder], so that the features a model is asked
// about are the features it learned from.
type Facts struct {
	Channel, Intent string
	// Attributes holds strings, numbers, booleans and lists, whose elements count
	// as words; anything else is left out.
	Attributes map[string]any
	// Baseline is the key of the action the caller would take by itself.
	Baseline string
}

// Option is one candidate action with what is known of it.
type Option struct {
	Key        string
	Attributes map[string]any
}

// Encoder turns logged facts into features. Its order is that of the sorted
// attribute names, so equal facts give equal bits whatever a map's order. It
// keeps its memory between uses and is not safe for concurrent use; the zero
// value is ready.
type Encoder struct {
	context Features
	arms    []Arm
	bags    []Features
	names   []string
	ignored map[string]bool
}

// Ignore makes Context leave out the attributes of these names, until it is told
// others; nil leaves out none. The map must not change while it is in use.
func (e *Encoder) Ignore(names map[string]bool) { e.ignored = names }

// textLength is the length in bytes from which a string with a space in it is
// read as words: no two customers write the same sentence, so as one category
// it would teach nothing.
const textLength = 40

// Context returns the features of f. They are valid until the next call.
func (e *Encoder) Context(f *Facts) *Features {
	e.context.Reset()
	if f.Channel != "" {
		e.context.AddString("channel", f.Channel)
	}
	if f.Intent != "" {
		e.context.AddString("intent", f.Intent)
	}
	if f.Baseline != "" {
		e.context.AddString("baseline", f.Baseline)
	}
	e.addAll(&e.context, f, e.ignored)
	return &e.context
}

// Arms returns one arm per option, in order. They are valid until the next call.
func (e *Encoder) Arms(options []Option, baseline string) []Arm {
	for len(e.bags) < len(options) {
		e.bags = append(e.bags, Features{})
	}
	e.arms = e.arms[:0]
	for i := range options {
		o := &options[i]
		arm := Arm{ID: o.Key, Baseline: baseline != "" && o.Key == baseline}
		if len(o.Attributes) > 0 {
			bag := &e.bags[i]
			bag.Reset()
			e.addAll(bag, &Facts{Attributes: o.Attributes}, nil)
			arm.Features = bag
		}
		e.arms = append(e.arms, arm)
	}
	return e.arms
}

// addAll adds the attributes by sorted name. An attribute named like a field of
// the request gives way to the field.
func (e *Encoder) addAll(to *Features, f *Facts, ignored map[string]bool) {
	e.names = e.names[:0]
	for name := range f.Attributes {
		if name == "channel" && f.Channel != "" || name == "intent" && f.Intent != "" ||
			name == "baseline" && f.Baseline != "" || ignored[name] {
			continue
		}
		e.names = append(e.names, name)
	}
	slices.Sort(e.names)
	for _, name := range e.names {
		addValue(to, name, f.Attributes[name])
	}
}

func addValue(to *Features, name string, value any) {
	switch v := value.(type) {
	case string:
		addString(to, name, v)
	case float64:
		to.AddNumber(name, v)
	case int:
		to.AddNumber(name, float64(v))
	case int64:
		to.AddNumber(name, float64(v))
	case bool:
		to.AddBool(name, v)
	case []string:
		for _, element := range v {
			addString(to, name, element)
		}
	case []any:
		for _, element := range v {
			addString(to, name, word(element))
		}
	}
}

// word writes an element of a list as the word that a warehouse keeps of it:
// strings as they are, all else as JSON. Lists are sets of words, so that a list
// read back from a column of strings means what it meant when it was decided on.
func word(element any) string {
	if s, ok := element.(string); ok {
		return s
	}
	text, err := json.Marshal(element)
	if err != nil {
		return fmt.Sprint(element)
	}
	return string(text)
}

func addString(to *Features, name, v string) {
	if len(v) >= textLength && strings.IndexByte(v, ' ') >= 0 {
		to.AddText(name, v)
		return
	}
	to.AddString(name, v)
}
