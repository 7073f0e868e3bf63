package rpc

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func genTrace() *rapid.Generator[*usherv1.PolicyTrace] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "when.all[0]", `"policies":[]`, "a\"b\\c<&>", "été\u2028", "\x00\n"}))
	value := rapid.SampledFrom([]any{
		nil, "web", "", "\"ü\"", 0.0, math.Copysign(0, -1), 30.0, -1e15, 1e15, 123456789012345678.0, 0.1, 1e300, 5e-324, true, false,
		[]any{},
		[]any{8.0, "x", nil, true, []any{"ü", []any{}}, map[string]any{"a": 1.0}},
		map[string]any{"policies": []any{}},
	})
	duration := rapid.Int64Range(-1e12, 1e12)
	return rapid.Custom(func(t *rapid.T) *usherv1.PolicyTrace {
		p := &usherv1.PolicyTrace{
			Policy: text.Draw(t, "policy"), Revision: rapid.Int64().Draw(t, "revision"), State: text.Draw(t, "state"),
			Exception: rapid.Bool().Draw(t, "exception"), Cause: text.Draw(t, "cause"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "conditions") {
			c := &usherv1.ConditionTrace{
				Path: text.Draw(t, "path"), Attribute: text.Draw(t, "attribute"), Operator: text.Draw(t, "operator"),
				Truth: text.Draw(t, "truth"), Cause: text.Draw(t, "cause"), Source: text.Draw(t, "source"),
			}
			if rapid.Bool().Draw(t, "values") {
				c.Expected, _ = structpb.NewValue(value.Draw(t, "expected"))
				c.Actual, _ = structpb.NewValue(value.Draw(t, "actual"))
				c.Age = durationpb.New(time.Duration(duration.Draw(t, "age")))
			}
			p.Conditions = append(p.Conditions, c)
		}
		return p
	})
}

// TestExplainedIsWrittenAsTheLibrariesDo: the hand-written answers say what those of the
// libraries say, whatever is in them.
func TestExplainedIsWrittenAsTheLibrariesDo(t *testing.T) {
	jsonCodec, _ := newCodec(nil).(*codec)
	rapid.Check(t, func(t *rapid.T) {
		hidden, _ := structpb.NewValue(map[string]any{"policies": []any{}})
		r := &usherv1.NextActionsResponse{
			DecisionId: "d-1", Actions: []*usherv1.RankedAction{{Target: "sales"}},
			Explanation: &usherv1.DecisionRecord{
				Account: "acme", Attributes: map[string]*structpb.Value{"policies": hidden, `"policies":[]`: hidden}, Chosen: `"policies":[]`,
				Policies: rapid.SliceOfN(genTrace(), 0, 4).Draw(t, "policies"),
			},
		}
		data, err := newWire().Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got usherv1.NextActionsResponse
		if err := encoding.GetCodecV2("proto").Unmarshal(data, &got); err != nil || !proto.Equal(r, &got) {
			t.Fatalf("%v: got\n%v\nwant\n%v", err, &got, r)
		}
		text, err := jsonCodec.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := jsonCodec.JSONPb.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var mine, theirs any
		if err := json.Unmarshal(text, &mine); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if err := json.Unmarshal(plain, &theirs); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(mine, theirs) {
			t.Fatalf("got\n%s\nwant\n%s", text, plain)
		}
	})
}

// TestBrokenTextIsStillRefused: what the library would not send is not sent.
func TestBrokenTextIsStillRefused(t *testing.T) {
	r := &usherv1.NextActionsResponse{Explanation: &usherv1.DecisionRecord{Policies: []*usherv1.PolicyTrace{{Policy: "\xff"}}}}
	if _, err := newWire().Marshal(r); err == nil {
		t.Error("a text that is not UTF-8 went out on the wire")
	}
	jsonCodec, _ := newCodec(nil).(*codec)
	if _, err := jsonCodec.Marshal(r); err == nil {
		t.Error("a text that is not UTF-8 went out as JSON")
	}
}
