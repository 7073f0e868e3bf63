package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/model/evaluate"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// pipelineResult is what a run through the whole product came to.
type pipelineResult struct {
	Error, Never float64
	Rows, Models int
	// Latency are the times from the report of rewards to a decision by what was
	// learned from them, of each refit.
	Latency []time.Duration
	Took    time.Duration
}

// settings with which the trainer refits whenever it is given rows, at once.
func eager(rows int) []string {
	return []string{
		fmt.Sprintf("training.min_rows=%d", rows), "training.growth_share=0.000001", "training.check=10ms", "training.max_age=24h",
		"training.challenger=0s", "pipeline.batch_age=10ms",
	}
}

// throughProduct plays a stream through a running Usher: decisions over gRPC, into
// Kafka, into ClickHouse; every outcome with its delay, one in ten sent twice; the
// trainer reads the warehouse, the gate promotes, the decision process swaps.
func throughProduct(ctx context.Context, p *player, scale []float64, tell say) (pipelineResult, error) {
	ctx = p.node.with(ctx)
	s, begin := p.stream, time.Now()
	var out pipelineResult
	wrong := 0
	for i := range s.Known {
		p.collect(i)
		if i > 0 && i%refitRows == 0 {
			took, err := p.refit(ctx)
			if err != nil {
				return out, fmt.Errorf("refit before decision %d: %w", i, err)
			}
			if took > 0 {
				out.Latency = append(out.Latency, took)
				tell("decision %d: what was reported decides after %s", i, took.Round(time.Millisecond))
			}
		}
		right, err := p.decide(ctx, i, scale)
		if err != nil {
			return out, fmt.Errorf("decision %d: %w", i, err)
		}
		if !right {
			wrong++
		}
	}
	out.Rows, out.Models, out.Took = len(s.Known), len(out.Latency), time.Since(begin)
	out.Error, out.Never = float64(wrong)/float64(out.Rows), 1-float64(p.sent+len(p.due))/float64(out.Rows)
	return out, nil
}

// player is a caller of the product.
type player struct {
	node    *node
	stream  *evaluate.Stream
	seed    uint64
	r       *rand.Rand
	waiting []late
	due     []*usherv1.Outcome
	sent    int // outcomes reported, each counted once
	learned int
}

type late struct {
	due int
	out *usherv1.Outcome
}

func newPlayer(n *node, s *evaluate.Stream, seed uint64) *player {
	return &player{node: n, stream: s, seed: seed, r: drawDelays(seed)}
}

// request asks for one action; candidates stand in an order of their own, so that
// until there is a model the first of them is an even draw.
func request(s *evaluate.Stream, i int, seed uint64) (*usherv1.NextActionsRequest, error) {
	q := &usherv1.NextActionsRequest{
		Parent: "accounts/" + account, RequestId: fmt.Sprintf("%d:draw:%d", seed, i), ConversationId: fmt.Sprintf("%d-%d", seed, i),
		Attributes: map[string]*structpb.Value{}, MaxActions: 1,
	}
	for name, v := range s.Known[i].Attributes {
		if words, ok := v.([]string); ok {
			list := make([]any, len(words))
			for k, w := range words {
				list[k] = w
			}
			v = list
		}
		value, err := structpb.NewValue(v)
		if err != nil {
			return nil, err
		}
		q.Attributes[name] = value
	}
	for _, a := range s.Arms {
		q.Candidates = append(q.Candidates, &usherv1.ActionCandidate{Type: "TRANSFER_TO_SKILL", Target: a})
	}
	r := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // repeatable draws, not secrets
	r.Shuffle(len(q.Candidates), func(a, b int) { q.Candidates[a], q.Candidates[b] = q.Candidates[b], q.Candidates[a] })
	return q, nil
}

