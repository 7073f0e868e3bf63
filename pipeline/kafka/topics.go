package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Topic is a topic as Usher wants it.
type Topic struct {
	Name       string
	Partitions int
	Settings   map[string]string // topic configuration, for creation
	// KeepAll marks the config log: it is checked to have one partition and to
	// delete and compact nothing.
	KeepAll bool
}

// Topics lists the topics of an installation with their dead-letter siblings.
// partitions is for decisions and outcomes each.
func Topics(partitions int) []Topic {
	const day = 24 * time.Hour
	keep := func(d time.Duration) map[string]string {
		return map[string]string{
			"cleanup.policy": "delete", "retention.ms": fmt.Sprint(d.Milliseconds()), "max.message.bytes": "16777216",
		}
	}
	topics := []Topic{
		{Name: event.TopicDecisions, Partitions: partitions, Settings: keep(14 * day)},
		{Name: event.TopicOutcomes, Partitions: partitions, Settings: keep(14 * day)},
		{Name: event.TopicSkills, Partitions: 1, Settings: keep(3 * day)},
		{Name: event.TopicConfig, Partitions: 1, KeepAll: true, Settings: map[string]string{
			"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "16777216",
		}},
	}
	for _, t := range topics {
		// Room for what the sibling could not take: the original and our headers.
		settings := keep(60 * day)
		settings["max.message.bytes"] = "33554432"
		topics = append(topics, Topic{Name: event.DeadLetterTopic(t.Name), Partitions: 1, Settings: settings})
	}
	return topics
}

// EnsureTopics creates the topics that are missing and checks the others. It
// never changes a topic that exists: adding partitions would move conversations,
// and settings are the operator's. It fails with a Precondition fault that says
// how to repair a config topic that would forget, or a topic that is compacted.
func (c *Client) EnsureTopics(ctx context.Context, topics []Topic) error {
	there, err := c.partitions(ctx, topics)
	if err != nil {
		return err
	}
	var missing []Topic
	for _, t := range topics {
		if there[t.Name] == 0 {
			missing = append(missing, t)
		}
	}
	if err := c.create(ctx, missing); err != nil {
		return err
	}
	if there, err = c.awaitTopics(ctx, topics); err != nil {
		return err
	}
	return c.check(ctx, topics, there)
}

// partitions counts the partitions that have a leader, by topic.
func (c *Client) partitions(ctx context.Context, topics []Topic) (map[string]int, error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	meta, err := c.admin.Metadata(ctx, &kafka.MetadataRequest{Topics: names})
	if err != nil {
		return nil, fmt.Errorf("read topics of %s: %w", strings.Join(c.cfg.Brokers, ","), err)
	}
	out := map[string]int{}
	for _, t := range meta.Topics {
		if t.Error != nil && !errors.Is(t.Error, kafka.UnknownTopicOrPartition) && !errors.Is(t.Error, kafka.LeaderNotAvailable) {
			return nil, fmt.Errorf("read topic %q: %w", t.Name, t.Error)
		}
		for _, p := range t.Partitions {
			if p.Error == nil {
				out[t.Name]++
			}
		}
	}
	return out, nil
}

func (c *Client) create(ctx context.Context, topics []Topic) error {
	if len(topics) == 0 {
		return nil
	}
	req := &kafka.CreateTopicsRequest{}
	for _, t := range topics {
		// -1 leaves the number of replicas to the cluster's default.
		config := kafka.TopicConfig{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: -1}
		for k, v := range t.Settings {
			config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
		}
		req.Topics = append(req.Topics, config)
	}
	res, err := c.admin.CreateTopics(ctx, req)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for name, err := range res.Errors {
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) { // two processes may start at once
			return fmt.Errorf("create topic %q: %w", name, err)
		}
	}
	return nil
}

// awaitTopics waits until every topic is known with a leader.
func (c *Client) awaitTopics(ctx context.Context, topics []Topic) (map[string]int, error) {
	for {
		there, err := c.partitions(ctx, topics)
		if err != nil {
			return nil, err
		}
		absent := ""
		for _, t := range topics {
			if there[t.Name] == 0 {
				absent = t.Name
			}
		}
		if absent == "" {
			return there, nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return nil, fmt.Errorf("wait for topic %q: %w", absent, ctx.Err())
		}
	}
}

func (c *Client) check(ctx context.Context, topics []Topic, there map[string]int) error {
	req := &kafka.DescribeConfigsRequest{}
	keepAll := map[string]bool{}
	for _, t := range topics {
		keepAll[t.Name] = t.KeepAll
		if t.KeepAll && there[t.Name] != 1 {
			return fault.New(fault.Precondition, "CONFIG_TOPIC_PARTITIONS",
				"topic %q has %d partitions, but its records need one order: export the config (usher config export), delete the topic, start Usher to create it with one partition, and import", t.Name, there[t.Name])
		}
		req.Resources = append(req.Resources, kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: t.Name,
			ConfigNames: []string{"cleanup.policy", "retention.ms", "retention.bytes"},
		})
	}
	res, err := c.admin.DescribeConfigs(ctx, req)
	if err != nil {
		return fmt.Errorf("read topic settings: %w", err)
	}
	for _, r := range res.Resources {
		if r.Error != nil {
			return fmt.Errorf("read settings of topic %q: %w", r.ResourceName, r.Error)
		}
		settings := map[string]string{}
		for _, e := range r.ConfigEntries {
			settings[e.ConfigName] = e.ConfigValue
		}
		if err := checkSettings(r.ResourceName, settings, keepAll[r.ResourceName]); err != nil {
			return err
		}
	}
	return nil
}

// checkSettings refuses what loses data without a word. Trap: kafka-go reads
// compacted topics wrongly (endless loops, empty messages), so none may be.
func checkSettings(topic string, have map[string]string, keepAll bool) error {
	want := map[string]string{"cleanup.policy": "delete"}
	if keepAll {
		want["retention.ms"], want["retention.bytes"] = "-1", "-1"
	}
	var wrong, fix []string
	for _, name := range []string{"cleanup.policy", "retention.ms", "retention.bytes"} {
		if value, checked := want[name]; checked && have[name] != value {
			wrong = append(wrong, fmt.Sprintf("%s is %q, must be %q", name, have[name], value))
			fix = append(fix, name+"="+value)
		}
	}
	if wrong == nil {
		return nil
	}
	why := "a compacted topic loses events"
	if keepAll {
		why = "it is the only copy of policies, modes, tokens and their history, and must keep every record for ever"
	}
	return fault.New(fault.Precondition, "TOPIC_WOULD_FORGET",
		"topic %q would delete records (%s): %s; repair it with: kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name %s --add-config %s",
		topic, strings.Join(wrong, ", "), why, topic, strings.Join(fix, ","))
}

// offsets returns the first offset of a partition and the one after its last.
func (c *Client) offsets(ctx context.Context, topic string, partition int) (first, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	res, err := c.admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition)},
	}})
	if err != nil {
		return 0, 0, fmt.Errorf("read offsets of %s/%d: %w", topic, partition, err)
	}
	for _, p := range res.Topics[topic] {
		if p.Partition == partition {
			if p.Error != nil {
				return 0, 0, fmt.Errorf("read offsets of %s/%d: %w", topic, partition, p.Error)
			}
			return p.FirstOffset, p.LastOffset, nil
		}
	}
	return 0, 0, fmt.Errorf("read offsets of %s/%d: the broker did not answer for it", topic, partition)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
