package server_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// question is one of the usual size: ten attributes, eight candidates.
func question(b *testing.B) (*usherv1.NextActionsRequest, []byte) {
	b.Helper()
	body := `{"conversation_id":"c-1","channel":"web","intent":"billing","attributes":{`
	for i := range 10 {
		body += `"attribute_` + strconv.Itoa(i) + `":"value of ` + strconv.Itoa(i) + `",`
	}
	body += `"n":1},"candidates":[`
	for i := range 8 {
		body += `{"target":"skill-` + strconv.Itoa(i) + `","attributes":{"language":"en","size":` + strconv.Itoa(i) + `}},`
	}
	text := []byte(body[:len(body)-1] + `]}`)
	r := &usherv1.NextActionsRequest{}
	if err := protojson.Unmarshal(text, r); err != nil {
		b.Fatal(err)
	}
	r.Parent = "accounts/default"
	return r, text
}

func BenchmarkNextActionsGRPC(b *testing.B) {
	f := start(b)
	r, _ := question(b)
	client := usherv1.NewDecisionServiceClient(f.conn)
	ctx := as(b, f.admin)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := client.NextActions(ctx, r); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkNextActionsREST(b *testing.B) {
	f := start(b)
	_, body := question(b)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, f.url+"/v1/accounts/default/nextActions", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+f.admin)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}

// echo answers every question alike: the floor under BenchmarkNextActionsGRPC.
type echo struct {
	usherv1.UnimplementedDecisionServiceServer
	answer *usherv1.NextActionsResponse
}

func (e *echo) NextActions(context.Context, *usherv1.NextActionsRequest) (*usherv1.NextActionsResponse, error) {
	return e.answer, nil
}

// BenchmarkEchoGRPC asks the same question of a stock gRPC server that answers
// the same answer and does nothing else: same client, same machine.
func BenchmarkEchoGRPC(b *testing.B) {
	f := start(b)
	r, _ := question(b)
	ctx := as(b, f.admin)
	answer, err := usherv1.NewDecisionServiceClient(f.conn).NextActions(ctx, r)
	must(b, err)
	stock := grpc.NewServer()
	usherv1.RegisterDecisionServiceServer(stock, &echo{answer: answer})
	l := listen(b)
	var serving sync.WaitGroup
	serving.Go(func() { _ = stock.Serve(l) })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(b, err)
	client := usherv1.NewDecisionServiceClient(conn)
	b.Cleanup(func() { _ = conn.Close(); stock.Stop(); serving.Wait() })
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := client.NextActions(ctx, r); err != nil {
				b.Error(err)
			}
		}
	})
}
