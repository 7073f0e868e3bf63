package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/internal/run"
)

// Role is a set of parts that one process runs.
type Role string

// The roles. Up is all of them with embedded engines.
const (
	Up     Role = "up"
	Ingest Role = "ingest"
	Train  Role = "train"
	Decide Role = "decide"
)

// Addresses are where a process listens, host:port; empty where it does not.
type Addresses struct {
	HTTP           string `json:"http,omitempty"`
	GRPC           string `json:"grpc,omitempty"`
	Kafka          string `json:"kafka,omitempty"`
	ClickHouse     string `json:"clickhouse,omitempty"`
	ClickHouseHTTP string `json:"clickhouse_http,omitempty"`
	Admin          string `json:"admin,omitempty"`
}

// Options are what a role needs beside its configuration.
type Options struct {
	Log     *slog.Logger
	Version string
	Now     func() time.Time
}

// Instance is a running role.
type Instance struct {
	node   *node
	ctx    context.Context // ends when the instance is to stop
	cancel context.CancelFunc
	done   chan struct{}
	err    error // how it ended; read after done
}

// Start brings the role up and returns once it is ready, or with the reason why
// it is not, having stopped what had started. The instance lives until ctx ends,
// [Instance.Stop] is called, or a part of it fails; see [Instance.Done].
func Start(ctx context.Context, cfg *config.Config, role Role, opts Options) (*Instance, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	tuneMemory()
	n, unlock, err := newNode(ctx, cfg, role, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	i := &Instance{node: n, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		defer unlock()
		defer cancel()
		i.err = run.Phases(ctx, opts.Log, n.phases()...)
	}()
	select {
	case <-n.ready:
		return i, nil
	case <-i.done:
		if i.err == nil {
			i.err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("start usher %s: %w", role, i.err)
	}
}

// Addresses tells where the instance listens.
func (i *Instance) Addresses() Addresses { return i.node.addr }

// AdminToken is the token made on the first start of the data folder, else empty.
func (i *Instance) AdminToken() string { return i.node.adminToken }

// IssueToken makes an admin token of the whole installation that counts for the
// given time, for a program that runs in the same process.
func (i *Instance) IssueToken(ctx context.Context, name string, lifetime time.Duration) (string, error) {
	spec := token.Spec{Name: name, Scopes: rpc.ScopeAdmin, Expires: i.node.opts.Now().Add(lifetime)}
	plain, _, err := i.node.state.tokens.Create(ctx, spec, "usher")
	if err != nil {
		return "", fmt.Errorf("issue a token for %s: %w", name, err)
	}
	return plain, nil
}

// Wait blocks until everything has stopped and tells why: nil after a clean stop,
// an error that names the limit when a stop takes longer than it may. The process
// is expected to exit then; embedded engines end with it.
func (i *Instance) Wait() error {
	select {
	case <-i.done:
	case <-i.ctx.Done():
		limit := i.node.cfg.StopAfter
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-i.done:
		case <-timer.C:
			return fmt.Errorf("stop usher %s: it was not done within %v (stop_after)", i.node.role, limit)
		}
	}
	if errors.Is(i.err, context.Canceled) {
		return nil
	}
	return i.err
}

// Stop drains and stops everything in the documented order. It is idempotent.
func (i *Instance) Stop() error {
	i.cancel()
	return i.Wait()
}