func (p *player) decide(ctx context.Context, i int, scale []float64) (right bool, err error) {
	q, err := request(p.stream, i, p.seed)
	if err != nil {
		return false, err
	}
	answer, err := p.node.decisions.NextActions(ctx, q)
	if err != nil {
		return false, err
	}
	if len(answer.GetActions()) == 0 {
		return false, fmt.Errorf("no action was answered")
	}
	right = answer.GetActions()[0].GetTarget() == p.stream.Arms[p.stream.Right[i]]
	o := &usherv1.Outcome{Id: q.GetRequestId(), Source: "eval", DecisionId: answer.GetDecisionId(), ConversationId: q.GetConversationId(), Kind: "right"}
	if right {
		o.Value = 1
	}
	if due := dueAt(p.r, scale, i); due != math.MaxInt {
		l := late{due, o}
		at, _ := slices.BinarySearchFunc(p.waiting, l, func(a, b late) int { return cmp.Or(cmp.Compare(a.due, b.due), -1) })
		p.waiting = slices.Insert(p.waiting, at, l)
	}
	return right, nil
}

func (p *player) collect(i int) {
	for len(p.waiting) > 0 && p.waiting[0].due <= i {
		p.due = append(p.due, p.waiting[0].out)
		p.waiting = p.waiting[1:]
	}
}

// refit reports what is due, waits until a model has learned it and decides, and
// returns how long that took; 0 when there was too little to refit on.
func (p *player) refit(ctx context.Context) (time.Duration, error) {
	if len(p.due) == 0 || p.sent+len(p.due)-p.learned < minRows {
		return 0, nil
	}
	probe, err := request(p.stream, 0, p.seed)
	if err != nil {
		return 0, err
	}
	probe.DryRun, probe.RequestId = true, ""
	begin := time.Now()
	p.sent += len(p.due)
	for i, o := range p.due {
		o.EventTime = timestamppb.New(begin)
		if i%10 == 0 {
			p.due = append(p.due, o) // callers retry
		}
	}
	if _, err := p.node.outcomes.ReportOutcomes(ctx, &usherv1.ReportOutcomesRequest{Parent: "accounts/" + account, Outcomes: p.due}); err != nil {
		return 0, fmt.Errorf("report outcomes: %w", err)
	}
	p.due = nil
	at, err := p.node.fitted(ctx, p.sent, probe)
	p.learned = p.sent
	return at.Sub(begin), err
}

// joinedPerSecond sends n decisions with an outcome each as fast as they are taken,
// and returns how many a second went all the way into a model: through Kafka and
// ClickHouse into the trainer.
func joinedPerSecond(ctx context.Context, n *node, s *evaluate.Stream, rows int, tell say) (float64, error) {
	ctx = n.with(ctx)
	begin := time.Now()
	const callers, batch = 16, 500
	var g errgroup.Group
	for c := range callers {
		g.Go(func() error {
			var outs []*usherv1.Outcome
			send := func() error {
				_, err := n.outcomes.ReportOutcomes(ctx, &usherv1.ReportOutcomesRequest{Parent: "accounts/" + account, Outcomes: outs})
				outs = outs[:0]
				return err
			}
			for i := c; i < rows; i += callers {
				q, err := request(s, i%len(s.Known), uint64(1000+i/len(s.Known)))
				if err != nil {
					return err
				}
				answer, err := n.decisions.NextActions(ctx, q)
				if err != nil {
					return err
				}
				o := &usherv1.Outcome{Id: q.GetRequestId(), Source: "eval", DecisionId: answer.GetDecisionId(), ConversationId: q.GetConversationId(), Kind: "right", EventTime: timestamppb.Now()}
				if answer.GetActions()[0].GetTarget() == s.Arms[s.Right[i%len(s.Known)]] {
					o.Value = 1
				}
				if outs = append(outs, o); len(outs) == batch {
					if err := send(); err != nil {
						return err
					}
				}
			}
			return send()
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	tell("%d decisions and outcomes are taken after %s", rows, time.Since(begin).Round(time.Millisecond))
	probe, err := request(s, 0, 1)
	if err != nil {
		return 0, err
	}
	probe.DryRun, probe.RequestId = true, ""
	at, err := n.fitted(ctx, rows, probe)
	return float64(rows) / at.Sub(begin).Seconds(), err
}
