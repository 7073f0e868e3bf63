package policy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/policy"
)

type checkCase struct {
	Name string `json:"name"`
	Env  *struct {
		Strict     bool `json:"strict"`
		Attributes map[string]struct {
			Type    policy.AttributeType `json:"type"`
			Allowed []any                `json:"allowed"`
		} `json:"attributes"`
		Skills        []string                    `json:"skills"`
		Agents        []string                    `json:"agents"`
		Bots          []string                    `json:"bots"`
		RoutingSkills []string                    `json:"routing_skills"`
		RoutingBots   []string                    `json:"routing_bots"`
		Objectives    []string                    `json:"objectives"`
		Calendars     map[string]*policy.Calendar `json:"calendars"`
	} `json:"env"`
	Now      time.Time         `json:"now"`
	Policies []json.RawMessage `json:"policies"`
	Want     []string          `json:"want"`
}

func (c *checkCase) environment() *policy.Environment {
	if c.Env == nil {
		return nil
	}
	set := func(ids []string) map[string]struct{} {
		out := map[string]struct{}{}
		for _, id := range ids {
			out[id] = struct{}{}
		}
		return out
	}
	env := &policy.Environment{
		Strict: c.Env.Strict, Skills: set(c.Env.Skills), Agents: set(c.Env.Agents), Bots: set(c.Env.Bots),
		RoutingSkills: c.Env.RoutingSkills, Calendars: c.Env.Calendars,
		RoutingBots: c.Env.RoutingBots, Objectives: set(c.Env.Objectives),
	}
	if c.Env.Attributes != nil {
		env.Attributes = map[string]policy.Attribute{}
		for name, a := range c.Env.Attributes {
			env.Attributes[name] = policy.Attribute{Type: a.Type, Allowed: a.Allowed}
		}
	}
	return env
}

// TestCheck asks of every case for exactly the problems it names: severity, policy,
// path and code, and what their description must hold.
func TestCheck(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []checkCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var policies []*policy.Policy
			for i, doc := range c.Policies {
				p, err := policy.Parse(doc)
				if err != nil {
					p = &policy.Policy{Name: nameIn(doc), Enabled: true, Fault: err}
				}
				p.Rank = float64(i)
				policies = append(policies, p)
			}
			problems := policy.Check(policies, c.environment(), policy.At(c.Now))
			var got []string
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%s %s %s %s", p.Severity, p.Policy, p.Path, p.Code))
			}
			for i, want := range c.Want {
				words := strings.SplitN(want, " ", 5)
				if i >= len(got) || got[i] != strings.Join(words[:4], " ") {
					break
				}
				if len(words) > 4 && !strings.Contains(problems[i].Description, words[4]) {
					t.Errorf("%s: %q does not say %q", got[i], problems[i].Description, words[4])
				}
				c.Want[i] = got[i]
			}
			if !slices.Equal(got, c.Want) {
				t.Errorf("problems\n%s\nwant\n%s\n%+v", strings.Join(got, "\n"), strings.Join(c.Want, "\n"), problems)
			}
		})
	}
}

// nameIn reads the name of a document that may have any fault but that of its name.
func nameIn(doc []byte) string {
	var known struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(doc, &known) != nil {
		return ""
	}
	return known.Name
}

// TestCheckKnowsWhatParseFound: a document that cannot be read is a problem of the
// list with the codes that Parse gave.
func TestCheckKnowsWhatParseFound(t *testing.T) {
	_, err := policy.Parse([]byte(`{"name":"a","colour":1,"when":{"attribute":"x","operator":"resembles","value":1},"effect":{"rank":{},"rank":{}}}`))
	problems := policy.Check([]*policy.Policy{{Name: "a", Enabled: true, Fault: err}}, nil)
	var codes []string
	for _, p := range problems {
		codes = append(codes, p.Code+" "+p.Path+" "+p.Policy)
	}
	want := []string{"DUPLICATE_KEY effect.rank a", "UNKNOWN_OPERATOR when.operator a", "UNKNOWN_FIELD colour a"}
	slices.Sort(codes)
	slices.Sort(want)
	if !slices.Equal(codes, want) || !policy.HasErrors(problems) {
		t.Errorf("problems %v, want %v", codes, want)
	}
	if policy.HasErrors(nil) || policy.ProblemsOf(nil) != nil {
		t.Error("there are problems without any")
	}
}

