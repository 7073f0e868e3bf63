package policystore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/usherhq/usher/decision/policy"
)

// DiffKind says what became of a policy.
type DiffKind string

// What can become of a policy.
const (
	Added   DiffKind = "ADDED"
	Removed DiffKind = "REMOVED"
	Changed DiffKind = "CHANGED" // perhaps moved too: then position is among the fields
	Moved   DiffKind = "MOVED"
)

// Difference is how one policy differs between two lists.
type Difference struct {
	Policy string
	Kind   DiffKind
	Fields []FieldDiff
}

// FieldDiff is one place of a document that differs, such as
// when.all[0].value; a key that is no plain word stands as levers["a b"]. Before
// and After are JSON, nil where there is nothing. The path "position" is the place
// in the list.
type FieldDiff struct {
	Path          string
	Before, After json.RawMessage
}

const positionPath = "position"

// Diff says what differs between two lists, each in its order: the policies of to
// that are new or different, in their order, then those that are gone. A policy is
// moved when it changed its place among those that both lists have.
func Diff(from, to []*policy.Policy) ([]Difference, error) {
	a, err := entriesOf(from)
	if err != nil {
		return nil, err
	}
	b, err := entriesOf(to)
	if err != nil {
		return nil, err
	}
	return diff(a, b)
}

func diff(from, to []entry) ([]Difference, error) {
	var out []Difference
	was, is, moved := places(from), places(to), movedIn(from, to)
	for i := range to {
		d := Difference{Policy: to[i].Name, Kind: Added}
		position := FieldDiff{Path: positionPath, After: number(i)}
		var before *entry
		if at, known := was[to[i].Name]; known {
			before, d.Kind = &from[at], Changed
			position.Before = number(at)
		}
		var err error
		if d.Fields, err = diffDocuments(before, &to[i]); err != nil {
			return nil, err
		}
		if before == nil || moved[to[i].Name] {
			if before != nil && len(d.Fields) == 0 {
				d.Kind = Moved
			}
			d.Fields = append(d.Fields, position)
		}
		if len(d.Fields) > 0 {
			out = append(out, d)
		}
	}
	for i := range from {
		if _, stays := is[from[i].Name]; stays {
			continue
		}
		fields, err := diffDocuments(&from[i], nil)
		if err != nil {
			return nil, err
		}
		fields = append(fields, FieldDiff{Path: positionPath, Before: number(i)})
		out = append(out, Difference{Policy: from[i].Name, Kind: Removed, Fields: fields})
	}
	return out, nil
}

func number(n int) json.RawMessage { return strconv.AppendInt(nil, int64(n), 10) }

func places(list []entry) map[string]int {
	out := make(map[string]int, len(list))
	for i := range list {
		out[list[i].Name] = i
	}
	return out
}

// movedIn names the policies of both lists that left their place among the others.
// Which of two that changed places moved is a matter of taste: those with another
// rank did, since moving one writes its rank.
func movedIn(from, to []entry) map[string]bool {
	was := places(from)
	var values, weights []int
	var names []string
	for i := range to {
		at, ok := was[to[i].Name]
		if !ok {
			continue
		}
		weight := 1
		if to[i].Rank == from[at].Rank {
			weight += len(to)
		}
		values, weights, names = append(values, at), append(weights, weight), append(names, to[i].Name)
	}
	moved := map[string]bool{}
	for i, stays := range heaviest(values, weights) {
		if !stays {
			moved[names[i]] = true
		}
	}
	return moved
}

// diffDocuments compares what two policies say; nil has no fields.
func diffDocuments(before, after *entry) ([]FieldDiff, error) {
	left, err := tree(before)
	if err != nil {
		return nil, err
	}
	right, err := tree(after)
	if err != nil {
		return nil, err
	}
	var d differ
	d.objects("", left, right)
	return d.fields, d.err
}

// tree is a policy's document without its name and place.
func tree(e *entry) (map[string]any, error) {
	out := map[string]any{}
	if e == nil {
		return out, nil
	}
	document, err := e.document()
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&out); err != nil {
		return nil, fmt.Errorf("read policy %q: %w", e.Name, err)
	}
	delete(out, "name")
	return out, nil
}

type differ struct {
	fields []FieldDiff
	err    error
}

func (d *differ) objects(path string, a, b map[string]any) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		left, inA := a[key]
		right, inB := b[key]
		at := joinPath(path, key)
		switch {
		case !inA:
			d.add(at, nil, &right)
		case !inB:
			d.add(at, &left, nil)
		default:
			d.values(at, left, right)
		}
	}
}

func (d *differ) values(path string, a, b any) {
	switch left := a.(type) {
	case map[string]any:
		if right, ok := b.(map[string]any); ok {
			d.objects(path, left, right)
			return
		}
	case []any:
		if right, ok := b.([]any); ok {
			d.lists(path, left, right)
			return
		}
	default:
		if a == b {
			return
		}
	}
	d.add(path, &a, &b)
}

func (d *differ) lists(path string, a, b []any) {
	for i := range max(len(a), len(b)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(a):
			d.add(at, nil, &b[i])
		case i >= len(b):
			d.add(at, &a[i], nil)
		default:
			d.values(at, a[i], b[i])
		}
	}
}

func (d *differ) add(path string, before, after *any) {
	f := FieldDiff{Path: path}
	for _, side := range []struct {
		value *any
		into  *json.RawMessage
	}{{before, &f.Before}, {after, &f.After}} {
		if side.value == nil {
			continue
		}
		text, err := json.Marshal(*side.value)
		if err != nil && d.err == nil {
			d.err = fmt.Errorf("compare at %s: %w", path, err)
		}
		*side.into = text
	}
	d.fields = append(d.fields, f)
}

func joinPath(path, key string) string {
	for i := range len(key) {
		c := key[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || i > 0 && '0' <= c && c <= '9') {
			return fmt.Sprintf("%s[%q]", path, key)
		}
	}
	switch {
	case key == "":
		return path + `[""]`
	case path == "":
		return key
	}
	return path + "." + key
}
