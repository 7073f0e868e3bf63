package event

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// Generators of canonical events: what a decoder returns, so that a round trip
// gives back the very same value (nil, never empty, containers; UTC times).

func genText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringN(0, 12, 40), rapid.SampledFrom([]string{"", "billing", "a\"b\\c", "été ☎ 😀", "\u2028<&>"}))
}

// genReference is an id of somebody else's, or none.
func genReference() *rapid.Generator[string] {
	return rapid.Map(genText(), func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, s)
	})
}

func genID() *rapid.Generator[string] { return rapid.StringMatching(`[a-z0-9:-]{1,20}`) }

func genNumber() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Float64Range(-1e9, 1e9), rapid.Float64Range(-1, 1),
		rapid.SampledFrom([]float64{0, 1, -1, 0.1, 1e-300, 1e300, 123456789012345678, 5e-324}))
}

func genTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		sec := rapid.Int64Range(946684800, 4102444799).Draw(t, "sec")
		return time.Unix(sec, rapid.Int64Range(0, 999999999).Draw(t, "nsec")).UTC()
	})
}

func genAny(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(rapid.Map(genText(), func(s string) any { return s }),
		rapid.Map(genNumber(), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }))
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(genAny(depth-1), 0, 3), func(l []any) any {
			if l == nil {
				l = []any{}
			}
			return l
		}),
		rapid.Map(rapid.MapOfN(genText(), genAny(depth-1), 0, 3), func(m map[string]any) any { return m }))
}

func genDict() *rapid.Generator[map[string]any] {
	return rapid.Map(rapid.MapOfN(genText(), genAny(2), 0, 4), func(m map[string]any) map[string]any {
		if len(m) == 0 {
			return nil
		}
		return m
	})
}

func genAction() *rapid.Generator[Action] {
	return rapid.Custom(func(t *rapid.T) Action {
		return Action{Type: genID().Draw(t, "type"), Target: genText().Draw(t, "target"), Payload: genDict().Draw(t, "payload")}
	})
}

func genSkill() *rapid.Generator[Skill] {
	return rapid.Custom(func(t *rapid.T) Skill {
		return Skill{
			AgentsOnline: rapid.IntRange(0, 1e6).Draw(t, "agents"), QueueSize: rapid.IntRange(0, 1e6).Draw(t, "queue"),
			Load: rapid.Float64Range(0, 1).Draw(t, "load"), WaitSeconds: rapid.Float64Range(0, 1e5).Draw(t, "wait"),
			HandleSeconds: rapid.Float64Range(0, 1e5).Draw(t, "handle"),
			At:            genTime().Draw(t, "at"),
		}
	})
}

func genCandidate() *rapid.Generator[Candidate] {
	return rapid.Custom(func(t *rapid.T) Candidate {
		c := Candidate{
			Action: genAction().Draw(t, "action"), Attributes: genDict().Draw(t, "attributes"),
			Eligible: rapid.Bool().Draw(t, "eligible"), Verdict: genText().Draw(t, "verdict"),
			Score: rapid.Float64Range(-10, 10).Draw(t, "score"), StdErr: rapid.Float64Range(0, 1).Draw(t, "stderr"),
			Known: rapid.Bool().Draw(t, "known"), Priority: rapid.Float64Range(-10, 10).Draw(t, "priority"),
			Probability: rapid.Float64Range(0, 1).Draw(t, "probability"), WaitCost: rapid.Float64Range(0, 10).Draw(t, "wait cost"),
			ShareCap: rapid.Float64Range(0, 1).Draw(t, "share cap"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "factors") {
			c.Factors = append(c.Factors, Factor{genText().Draw(t, "name"), genNumber().Draw(t, "value")})
		}
		return c
	})
}

func genPolicy() *rapid.Generator[PolicyTrace] {
	return rapid.Custom(func(t *rapid.T) PolicyTrace {
		p := PolicyTrace{
			Policy: genID().Draw(t, "policy"), Revision: rapid.Int64Min(0).Draw(t, "revision"),
			State:     rapid.SampledFrom([]Truth{True, False, Unknown, Disabled, NotReached, Invalid, Errored}).Draw(t, "state"),
			Exception: rapid.Bool().Draw(t, "exception"), Cause: genText().Draw(t, "policy cause"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "conditions") {
			c := ConditionTrace{
				Path: genText().Draw(t, "path"), Attribute: genText().Draw(t, "attribute"), Operator: genText().Draw(t, "operator"),
				Truth: Unknown, Cause: genText().Draw(t, "cause"), Source: genText().Draw(t, "source"), Age: genDuration().Draw(t, "age"),
			}
			if rapid.Bool().Draw(t, "has values") {
				c.Expected, c.Actual = genAny(1).Draw(t, "expected"), genAny(1).Draw(t, "actual")
			}
			p.Conditions = append(p.Conditions, c)
		}
		return p
	})
}

func genDuration() *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.Int64Range(0, 1e12), func(n int64) time.Duration { return time.Duration(n) })
}