// TestCheckTakesLongLists: a thousand policies are compared pairwise.
func TestCheckTakesLongLists(t *testing.T) {
	var policies []*policy.Policy
	for i := range 1000 {
		policies = append(policies, parse(t, fmt.Sprintf(`{"name":"p%d","rank":%d,"when":{"all":[
			{"attribute":"intent","operator":"equal","value":"intent-%d"},{"attribute":"wait","operator":"greater_than","value":30},
			{"any":[{"attribute":"vip","operator":"equal","value":false},{"cel":"wait > 3"}]}]},"effect":{"rank":{}}}`, i, i, i%999)))
	}
	problems := policy.Check(policies, nil)
	if len(problems) != 1 || problems[0].Policy != "p999" || problems[0].Code != policy.CodeShadowed {
		t.Errorf("problems %+v", problems)
	}
}

// TestParseForTellsBothKindsAtOnce wants what the language refuses and what the
// account does not have in one answer.
func TestParseForTellsBothKindsAtOnce(t *testing.T) {
	document := []byte(`{"name":"a","when":{"all":[{"attribute":"custom.gone","operator":"equal","value":1},
		{"time":{"zone":"Europe/Atlantis"}}]},"effect":{"fixed":{"actions":[{"target":"nowhere"}]}}}`)
	env := &policy.Environment{Attributes: map[string]policy.Attribute{}, Skills: map[string]struct{}{"sales": {}}}
	_, err := policy.ParseFor(document, env)
	var paths []string
	for _, p := range policy.ProblemsOf(err) {
		paths = append(paths, p.Path)
	}
	if got := strings.Join(paths, " "); got != "when.all[0].attribute when.all[1].time.zone effect.fixed.actions[0].target" {
		t.Errorf("faults at %q: %v", got, err)
	}
}

// TestFaultsOfExpressions wants one line with a place, and the advice that helps.
func TestFaultsOfExpressions(t *testing.T) {
	for expression, want := range map[string]string{
		"tier = 'gold'":           "at column 6: a single = compares nothing; use ==",
		"a ==\n = 2":              "at line 2, column 2: a single = compares nothing; use ==",
		"a ==":                    "at column 5: ends unexpectedly",
		"a b":                     "at column 3: unexpected 'b'",
		"tier == \"gold":          "at column 9: cannot read '\"gold'",
		"nothing(tier)":           "at column 8: undeclared reference to 'nothing'",
		"a && (1 + 'x' == 2) ||1": "at column 9: found no matching overload for '_+_' applied to '(int, string)'",
	} {
		document, err := json.Marshal(map[string]any{"when": map[string]any{"cel": expression}, "effect": map[string]any{"rank": map[string]any{}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = policy.Parse(document)
		problems := policy.ProblemsOf(err)
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Description, want) || strings.Contains(problems[0].Description, "\n") {
			t.Errorf("%q: %q, want %q", expression, problems, want)
		}
	}
}

// TestStringsOfTimeSayHowTheyLook wants an example beside the type.
func TestStringsOfTimeSayHowTheyLook(t *testing.T) {
	_, err := policy.Parse([]byte(`{"effect":{"steps":[{"rank":{},"expires_after":45}]}}`))
	if problems := policy.ProblemsOf(err); len(problems) != 1 || problems[0].Description != `is a number, must be a string such as "45s"` {
		t.Errorf("problems %+v", problems)
	}
}
