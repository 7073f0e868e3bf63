package app

import (
	"context"
	"errors"
	"log/slog"

	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

// OpenLog connects a tool to the log, see [Brokers]. The caller closes it.
func OpenLog(cfg *config.Config, log *slog.Logger) (*kafka.Client, error) {
	brokers, err := Brokers(cfg)
	if err != nil {
		return nil, err
	}
	return kafka.NewClient(logConfig(cfg, brokers), log, nil)
}

// WithControl gives a tool the control state, folded up to now, for as long as do
// runs.
func WithControl(ctx context.Context, cfg *config.Config, log *slog.Logger, do func(*configlog.Store) error) (err error) {
	client, err := OpenLog(cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.EnsureTopics(ctx, kafka.Topics(cfg.Kafka.Partitions)); err != nil {
		return err
	}
	writer := client.NewWriter()
	defer func() { err = errors.Join(err, writer.Close()) }()
	store := configlog.New(client.NewConfigLog(writer, event.TopicConfig), configlog.WithLogger(log))
	ctx, cancel := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- store.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-followed)
	}()
	select {
	case <-store.Ready():
		return do(store)
	case <-ctx.Done():
		return ctx.Err()
	}
}
