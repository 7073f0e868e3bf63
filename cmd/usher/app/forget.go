package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// localEraser removes what a process that decides keeps of people. Every one does:
// each has decisions at hand, and may have context, of its own. It remembers in the
// data folder which ones it did, so one that was away catches up, in whatever order
// they end. One without that folder does all again, which deletes nothing newer.
type localEraser struct {
	store    *configlog.Store
	control  *control.Control
	people   erasedPeople
	contexts *contextstore.Store
	spool    *decisionlog.Log
	path     string // of the file that names the erasures done here, one a line
	now      func() time.Time
	log      *slog.Logger
}

// erasedPeople tells who was erased, by keyed hash.
type erasedPeople interface {
	HashID(ctx context.Context, id string) (string, error)
	ErasedIDs(ctx context.Context, account, person string) (analytics.ErasedIDs, error)
}

// forgetLocalPhase is the half of erasures that belongs to who decides.
func (n *node) forgetLocalPhase() run.Phase {
	return run.Phase{Name: "erasures", Parts: []run.Part{late("erasures of context", func(context.Context) (worker, error) {
		e := &localEraser{
			store: n.state.store, control: n.state.control, people: n.engines.warehouse, contexts: n.serving.contexts,
			spool: n.serving.spool, path: n.path("erased"), now: n.opts.Now, log: n.log,
		}
		return worker{run: e.Run}, nil
	})}}
}

// Run follows the config log until ctx ends.
func (e *localEraser) Run(ctx context.Context) error {
	pause := erasureRetry
	for {
		changed := e.store.Changed()
		var retry <-chan time.Time
		if err := e.round(ctx); err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, "what this process has of an erased person is not gone yet, will retry", "pause", pause, "error", err)
			retry, pause = time.After(pause), min(2*pause, erasureRetryMax)
		} else {
			pause = erasureRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry:
		}
	}
}

// round does every erasure that was not done here. One that fails does not hold up
// the others.
func (e *localEraser) round(ctx context.Context) error {
	done, err := e.reached()
	if err != nil {
		return err
	}
	var errs []error
	for _, account := range e.store.State().Accounts() {
		all, err := e.control.Erasures(account)
		errs = append(errs, err)
		for _, one := range all {
			pass := passOf(account, one)
			if !one.RowsGone || done[pass] || ctx.Err() != nil {
				continue
			}
			err := e.erase(ctx, account, one)
			if err == nil {
				done[pass] = true
				err = e.reach(done)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// passOf names a request as of its time: one that is asked for again while it runs is
// to be done again.
func passOf(account string, one control.Erasure) string {
	return account + "/" + one.Name + "@" + strconv.FormatInt(one.Requested.UnixNano(), 10)
}

// erase does one erasure here and ends it, unless another process was faster.
func (e *localEraser) erase(ctx context.Context, account string, one control.Erasure) error {
	contexts, err := e.forget(ctx, account, one)
	if err != nil || one.State != control.ErasureRunning {
		return err
	}
	one.State, one.Done, one.Contexts, one.Detail = control.ErasureDone, e.now().UTC(), one.Contexts+contexts, ""
	_, err = e.control.SaveErasure(ctx, account, one, control.Author{Name: erasureAuthor})
	if fault.KindOf(err) == fault.Conflict {
		return nil // another process was faster, or it was asked for again
	}
	return err
}

// forget removes what this process has of a person and counts the context documents.
func (e *localEraser) forget(ctx context.Context, account string, one control.Erasure) (int64, error) {
	ids, err := e.people.ErasedIDs(ctx, account, one.Hash)
	if err != nil {
		return 0, err
	}
	if _, err := e.people.HashID(ctx, ""); err != nil { // the key is at hand from here on
		return 0, err
	}
	is := func(kind, id string) bool {
		if id == "" {
			return false
		}
		hash, err := e.people.HashID(ctx, id)
		return err == nil && ids[kind][hash]
	}
	err = e.spool.Forget(func(d *event.Decision) bool {
		return d.Account == account && (is(analytics.ErasedConversation, d.ConversationID) ||
			!d.Time.After(one.Requested) && (is(analytics.ErasedPerson, d.ConsumerID) || is(analytics.ErasedPerson, d.VisitorID)))
	}, func(o *event.Outcome) bool {
		return o.Account == account && (is(analytics.ErasedConversation, o.ConversationID) || is(analytics.ErasedDecision, o.DecisionID))
	})
	if err != nil {
		return 0, err
	}
	return e.contexts.Erase(ctx, account, one.Requested, func(scope contextstore.Scope, id string) bool {
		return is(analytics.ErasedPerson, id) ||
			scope == contextstore.ScopePlain && (is(analytics.ErasedConversation, id) || is(analytics.ErasedSession, id))
	})
}

func (e *localEraser) reached() (map[string]bool, error) {
	text, err := os.ReadFile(e.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read which erasures are done: %w", err)
	}
	done := map[string]bool{}
	for pass := range strings.Lines(string(text)) {
		done[strings.TrimSpace(pass)] = true
	}
	return done, nil
}

func (e *localEraser) reach(done map[string]bool) error {
	text := strings.Join(slices.Sorted(maps.Keys(done)), "\n")
	err := os.WriteFile(e.path+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(e.path+".new", e.path)
	}
	if err != nil {
		return fmt.Errorf("write which erasures are done: %w", err)
	}
	return nil
}