func genCall() *rapid.Generator[Call] {
	return rapid.Custom(func(t *rapid.T) Call {
		return Call{
			Function: genID().Draw(t, "function"), Attribute: genText().Draw(t, "attribute"),
			Result:  rapid.SampledFrom([]CallResult{CallOK, CallCached, CallTimeout, CallError, CallRefused, CallBudget}).Draw(t, "result"),
			Latency: genDuration().Draw(t, "latency"), Detail: genText().Draw(t, "detail"),
			Fallback: rapid.Bool().Draw(t, "fallback"), Age: genDuration().Draw(t, "age"),
		}
	})
}

func some[T any](t *rapid.T, g *rapid.Generator[T], name string) []T {
	var out []T
	for range rapid.IntRange(0, 3).Draw(t, name) {
		out = append(out, g.Draw(t, name))
	}
	return out
}

func genDecision() *rapid.Generator[*Decision] {
	return rapid.Custom(func(t *rapid.T) *Decision {
		d := &Decision{
			ID: genID().Draw(t, "id"), Account: genID().Draw(t, "account"), Time: genTime().Draw(t, "time"),
			RequestID: genReference().Draw(t, "request"), ConversationID: genReference().Draw(t, "conversation"),
			ConsumerID: genReference().Draw(t, "consumer"), VisitorID: genReference().Draw(t, "visitor"), SessionID: genReference().Draw(t, "session"),
			Channel: genText().Draw(t, "channel"), Intent: genText().Draw(t, "intent"), Attributes: genDict().Draw(t, "attributes"),
			Policies: some(t, genPolicy(), "policies"), Candidates: some(t, genCandidate(), "candidates"),
			Actions: some(t, genAction(), "actions"), Baseline: genText().Draw(t, "baseline"),
			PolicyOnly: genText().Draw(t, "policy only"), ModelOnly: genText().Draw(t, "model only"),
			Drawn: genText().Draw(t, "drawn"), Chosen: genText().Draw(t, "chosen"),
			Propensity: rapid.Float64Range(0, 1).Draw(t, "propensity"), Explored: rapid.Bool().Draw(t, "explored"),
			DecidedBy: rapid.SampledFrom([]DecidedBy{DecidedByPolicy, DecidedByModel, DecidedByExploration}).Draw(t, "by"),
			Policy:    genText().Draw(t, "policy"), PolicyRevision: rapid.Int64().Draw(t, "policy revision"),
			ModelVersion: genText().Draw(t, "model"), Objective: genText().Draw(t, "objective"),
			Mode: rapid.SampledFrom([]string{"OFF", "SHADOW", "COMPARE", "HOLDOUT", "ON"}).Draw(t, "mode"),
			Seed: rapid.Uint64().Draw(t, "seed"), Reasons: some(t, genText(), "reasons"),
			NoMatchReason: genText().Draw(t, "no match"), MaxActions: rapid.IntRange(0, 100).Draw(t, "max"),
			Latency: genDuration().Draw(t, "latency"), Calls: some(t, genCall(), "calls"),
			Step: rapid.IntRange(0, 50).Draw(t, "step"), ValidFor: genDuration().Draw(t, "valid for"),
			Waited: genDuration().Draw(t, "waited"), OnlyPolicy: genText().Draw(t, "only policy"),
			Redacted: some(t, genText(), "redacted"),
		}
		d.Added = rapid.IntRange(0, len(d.Candidates)).Draw(t, "added")
		if rapid.Bool().Draw(t, "has sources") {
			d.Sources = map[string]string{"custom.tier": genText().Draw(t, "source of tier"), genText().Draw(t, "name"): "sde"}
		}
		for range rapid.IntRange(0, 2).Draw(t, "skills") {
			if d.Skills == nil {
				d.Skills = map[string]Skill{}
			}
			d.Skills[genText().Draw(t, "skill name")] = genSkill().Draw(t, "skill")
		}
		if n := rapid.IntRange(0, 2).Draw(t, "labels"); n > 0 {
			d.Labels = map[string]string{"trace": genText().Draw(t, "trace")}
		}
		return d
	})
}

