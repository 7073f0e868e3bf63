package replay

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/usherhq/usher/pipeline/event"
)

// untold are the fields that a replay cannot and need not tell again.
func untold() []string { return []string{"decision_id", "latency_ns"} }

// differences lists what two records do not have in common, one line for each
// place, in order. What is empty equals what is not there.
func differences(recorded, replayed *event.Decision) ([]string, error) {
	a, err := asTree(recorded)
	if err != nil {
		return nil, err
	}
	b, err := asTree(replayed)
	if err != nil {
		return nil, err
	}
	for _, name := range untold() {
		delete(a, name)
		delete(b, name)
	}
	var out []string
	compare("", a, b, &out)
	return out, nil
}

func asTree(d *event.Decision) (map[string]any, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write decision %q: %w", d.ID, err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("read decision %q: %w", d.ID, err)
	}
	return tree, nil
}

func compare(path string, a, b any, out *[]string) {
	if isEmpty(a) && isEmpty(b) {
		return
	}
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			compareObjects(path, a, b, out)
			return
		}
	case []any:
		if b, ok := b.([]any); ok && len(a) == len(b) {
			for i := range a {
				compare(fmt.Sprintf("%s[%d]", path, i), a[i], b[i], out)
			}
			return
		}
	}
	if !reflect.DeepEqual(a, b) {
		*out = append(*out, fmt.Sprintf("%s: recorded %s, replayed %s", path, spell(a), spell(b)))
	}
}

func compareObjects(path string, a, b map[string]any, out *[]string) {
	both := maps.Clone(a)
	maps.Copy(both, b)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		at := name
		if path != "" {
			at = path + "." + name
		}
		compare(at, a[name], b[name], out)
	}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return v == "" || v == 0.0 || v == false
	}
}

// spelled is how much of a value a finding shows.
const spelled = 200

func spell(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if v == nil {
		return "nothing"
	}
	if len(text) > spelled {
		return string(text[:spelled]) + " …"
	}
	return string(text)
}
