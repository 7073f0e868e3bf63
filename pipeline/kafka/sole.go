package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/usherhq/usher/pipeline"
)

// Sole is a pipeline.Source for the one process that reads an embedded broker:
// it takes all partitions at once, without a group. A group would make every
// restart after a crash wait until the dead member's session has expired.
//
// Nothing keeps two of them apart: use it only where the process itself is
// unique, as the owner of a locked data folder is.
type Sole struct {
	client *Client
	topics []string
}

var _ pipeline.Source = (*Sole)(nil)

// NewSole makes a source over all partitions of the topics.
func (c *Client) NewSole(topics ...string) *Sole { return &Sole{client: c, topics: topics} }

// Run implements [pipeline.Source]. Partitions added later are found too.
func (s *Sole) Run(ctx context.Context, work func(context.Context, pipeline.Claim)) error {
	var working sync.WaitGroup
	defer working.Wait()
	known := map[string]int{}
	for wait := 50 * time.Millisecond; ; {
		found, err := s.client.partitions(ctx, topicsNamed(s.topics))
		if err != nil && ctx.Err() == nil {
			s.client.lg.Warn("reading the list of partitions failed, retrying", "error", err)
		}
		complete := err == nil
		for _, topic := range s.topics {
			for p := known[topic]; p < found[topic]; p++ {
				c := &claim{client: s.client, topic: topic, partition: p, ended: ctx.Done(), measured: true}
				working.Go(func() { work(ctx, c) })
			}
			known[topic] = max(known[topic], found[topic])
			complete = complete && known[topic] > 0
		}
		if complete {
			wait = s.client.cfg.PartitionInterval
		}
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

func topicsNamed(names []string) []Topic {
	out := make([]Topic, len(names))
	for i, n := range names {
		out[i].Name = n
	}
	return out
}
