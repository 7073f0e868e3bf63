package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

func newDLQCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "List dead letters, or put them back on their topic",
		Long: `An event that cannot be understood goes to the topic <topic>.dlq, with the reason in
its headers, and to the table dead_letters. Once the cause is mended, replay puts
the originals back where they came from. What is still poison then is the same
dead letter again, one attempt older. A letter that was put back since it last
died, or whose event is stored meanwhile, is no longer dead: both commands leave
it out unless told otherwise.`,
		Example: `  usher dlq list --topic usher.outcomes --reason INVALID
  usher dlq replay --since 2026-01-02T00:00:00Z --dry-run`,
	}
	c.AddCommand(newDLQListCommand(w), newDLQReplayCommand(w))
	return c
}

// letterFlags are how both commands choose dead letters.
type letterFlags struct {
	filter       pipeline.ReplayFilter
	since, until string
}

func (l *letterFlags) bind(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&l.filter.Topics, "topic", nil, "original topic; repeatable; all event topics when absent")
	f.StringVar(&l.filter.Account, "account", "", "only of this account")
	f.StringVar(&l.filter.Reason, "reason", "", "only with this reason, such as MALFORMED or INVALID")
	f.StringVar(&l.filter.Field, "field", "", "only with this offending field")
	f.StringVar(&l.since, "since", "", "only originals written at this time or later, RFC 3339")
	f.StringVar(&l.until, "until", "", "only originals written before this time, RFC 3339")
	f.IntVar(&l.filter.Limit, "limit", 0, "at most so many; 0 has no limit")
}

func (l *letterFlags) read() (pipeline.ReplayFilter, error) {
	f := l.filter
	if len(f.Topics) == 0 {
		f.Topics = []string{event.TopicDecisions, event.TopicOutcomes, event.TopicSkills}
	}
	for _, t := range []struct {
		flag, text string
		into       *time.Time
	}{{"--since", l.since, &f.Since}, {"--until", l.until, &f.Until}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return f, &usageError{fmt.Errorf("%s %q is no time such as 2026-01-02T15:04:05Z", t.flag, t.text)}
		}
		*t.into = at
	}
	return f, nil
}

// shownLetter is a dead letter as one JSON line. Its place is that of the first
// death, attempt how often it was put back before this one. The payload is shown as
// text when it is JSON, else in base64.
type shownLetter struct {
	Topic     string            `json:"topic"`
	Partition int               `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      time.Time         `json:"time"`
	Attempt   int               `json:"attempt,omitempty"`
	Account   string            `json:"account,omitempty"`
	Reason    string            `json:"reason"`
	Field     string            `json:"field,omitempty"`
	Detail    string            `json:"detail"`
	Key       string            `json:"key,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Event     json.RawMessage   `json:"event,omitempty"`
	Bytes     []byte            `json:"bytes,omitempty"`
}

func newShownLetter(l *event.DeadLetter) shownLetter {
	s := shownLetter{
		Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Time: l.Time, Attempt: l.Attempt, Account: l.Account,
		Reason: l.Reason, Field: l.Field, Detail: l.Detail, Key: string(l.Key), Headers: l.Headers,
	}
	if json.Valid(l.Value) {
		s.Event = l.Value
	} else {
		s.Bytes = l.Value
	}
	return s
}

// replaying gives a command the dead letters, and what tells the dead from the
// stored: the warehouse, which is not asked when all letters count.
func (w *world) replaying(s *settings, all *bool, flag string, do func(context.Context, *kafka.Client, pipeline.EventIndex) error) func(*cobra.Command, []string) error {
	return s.configured(w, func(c *cobra.Command, _ []string, cfg *config.Config) (err error) {
		log, err := w.logger(cfg)
		if err != nil {
			return err
		}
		client, err := app.OpenLog(cfg, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		if *all {
			return do(c.Context(), client, nil)
		}
		db, err := app.OpenStore(c.Context(), cfg)
		if err != nil {
			return fmt.Errorf("open the warehouse, to leave out what is stored (%s does without): %w", flag, err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return do(c.Context(), client, db)
	})
}

func newDLQListCommand(w *world) *cobra.Command {
	var s settings
	var flags letterFlags
	c := &cobra.Command{
		Use: "list", Short: "Show dead letters as JSON lines", Args: cobra.NoArgs,
		Example: "  usher dlq list",
		Long:    "Shows every event that is still dead once, as it died last.",
	}
	s.bind(c, toolSections()...)
	flags.bind(c)
	c.Flags().BoolVar(&flags.filter.Again, "all", false, "also those that were put back since they died, or are stored meanwhile")
	c.RunE = w.replaying(&s, &flags.filter.Again, "--all", func(ctx context.Context, client *kafka.Client, stored pipeline.EventIndex) error {
		filter, err := flags.read()
		if err != nil {
			return err
		}
		filter.DryRun = true
		lines := json.NewEncoder(w.out)
		var failed error
		_, err = pipeline.Replayer{Log: client, Stored: stored, Each: func(l *event.DeadLetter) {
			if failed == nil {
				failed = lines.Encode(newShownLetter(l))
			}
		}}.Run(ctx, filter)
		return errors.Join(err, failed)
	})
	return c
}

func newDLQReplayCommand(w *world) *cobra.Command {
	var s settings
	var flags letterFlags
	dryRun := false
	c := &cobra.Command{
		Use: "replay", Short: "Put dead letters back on the topic they came from", Args: cobra.NoArgs,
		Example: "  usher dlq replay",
		Long: `Prints one JSON object with the counts: letters seen, picked and replayed; those
skipped because the same event died again later (older), was put back since it
last died (replayed) or is stored meanwhile (stored); and those that cannot be
put back.`,
	}
	s.bind(c, toolSections()...)
	flags.bind(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "pick and count, but put nothing back")
	c.Flags().BoolVar(&flags.filter.Again, "again", false, "also what was put back since it last died, or is stored meanwhile")
	c.RunE = w.replaying(&s, &flags.filter.Again, "--again", func(ctx context.Context, client *kafka.Client, stored pipeline.EventIndex) (err error) {
		filter, err := flags.read()
		if err != nil {
			return err
		}
		filter.DryRun = dryRun
		writer := client.NewWriter()
		defer func() { err = errors.Join(err, writer.Close()) }()
		report, err := pipeline.Replayer{Log: client, Publisher: writer, Stored: stored}.Run(ctx, filter)
		if err != nil {
			return err
		}
		return json.NewEncoder(w.out).Encode(report)
	})
	return c
}
