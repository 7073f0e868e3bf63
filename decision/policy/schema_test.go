package policy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision/policy"
)

// TestSchemaIsCurrent: the published file is what the code makes. Run it with
// USHER_UPDATE=1 to write it.
func TestSchemaIsCurrent(t *testing.T) {
	const file = "../../docs/policy.schema.json"
	want, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("USHER_UPDATE") != "" {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/policy.schema.json is not what the code makes (%v); run USHER_UPDATE=1 go test ./decision/policy -run Schema", err)
	}
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := policy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(policy.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(policy.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaTakesWhatParseMakes: the canonical form of every sample is valid.
func TestSchemaTakesWhatParseMakes(t *testing.T) {
	s := schema(t)
	samples := documentedExamples(t)
	conditions, err := os.ReadFile("testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(conditions), "\n") {
		if _, when, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			samples = append(samples, `{"when":`+when+`,"effect":{"rank":{}}}`)
		}
	}
	if len(samples) < 150 {
		t.Fatalf("%d samples", len(samples))
	}
	for _, sample := range samples {
		data, err := policy.Marshal(parse(t, sample))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// TestSchemaRefuses: shapes that Parse refuses too.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	for _, sample := range []string{
		`{}`, `{"effect":{}}`, `{"effect":{"rank":{}},"colour":1}`, `{"name":"A B","effect":{"rank":{}}}`,
		`{"effect":{"rank":{},"fixed":{"actions":[{"type":"CLOSE"}]}}}`, `{"effect":{"fixed":{"actions":[]}}}`,
		`{"effect":{"rank":{"levers":{"a":-101}}}}`, `{"effect":{"split":{"arms":[{"weight":0,"actions":[{"type":"CLOSE"}]}]}}}`,
		`{"effect":{"steps":[{}]}}`, `{"effect":{"steps":[{"rank":{},"expires_after":"soon"}]}}`,
		`{"when":{"all":[],"any":[]},"effect":{"rank":{}}}`, `{"when":{"attribute":"a","operator":"resembles","value":1},"effect":{"rank":{}}}`,
		`{"when":{"attribute":"a","operator":"equal"},"effect":{"rank":{}}}`, `{"when":{"attribute":"a","operator":"between","value":[1]},"effect":{"rank":{}}}`,
		`{"when":{"attribute":"a","operator":"in","value":"x"},"effect":{"rank":{}}}`, `{"when":{"time":{"from":"9am"}},"effect":{"rank":{}}}`,
		`{"when":{"time":{"calendar":"a","from":"09:00"}},"effect":{"rank":{}}}`,
	} {
		var doc any
		if err := json.Unmarshal([]byte(sample), &doc); err != nil {
			t.Fatal(err)
		}
		if s.Validate(doc) == nil {
			t.Errorf("the schema takes %s", sample)
		}
		if _, err := policy.Parse([]byte(sample)); err == nil {
			t.Errorf("Parse takes %s", sample)
		}
	}
}

// TestSchemaTakesAnyCanonicalForm: so is that of random conditions, wherever one stands.
func TestSchemaTakesAnyCanonicalForm(t *testing.T) {
	s := schema(t)
	rapid.Check(t, func(rt *rapid.T) {
		p := &policy.Policy{Name: "a", When: anyCondition(rt, 3), Effect: policy.Effect{Steps: []policy.Step{{Rank: &policy.Rank{Where: anyCondition(rt, 1)}, SkipWhen: anyCondition(rt, 1), ExpiresAfter: "30s"}}}}
		data, err := policy.Marshal(p)
		if err != nil {
			rt.Fatal(err)
		}
		if p, err = policy.Parse(data); err != nil {
			rt.Fatalf("%s: %v", data, err)
		}
		again, err := policy.Marshal(p)
		if err != nil || !bytes.Equal(data, again) {
			rt.Fatalf("%s became %s (%v)", data, again, err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(again))
		if err != nil || s.Validate(doc) != nil {
			rt.Fatalf("%s: %v", again, s.Validate(doc))
		}
	})
}
