package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/usherhq/usher/pipeline"
)

// Group is a pipeline.Source over a consumer group: any number of processes
// share the partitions.
//
// Trap: the library's Reader commits through whatever generation is current, so
// a member that had lost a partition could move the group back. Here every claim
// belongs to one generation and ends with it.
type Group struct {
	client *Client
	topics []string
}

var _ pipeline.Source = (*Group)(nil)

// NewGroup makes a source over the topics, as a member of the configured group.
func (c *Client) NewGroup(topics ...string) *Group { return &Group{client: c, topics: topics} }

// Run implements [pipeline.Source]. It joins again for ever, whatever fails.
func (g *Group) Run(ctx context.Context, work func(context.Context, pipeline.Claim)) error {
	members, err := kafka.NewConsumerGroup(g.config())
	if err != nil {
		return fmt.Errorf("join group %q: %w", g.client.cfg.Group, err)
	}
	var working sync.WaitGroup
	var said time.Time // a dead broker is worth a line now and then, not four a second
	for {
		gen, err := members.Next(ctx)
		switch {
		case err == nil:
			g.client.metrics.generations.Inc()
			g.begin(gen, &working, work)
			continue
		case ctx.Err() == nil && !errors.Is(err, kafka.ErrGroupClosed):
			if time.Since(said) > 10*time.Second {
				said = time.Now()
				g.client.lg.Warn("joining the consumer group failed, retrying", "group", g.client.cfg.Group, "error", err)
			}
			continue
		}
		// Leaving tells the broker, so the others take over at once.
		closing := members.Close()
		working.Wait()
		if closing != nil {
			return fmt.Errorf("leave group %q: %w", g.client.cfg.Group, closing)
		}
		return nil
	}
}

func (g *Group) config() kafka.ConsumerGroupConfig {
	cfg := g.client.cfg
	return kafka.ConsumerGroupConfig{
		ID: cfg.Group, Brokers: cfg.Brokers, Dialer: g.client.dialer, Topics: g.topics,
		// Round robin spreads the partitions of small topics, range would give
		// the first of each topic to one member.
		GroupBalancers:    []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}},
		HeartbeatInterval: cfg.Heartbeat, SessionTimeout: cfg.SessionTimeout, RebalanceTimeout: cfg.RebalanceTimeout,
		JoinGroupBackoff: 250 * time.Millisecond, // Trap: 5 s by default, lost at every restart
		Timeout:          cfg.RequestTimeout,
		// Trap: without this, partitions added later are never read.
		WatchPartitionChanges: true, PartitionWatchInterval: cfg.PartitionInterval,
		// Trap: LastOffset and a crash before the first commit lose what came between.
		StartOffset: kafka.FirstOffset,
		ErrorLogger: g.client.errorLog(),
	}
}

// begin starts the work of one generation.
func (g *Group) begin(gen *kafka.Generation, working *sync.WaitGroup, work func(context.Context, pipeline.Claim)) {
	member := &membership{client: g.client, gen: gen}
	for topic, partitions := range gen.Assignments {
		for _, p := range partitions {
			c := &claim{client: g.client, topic: topic, partition: p.ID, member: member, measured: true}
			working.Add(1)
			// Trap: the first function to return ends the generation for all, and one
			// that does not return when told to blocks the whole group.
			gen.Start(func(ctx context.Context) {
				defer working.Done()
				c.ended = ctx.Done()
				g.client.lg.Info("partition assigned", "topic", topic, "partition", c.partition, "generation", gen.ID)
				work(ctx, c)
				g.client.metrics.forget(topic, c.partition)
				<-ctx.Done()
			})
		}
	}
}

// membership proves that this process is still in the generation.
type membership struct {
	client *Client
	gen    *kafka.Generation

	mu    sync.Mutex
	until time.Time // proven up to here
}

// errNotHeld says that the partition may be somebody else's by now.
var errNotHeld = errors.New("the partition is not held any more")

// held is nil when the group cannot have given the partition away yet. The proof
// is a commit of what is stored anyway: the coordinator takes it from a member
// of the current generation only, and restarts that member's session, so its
// answer holds for a session from the moment of asking. Half of that is used;
// the rest is for the write that follows.
//
// Trap: the library's Client.Heartbeat looks made for this, but it asks any
// broker instead of the coordinator and reads the fields of the answer in the
// wrong order, so that every heartbeat seems to succeed.
func (m *membership) held(c *claim) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := time.Now()
	// Both clocks: the monotonic one stands still while a machine is suspended.
	if asked.Before(m.until) && asked.Round(0).Before(m.until.Round(0)) {
		return nil
	}
	select {
	case <-c.ended:
		return errNotHeld
	default:
	}
	if err := m.commit(c.topic, c.partition, c.stored.Load()); err != nil {
		return fmt.Errorf("%w: %w", errNotHeld, err)
	}
	m.until = asked.Add(m.client.cfg.SessionTimeout / 2)
	if time.Now().After(m.until) {
		return fmt.Errorf("%w: the coordinator took too long to say so", errNotHeld)
	}
	return nil
}

// commit tells the group how far the partition is stored.
func (m *membership) commit(topic string, partition int, next int64) error {
	return m.gen.CommitOffsets(map[string]map[int]int64{topic: {partition: next}})
}
