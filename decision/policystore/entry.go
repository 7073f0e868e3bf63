package policystore

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// entry is one policy of a list with the document it was read from, which is all
// that can be moved about of one that cannot be read.
type entry struct {
	*policy.Policy
	raw []byte // nil unless the policy has a fault
}

// parse reads a document. One that cannot be read keeps what can be told of it.
func parse(document []byte) *policy.Policy {
	p, err := policy.Parse(document)
	if err == nil {
		return p
	}
	p = &policy.Policy{Fault: err}
	var known struct {
		Name        string  `json:"name"`
		DisplayName string  `json:"display_name"`
		Description string  `json:"description"`
		Rank        float64 `json:"rank"`
		Enabled     bool    `json:"enabled"`
	}
	if json.Unmarshal(document, &known) == nil {
		p.Name, p.DisplayName, p.Description = known.Name, known.DisplayName, known.Description
		p.Rank, p.Enabled = known.Rank, known.Enabled
	}
	return p
}

func entryOf(document []byte) entry {
	e := entry{Policy: parse(document)}
	if e.Fault != nil {
		e.raw = document
	}
	return e
}

// isDefault reports whether the entry is the account's default policy.
func (e *entry) isDefault() bool { return e.Name == policy.DefaultName }

// value is the document to store with a rank.
func (e *entry) value(rank float64) ([]byte, error) {
	if e.Fault == nil {
		own := *e.Policy
		own.Rank = rank
		return policy.Marshal(&own)
	}
	fields, err := fieldsOf(e.raw)
	if err != nil {
		return nil, fmt.Errorf("read policy %q: %w", e.Name, err)
	}
	if delete(fields, "rank"); rank != 0 {
		if fields["rank"], err = json.Marshal(rank); err != nil {
			return nil, fmt.Errorf("write policy %q: %w", e.Name, err)
		}
	}
	return json.Marshal(fields)
}

// document is what the policy says, without its place: two policies are alike
// when their documents are.
func (e *entry) document() ([]byte, error) { return e.value(0) }

func fieldsOf(document []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	err := json.Unmarshal(document, &fields)
	return fields, err
}

// alike reports whether two policies say the same, wherever they stand.
func alike(a, b *entry) bool {
	left, err := a.document()
	if err != nil {
		return false
	}
	right, err := b.document()
	return err == nil && bytes.Equal(left, right)
}

// live returns the entries of the live list, and its revision.
func (s *Store) live(account string) ([]entry, int64) {
	policies, revision := s.List(account)
	return s.entries(account, policies), revision
}

func (s *Store) entries(account string, policies []*policy.Policy) []entry {
	out := make([]entry, len(policies))
	for i, p := range policies {
		out[i].Policy = p
		if p.Fault == nil {
			continue
		}
		if r, ok := s.Resource(account, p.Name); ok {
			out[i].raw = r.Value
		}
	}
	return out
}

// entriesOf makes entries of policies that a caller built.
func entriesOf(policies []*policy.Policy) ([]entry, error) {
	out := make([]entry, len(policies))
	for i, p := range policies {
		out[i].Policy = p
		if p.Fault == nil {
			continue
		}
		known := *p
		known.Fault = nil
		var err error
		if out[i].raw, err = policy.Marshal(&known); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func policiesIn(list []entry) []*policy.Policy {
	out := make([]*policy.Policy, len(list))
	for i := range list {
		out[i] = list[i].Policy
	}
	return out
}

// inOrder sorts entries the way they are asked.
func inOrder(list []entry) {
	slices.SortStableFunc(list, func(a, b entry) int {
		if a.isDefault() != b.isDefault() {
			if a.isDefault() {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), strings.Compare(a.Name, b.Name))
	})
}

// defaultLast moves the default policy to the end and keeps the order of the
// others.
func defaultLast(list []entry) []entry {
	for i := range list {
		if list[i].isDefault() {
			last := list[i]
			return append(slices.Delete(slices.Clone(list), i, i+1), last)
		}
	}
	return list
}

// find returns the place of a policy, -1 when there is none of that name.
func find(list []*policy.Policy, name string) int {
	return slices.IndexFunc(list, func(p *policy.Policy) bool { return p.Name == name })
}

// byName finds entries by their names.
func byName(list []entry) map[string]*entry {
	out := make(map[string]*entry, len(list))
	for i := range list {
		out[list[i].Name] = &list[i]
	}
	return out
}

// checkNames finds what keeps a list from being one: missing, odd and repeated
// names, and too many of them.
func checkNames(list []entry) error {
	if len(list) > MaxPolicies {
		return tooMany(len(list))
	}
	var check fault.Check
	seen := map[string]bool{}
	for i := range list {
		checkNameAt(&check, i, list[i].Name, seen)
	}
	return check.Err("the list of policies is not valid")
}

func checkNameAt(check *fault.Check, i int, name string, seen map[string]bool) {
	at := fmt.Sprintf("policies[%d].name", i)
	switch {
	case name == "":
		check.Add(at, "is missing")
	case !policy.ValidName(name):
		check.Add(at, "%q must be 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit", name)
	case seen[name]:
		check.Add(at, "%q stands twice", name)
	}
	seen[name] = true
}

func tooMany(n int) error {
	return fault.New(fault.Precondition, "TOO_MANY_POLICIES", "%d policies are too many for one account; the limit is %d", n, MaxPolicies)
}

// versionEntry is a policy as one of its versions had it.
func versionEntry(v *configlog.Version) entry {
	e := entryOf(v.Value)
	e.Name, e.Revision = v.Name, v.Revision
	return e
}
