package jsontree_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/usherhq/usher/internal/jsontree"
)

func TestReadKnowsPlacesAndDoubleKeys(t *testing.T) {
	var places, twice []string
	tree, err := jsontree.Read([]byte(`{"a":[1,{"b":12345678901234567890}],"a":null}`), jsontree.Options{
		Root: "doc", Numbers: true,
		At:    func(place string) { places = append(places, place) },
		Twice: func(place string) { twice = append(twice, place) },
	})
	if err != nil || !reflect.DeepEqual(tree, map[string]any{"a": nil}) {
		t.Errorf("read %v, %v", tree, err)
	}
	if got, want := strings.Join(places, " "), "doc doc.a doc.a[0] doc.a[1] doc.a[1].b doc.a"; got != want {
		t.Errorf("places %s, want %s", got, want)
	}
	if len(twice) != 1 || twice[0] != "doc.a" {
		t.Errorf("twice %v", twice)
	}
}

// FuzzRead holds the reader to encoding/json: the same trees, the same refusals but
// for depth.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `null`, ` {"a": [1, 2.5, -0, 1e9, "x\u0000", true]} `, `{"a":1}{`, `{"a"`, `[1,]`, `{"a":1,}`, ``, `"`, `nul`,
		strings.Repeat("[", 102) + strings.Repeat("]", 102), `{"":{"":0}}`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := jsontree.Read(data, jsontree.Options{})
		var want any
		refused := json.Unmarshal(data, &want)
		deep := err != nil && strings.Contains(err.Error(), "nested more than")
		if (err == nil) != (refused == nil) && !deep {
			t.Fatalf("%q: %v, encoding/json: %v", data, err, refused)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, want %v", data, got, want)
		}
	})
}