func genOutcome() *rapid.Generator[*Outcome] {
	return rapid.Custom(func(t *rapid.T) *Outcome {
		return &Outcome{
			ID: genID().Draw(t, "id"), Source: genID().Draw(t, "source"), Account: genID().Draw(t, "account"),
			DecisionID: genReference().Draw(t, "decision"), ConversationID: genID().Draw(t, "conversation"),
			Kind: genID().Draw(t, "kind"), Value: genNumber().Draw(t, "value"), Label: genText().Draw(t, "label"),
			Time: genTime().Draw(t, "time"),
		}
	})
}

func genConfig() *rapid.Generator[*ConfigChange] {
	return rapid.Custom(func(t *rapid.T) *ConfigChange {
		c := &ConfigChange{
			ID: genID().Draw(t, "id"), Account: rapid.SampledFrom([]string{"", "acme"}).Draw(t, "account"), Kind: genID().Draw(t, "kind"),
			Name: genID().Draw(t, "name"), Base: rapid.Int64Min(0).Draw(t, "base"), Deleted: rapid.Bool().Draw(t, "deleted"),
			Author: genText().Draw(t, "author"), Reason: genText().Draw(t, "reason"), Time: genTime().Draw(t, "time"),
		}
		if !c.Deleted {
			c.Value = []byte(`{"rank":1}`)
		}
		for i := range rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "parts") {
			c.Kind, c.Name, c.Base, c.Value, c.Deleted = "", "", 0, nil, false
			c.Parts = append(c.Parts, genConfigPart(i).Draw(t, "part"))
		}
		return c
	})
}

// genConfigPart makes a part whose name no other one has.
func genConfigPart(i int) *rapid.Generator[ConfigPart] {
	return rapid.Custom(func(t *rapid.T) ConfigPart {
		p := ConfigPart{Kind: "policy", Base: rapid.Int64Min(0).Draw(t, "base")}
		switch rapid.IntRange(0, min(i+1, 2)).Draw(t, "form") {
		case 0:
			p.Name, p.Value = fmt.Sprintf("p%d", i), []byte(`{"rank":1}`)
		case 1:
			p.Name, p.Base, p.Deleted = fmt.Sprintf("p%d", i), max(p.Base, 1), true
		default:
			p.Kind = fmt.Sprintf("kind%d", i)
		}
		return p
	})
}

func genSkillState() *rapid.Generator[*SkillState] {
	return rapid.Custom(func(t *rapid.T) *SkillState {
		return &SkillState{
			ID: genID().Draw(t, "id"), Source: genID().Draw(t, "source"), Account: genID().Draw(t, "account"),
			Skill: genID().Draw(t, "skill"), State: genSkill().Draw(t, "state"),
		}
	})
}
