package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// rawBytes hands messages over as they are on the wire: what a client makes of an
// answer is not what a server costs.
type rawBytes struct{}

func (rawBytes) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawBytes) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append((*v.(*[]byte))[:0], data...)
	return nil
}
func (rawBytes) Name() string { return "proto" }

// policiesOf makes a list of n policies of five clauses, of which the last one matches.
func policiesOf(b *testing.B, f *fixture, n int) {
	b.Helper()
	var list []any
	for i := range n {
		leaf := func(attribute, operator string, value any) any {
			return map[string]any{"attribute": attribute, "operator": operator, "value": value}
		}
		list = append(list, map[string]any{
			"name": fmt.Sprintf("p%d", i), "enabled": true, "when": map[string]any{"all": []any{
				leaf("intent", "equal", fmt.Sprintf("intent-%d", i)), leaf("wait", "greater_than", 30),
				leaf("hour", "between", []any{8, 19}), leaf("vip", "equal", false), leaf("channel", "starts_with", "web"),
			}}, "effect": map[string]any{"rank": map[string]any{}},
		})
	}
	document, err := structpb.NewValue(map[string]any{"policies": list})
	must(b, err)
	got, err := usherv1.NewPolicyServiceClient(f.conn).ImportPolicies(as(b, f.admin), &usherv1.ImportPoliciesRequest{
		Parent: "accounts/default", Document: document, Enable: true, Replace: true,
	})
	must(b, err)
	if len(got.GetPolicies()) != n {
		b.Fatalf("%d policies stored, want %d", len(got.GetPolicies()), n)
	}
}

// caller asks one question over and over, with the explanation or without.
type caller func(explain bool) (size int)

func callers(b *testing.B, f *fixture, n int) map[string]caller {
	b.Helper()
	r, _ := question(b)
	r.Parent, r.Channel, r.Intent = "accounts/default", "webchat", fmt.Sprintf("intent-%d", n-1)
	r.Attributes["wait"], r.Attributes["hour"], r.Attributes["vip"] = structpb.NewNumberValue(45), structpb.NewNumberValue(12), structpb.NewBoolValue(false)
	var wire, text [2][]byte
	for i := range wire {
		r.Explain = i == 1
		var err error
		wire[i], err = proto.Marshal(r)
		must(b, err)
		text[i], err = protojson.Marshal(r)
		must(b, err)
	}
	ctx, answer := as(b, f.admin), []byte(nil)
	at := func(explain bool) int {
		if explain {
			return 1
		}
		return 0
	}
	return map[string]caller{
		"grpc": func(explain bool) int {
			err := f.conn.Invoke(ctx, usherv1.DecisionService_NextActions_FullMethodName, &wire[at(explain)], &answer, grpc.ForceCodec(rawBytes{}))
			must(b, err)
			return len(answer)
		},
		"rest": func(explain bool) int {
			return post(ctx, b, f, text[at(explain)])
		},
	}
}

func post(ctx context.Context, b *testing.B, f *fixture, body []byte) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+"/v1/accounts/default/nextActions", bytes.NewReader(body))
	must(b, err)
	req.Header.Set("Authorization", "Bearer "+f.admin)
	resp, err := http.DefaultClient.Do(req)
	must(b, err)
	n, err := io.Copy(io.Discard, resp.Body)
	must(b, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status)
	}
	return int(n)
}

// BenchmarkServedExplain holds whole calls with an explanation against the same calls
// without, one after the other so that both see the same machine: the medians in
// microseconds, and the one over the other.
func BenchmarkServedExplain(b *testing.B) {
	// As the program serves.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	for _, n := range []int{10, 100, 1000} {
		for _, door := range []string{"grpc", "rest"} {
			b.Run(fmt.Sprintf("door=%s/policies=%d", door, n), func(b *testing.B) {
				f := start(b)
				policiesOf(b, f, n)
				call := callers(b, f, n)[door]
				b.ReportAllocs()
				var took [2][]time.Duration
				var size [2]int
				for b.Loop() {
					for i := range took {
						begin := time.Now()
						size[i] = call(i == 1)
						took[i] = append(took[i], time.Since(begin))
					}
				}
				var median [2]float64
				for i := range took {
					slices.Sort(took[i])
					median[i] = float64(took[i][len(took[i])/2].Nanoseconds()) / 1e3
				}
				b.ReportMetric(median[0], "plain-us")
				b.ReportMetric(median[1], "explained-us")
				b.ReportMetric(median[1]/median[0], "explained/plain")
				b.ReportMetric(float64(size[1]), "explained-bytes")
			})
		}
	}
}
