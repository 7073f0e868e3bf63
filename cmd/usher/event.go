package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

func newEventCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "event",
		Short: "Put events on the log, or watch them",
		Example: `  usher event send usher.outcomes outcomes.jsonl
  usher event tail usher.decisions --account default`,
	}
	c.AddCommand(newEventSendCommand(w), newEventTailCommand(w))
	return c
}

// onLog makes the RunE of a command that works on the log.
func (w *world) onLog(s *settings, do func(*cobra.Command, []string, *kafka.Client) error) func(*cobra.Command, []string) error {
	return s.configured(w, func(c *cobra.Command, args []string, cfg *config.Config) (err error) {
		log, err := w.logger(cfg)
		if err != nil {
			return err
		}
		client, err := app.OpenLog(cfg, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		return do(c, args, client)
	})
}

func newEventSendCommand(w *world) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:   "send TOPIC [FILE]",
		Short: "Send JSON lines from FILE, or standard input, to a topic",
		Long: `Every line is the JSON of one event, see docs/events.md. All lines are checked
first; when one is wrong every fault is named with its line, and nothing is sent.
Sending the same events again changes nothing: (source, id) identifies them.`,
		Example: `  usher event send usher.outcomes outcomes.jsonl
  echo '{"id":"1","source":"desk","account":"default","conversation_id":"c-1",
    "kind":"resolved","value":1,"time":"2026-01-02T15:04:05Z"}' | tr -d '\n' | usher event send usher.outcomes`,
		Args: cobra.RangeArgs(1, 2),
	}
	s.bind(c, toolSections()...)
	c.RunE = func(c *cobra.Command, args []string) error {
		var msgs []event.Message
		if err := w.input(args[1:], func(in io.Reader) (err error) {
			msgs, err = readEvents(in, args[0])
			return err
		}); err != nil {
			return err
		}
		return w.onLog(&s, func(c *cobra.Command, _ []string, client *kafka.Client) (err error) {
			writer := client.NewWriter()
			defer func() { err = errors.Join(err, writer.Close()) }()
			if err := writer.Publish(c.Context(), msgs); err != nil {
				return err
			}
			_, err = fmt.Fprintf(w.err, "%d events sent to %s\n", len(msgs), args[0])
			return err
		})(c, args)
	}
	return c
}

// errEnough ends a tail that has shown what was asked for.
var errEnough = errors.New("enough events were shown")

func newEventTailCommand(w *world) *cobra.Command {
	var s settings
	var f eventFilter
	last, most := int64(10), 0
	c := &cobra.Command{
		Use:   "tail TOPIC...",
		Short: "Show events as JSON lines, the last ones first, then new ones as they come",
		Example: `  usher event tail usher.decisions usher.outcomes --account default
  usher event tail usher.outcomes --last 1000000 --max 5 --match '"kind":"csat"'
  usher event tail usher.outcomes.dlq`,
		Args: cobra.MinimumNArgs(1),
	}
	s.bind(c, toolSections()...)
	flags := c.Flags()
	flags.Int64Var(&last, "last", last, "how many events of each partition to begin with")
	flags.IntVar(&most, "max", 0, "stop after so many events; 0 goes on until Ctrl-C")
	flags.StringVar(&f.account, "account", "", "only events of this account")
	flags.StringVar(&f.conversation, "key", "", "only events with this key: the conversation")
	flags.StringVar(&f.match, "match", "", "only events whose payload holds this text")
	c.RunE = w.onLog(&s, func(c *cobra.Command, topics []string, client *kafka.Client) error {
		shower := &shower{filter: f, most: most, out: w.out}
		group, ctx := errgroup.WithContext(c.Context())
		for _, topic := range topics {
			group.Go(func() error { return client.Tail(ctx, topic, last, shower.show) })
		}
		err := group.Wait()
		if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
	return c
}

// shower shows the events that a filter chooses, one at a time.
type shower struct {
	filter eventFilter
	most   int
	out    io.Writer

	mu    sync.Mutex
	shown int
}

func (s *shower) show(m event.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.filter.matches(&m) {
		return nil
	}
	if s.most > 0 && s.shown >= s.most {
		return errEnough
	}
	if err := show(s.out, &m); err != nil {
		return err
	}
	s.shown++
	if s.shown == s.most {
		return errEnough
	}
	return nil
}
