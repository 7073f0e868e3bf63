package policy

import (
	"bytes"
	"errors"

	"github.com/usherhq/usher/internal/jsontree"
)

// Parse reads one policy document and checks all of it, expressions, patterns
// and time zones included. The error is an Invalid *fault.Error that names every
// fault with its path, such as when.all[0].operator. Operators may be spelled as
// [ParseOperator] allows; the result is in canonical form.
func Parse(data []byte) (*Policy, error) {
	return ParseFor(data, nil)
}

// ParseFor is [Parse] that also checks the policy against what an account's
// policies may speak of, so that the faults of both kinds come out together.
// Warnings are left to [Check]. Without an environment it is Parse.
func ParseFor(data []byte, env *Environment) (*Policy, error) {
	c := newCompiler()
	c.env, c.audit = env, env
	return c.parse(data, func(d *decoder, tree any) *Policy { return d.policy(tree) }, "policy is not valid")
}

func parseEffect(data []byte) (*Policy, error) {
	return newCompiler().parse(data, func(d *decoder, tree any) *Policy {
		p := &Policy{Enabled: true}
		p.Effect = d.effect(tree, "effect")
		return p
	}, "effect is not valid")
}

func (c *compiler) parse(data []byte, read func(*decoder, any) *Policy, message string) (*Policy, error) {
	if len(data) > maxDocument {
		c.check.fail(CodeLimit, "", "the document has %d bytes; the limit is %d", len(data), maxDocument)
		return nil, c.check.Err(message)
	}
	d := &decoder{check: &c.check}
	tree, err := readTree(data, &c.check)
	if err != nil {
		c.check.Add("", "is not JSON: %s", err)
		return nil, c.check.Err(message)
	}
	// Compiling is the check: what Parse takes, Compile takes.
	p := read(d, tree)
	c.rule(p)
	if c.check.errors > 0 {
		c.check.inOrderOf(placesOf(data))
	}
	if err := c.check.Err(message); err != nil {
		if d, ok := errors.AsType[*DocumentError](err); ok {
			d.document = bytes.Clone(data)
		}
		return nil, err
	}
	return p, nil
}

// placesOf numbers the paths of a document in its order.
func placesOf(data []byte) map[string]int {
	places := map[string]int{}
	// What was read before can be read again.
	_, _ = jsontree.Read(data, jsontree.Options{At: func(place string) {
		if _, twice := places[place]; !twice {
			places[place] = len(places)
		}
	}})
	return places
}

// Check reports every fault of a policy that was built in Go rather than parsed.
func (p *Policy) Check() error {
	c := newCompiler()
	checkName(p.Name, &c.check)
	c.rule(p)
	return c.check.Err("policy is not valid")
}

// maxPolicyName keeps names short enough for URLs, labels and scopes.
const maxPolicyName = 63

func checkName(name string, check *findings) {
	if name != "" && !ValidName(name) {
		check.Add("name", "%q must be 1 to %d of a-z, 0-9, '-', '_', '.', beginning with a letter or digit", name, maxPolicyName)
	}
}

// ValidName reports whether name can be a policy's.
func ValidName(name string) bool {
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return name != "" && len(name) <= maxPolicyName
}

// readTree decodes JSON; a key that stands twice is a fault.
func readTree(data []byte, check *findings) (any, error) {
	return jsontree.Read(data, jsontree.Options{Twice: func(place string) {
		check.fail(CodeDuplicateKey, place, "stands twice")
	}})
}

func join(path, key string) string { return jsontree.Join(path, key) }
