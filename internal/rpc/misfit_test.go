package rpc

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Every fault of a body is told at once, each at its path, in the order they
// stand there.
func TestEveryFaultOfABody(t *testing.T) {
	outcomes, ask, batch := &usherv1.ReportOutcomesRequest{}, &usherv1.NextActionsRequest{}, &usherv1.BatchUpdateContextsRequest{}
	for _, c := range []struct {
		into proto.Message
		body string
		want []string
	}{
		{outcomes, `{"knd":"x"}`, []string{"knd: unknown field"}},
		{
			outcomes, `{"outcomes":[{"kind":"x"},{"kind":7,"q":1,"event_time":"soon"}],"value":"much","typo":1}`,
			[]string{
				"outcomes[1].kind: must be a string", "outcomes[1].q: unknown field",
				"outcomes[1].event_time: must be a time such as 2026-01-31T09:30:00Z", "value: must be a number", "typo: unknown field",
			},
		},
		{outcomes, `{"outcomes":{}}`, []string{"outcomes: must be a list"}},
		{outcomes, `{"outcomes":[null,3]}`, []string{"outcomes[0]: must be an object", "outcomes[1]: must be an object"}},
		{outcomes, `{"value":1e999,"label":["a"]}`, []string{"value: must be a number within the range of the field", "label: must be a single value"}},
		{outcomes, `[1]`, []string{"body: must be an object"}},
		{outcomes, `{"a b":1,"":2}`, []string{`"a b": unknown field`, `"": unknown field`}},
		{outcomes, `{"event_time":"2026-01-01T00:00:00Z","eventTime":"2026-01-01T00:00:00Z","x":1}`, []string{"eventTime: is there twice", "x: unknown field"}},
		{outcomes, `{"kind":"a","kind":"b"}`, []string{"kind: is there twice"}},
		{
			ask, `{"attributes":[],"max_actions":1.5,"explain":"yes","waited":"5","candidates":[{"target":1,"attributes":{"a":1},"z":0}]}`,
			[]string{
				"attributes: must be an object", "max_actions: must be a whole number", "explain: must be true or false",
				"waited: must be a duration such as 3.5s", "candidates[0].target: must be a string", "candidates[0].z: unknown field",
			},
		},
		{ask, `{"max_actions":3000000000}`, []string{"max_actions: must be a whole number within the range of the field"}},
		{ask, `{"attributes":{"a":1,"a":2}}`, []string{`attributes: duplicate map key "a"`}},
		{batch, `{"contexts":[{"nam":"x"},{"properties":[],"ttl":5}]}`, []string{
			"contexts[0].nam: unknown field", "contexts[1].properties: must be an object", "contexts[1].ttl: must be a duration such as 3.5s",
		}},
	} {
		err := newCodec(nil).NewDecoder(strings.NewReader(c.body)).Decode(proto.Clone(c.into))
		if err == nil {
			t.Errorf("%s is taken", c.body)
			continue
		}
		var got []string
		for _, v := range splitBodyError(err.Error()) {
			// The codec has its spaces vary, lest anybody rely on its words.
			got = append(got, v.Field+": "+strings.ReplaceAll(v.Description, "  ", " "))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s\n got %q\nwant %q", c.body, got, c.want)
		}
	}
}
