package event

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func benchOutcome(b *testing.B, f Format) *Message {
	b.Helper()
	m, err := EncodeOutcome(&Outcome{
		ID: "0192f0c1-7a3b-7c4d-8e5f-001122334455", Source: "desk/eu", Account: "default", DecisionID: "0192f0c1-7a3b-7c4d-8e5f-aabbccddeeff",
		ConversationID: "conversation-000123456", Kind: "resolved", Value: 0.75, Label: "billing", Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
	}, f)
	if err != nil {
		b.Fatal(err)
	}
	return &m
}

func benchDecision(b *testing.B, f Format) *Message {
	b.Helper()
	d := &Decision{
		ID: "0192f0c1-7a3b-7c4d-8e5f-aabbccddeeff", Account: "default", Time: time.Now().UTC(), Mode: "ON", DecidedBy: DecidedByModel,
		Attributes: map[string]any{},
	}
	for i := range 10 {
		d.Attributes[fmt.Sprintf("attribute_%d", i)] = fmt.Sprintf("value %d", i)
		d.Candidates = append(d.Candidates, Candidate{
			Action: Action{Type: "TRANSFER_TO_SKILL", Target: fmt.Sprintf("skill-%d", i)}, Eligible: true, Score: 0.123456789 * float64(i), Probability: 0.1,
			Factors: []Factor{{"intent=billing", 0.25}, {"hour=12", -0.0125}},
		})
	}
	m, err := EncodeDecision(d, f)
	if err != nil {
		b.Fatal(err)
	}
	return &m
}

func BenchmarkDecodeOutcome(b *testing.B) {
	for name, f := range map[string]Format{"json": JSON, "protobuf": Protobuf} {
		m := benchOutcome(b, f)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(m.Value)))
			for b.Loop() {
				o, err := DecodeOutcome(m)
				if err != nil || o.Validate() != nil {
					b.Fatal(err)
				}
			}
		})
	}
	m := benchOutcome(b, JSON)
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(m.Value)))
		for b.Loop() {
			var o Outcome
			if err := json.Unmarshal(m.Value, &o); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeDecision(b *testing.B) {
	for name, f := range map[string]Format{"json": JSON, "protobuf": Protobuf} {
		m := benchDecision(b, f)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(m.Value)))
			for b.Loop() {
				d, err := DecodeDecision(m)
				if err != nil || d.Validate() != nil {
					b.Fatal(err)
				}
			}
		})
	}
	m := benchDecision(b, JSON)
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(m.Value)))
		for b.Loop() {
			var d Decision
			if err := json.Unmarshal(m.Value, &d); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEncodeTraces: a record with what a hundred policies said, and the same by
// reflection.
func BenchmarkEncodeTraces(b *testing.B) {
	d := &Decision{ID: "0192f0c1-7a3b-7c4d-8e5f-aabbccddeeff", Account: "default", Time: time.Unix(1_800_000_000, 0).UTC()}
	for i := range 100 {
		p := PolicyTrace{Policy: fmt.Sprintf("p%d", i), Revision: 1, State: False}
		for j := range 5 {
			p.Conditions = append(p.Conditions, ConditionTrace{
				Path: fmt.Sprintf("when.all[%d]", j), Attribute: "intent", Operator: "equal", Expected: "billing", Actual: 45.0, Truth: False,
			})
		}
		d.Policies = append(d.Policies, p)
	}
	for name, encode := range map[string]func(*Decision) ([]byte, error){
		"by hand": decisionJSON, "reflection": func(d *Decision) ([]byte, error) { return json.Marshal(d) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encode(d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
