package event

import (
	"slices"
	"strings"
)

// The attribute and the cause of an expression's trace can name several attributes.
const (
	betweenAttributes = ", "
	missingPrefix     = "missing: "
)

// JoinAttributes is the attribute of a condition that looks at all of them.
func JoinAttributes(names []string) string { return strings.Join(names, betweenAttributes) }

// MissingAttributes is the cause of a condition that was UNKNOWN without them.
func MissingAttributes(names []string) string {
	return missingPrefix + strings.Join(names, betweenAttributes)
}

// Attributes lists what the condition looks at: one attribute, several of an
// expression, none of a policy's own fault.
func (c *ConditionTrace) Attributes() []string {
	if c.Attribute == "" {
		return nil
	}
	return strings.Split(c.Attribute, betweenAttributes)
}

// Unknown lists the attributes for which the condition was UNKNOWN: of an expression
// those that its cause names, else all that it looks at. There are none when it was
// TRUE or FALSE.
func (c *ConditionTrace) Unknown() []string {
	if c.Truth != Unknown {
		return nil
	}
	all := c.Attributes()
	if len(all) < 2 {
		return all
	}
	if names, ok := strings.CutPrefix(c.Cause, missingPrefix); ok {
		return strings.Split(names, betweenAttributes)
	}
	if name, _, ok := c.failed(all); ok {
		return []string{name}
	}
	return all
}

// Failed names the attribute that a function or a look-up failed to fill, and why;
// ok is false when nothing failed.
func (c *ConditionTrace) Failed() (name, why string, ok bool) {
	switch {
	case c.Truth != Unknown || c.Cause == "", c.Cause == "missing", c.Cause == "value_from missing",
		strings.HasPrefix(c.Cause, missingPrefix), strings.HasPrefix(c.Cause, "wrong type"):
		return "", "", false
	case c.Operator == "cel":
		return c.failed(c.Attributes())
	}
	return c.Attribute, c.Cause, c.Attribute != ""
}

// failed reads the cause of an expression, which begins with the attribute's name.
func (c *ConditionTrace) failed(among []string) (name, why string, ok bool) {
	name, why, ok = strings.Cut(c.Cause, ": ")
	return name, why, ok && slices.Contains(among, name)
}
