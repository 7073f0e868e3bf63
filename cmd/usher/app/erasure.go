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
	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// An erasure goes through two hands. Who trains removes the rows of the warehouse and
// says so in the config log; who decides then removes context and what is at hand, and
// ends it. Both go by hashes: nobody keeps the id.

// erasureAuthor signs what the workers write.
const erasureAuthor = "usher-erasure"

// Times of erasures.
const (
	// erasureSettle is how long after the request rows are looked for once more: what
	// was on its way then has come by that time, or is dropped when it comes.
	erasureSettle = 5 * time.Second
	// erasureRetry is the pause after a failure, which doubles up to erasureRetryMax.
	erasureRetry, erasureRetryMax = time.Second, time.Minute
	// erasureAttempts is how many failures in a row end a request as FAILED.
	erasureAttempts = 20
	// retireCheck is how often live models are held against their time.
	retireCheck = time.Minute
)

// HashID implements server.PersonHasher.
func (w *warehouse) HashID(ctx context.Context, id string) (string, error) {
	db, err := w.get(ctx)
	if err != nil {
		return "", err
	}
	return db.HashID(ctx, id)
}

// ErasedIDs implements erasedPeople.
func (w *warehouse) ErasedIDs(ctx context.Context, account, person string) (analytics.ErasedIDs, error) {
	db, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	return db.ErasedIDs(ctx, account, person)
}

// rowEraser removes rows of the warehouse.
type rowEraser struct {
	store   *configlog.Store
	control *control.Control
	db      *clickhouse.DB
	retrain time.Duration
	now     func() time.Time
	log     *slog.Logger
}

// forgetPart is the half of erasures that belongs to who trains.
func (n *node) forgetPart() run.Part {
	return late("erasures", func(context.Context) (worker, error) {
		e := &rowEraser{
			store: n.state.store, control: n.state.control, db: n.engines.store,
			retrain: time.Duration(n.cfg.Training.ErasureDays) * 24 * time.Hour, now: n.opts.Now, log: n.log,
		}
		return worker{run: e.Run}, nil
	})
}

// Run follows the config log until ctx ends. What a stop interrupts is done again.
func (e *rowEraser) Run(ctx context.Context) error {
	failures, pause := map[string]int{}, erasureRetry
	for {
		changed := e.store.Changed()
		err := e.round(ctx, failures)
		wait := retireCheck
		if err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, "an erasure is not done yet, will retry", "pause", pause, "error", err)
			wait, pause = pause, min(2*pause, erasureRetryMax)
		} else {
			pause = erasureRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(wait):
		}
	}
}

// round does what is to be done in every account. One that fails does not hold up
// the others.
func (e *rowEraser) round(ctx context.Context, failures map[string]int) error {
	var errs []error
	for _, account := range e.store.State().Accounts() {
		all, err := e.control.Erasures(account)
		errs = append(errs, err)
		for _, one := range all {
			if one.State != control.ErasureRunning || one.RowsGone || ctx.Err() != nil {
				continue
			}
			err := e.erase(ctx, account, one)
			if failures[one.Name]++; err == nil {
				delete(failures, one.Name)
			} else if failures[one.Name] >= erasureAttempts && ctx.Err() == nil {
				delete(failures, one.Name)
				err = errors.Join(err, e.giveUp(ctx, account, one, err))
			}
			errs = append(errs, err)
		}
		retired, err := e.control.Retire(ctx, account, e.now(), control.Author{
			Name: erasureAuthor, Reason: "it learned from rows that were erased, and its time to be trained anew is over"})
		if retired {
			e.log.WarnContext(ctx, "a model is live no more: it learned from erased rows and no better one came in time", "account", account)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// erase looks for rows until a look some time after the request finds none.
func (e *rowEraser) erase(ctx context.Context, account string, one control.Erasure) error {
	q := analytics.Erasure{Account: account, Hash: one.Hash, Before: one.Requested}
	var hours []time.Time
	for settled := false; ; {
		found, err := e.db.Erase(ctx, q)
		if err != nil {
			return err
		}
		hours = mergeHours(hours, found.Hours)
		if found.Decisions+found.Outcomes+found.DeadLetters > 0 {
			e.count(&one, found)
			if one, err = e.control.SaveErasure(ctx, account, one, control.Author{Name: erasureAuthor}); err != nil {
				return err
			}
		}
		if settled {
			break
		}
		if err := sleep(ctx, one.Requested.Add(erasureSettle).Sub(e.now())); err != nil {
			return err
		}
		settled = true
	}
	if err := e.db.Recount(ctx, account, hours); err != nil {
		return err
	}
	one.RowsGone, one.Detail = true, "the warehouse has no rows any more; context follows"
	_, err := e.control.SaveErasure(ctx, account, one, control.Author{Name: erasureAuthor})
	return err
}

func (e *rowEraser) count(one *control.Erasure, found analytics.Erased) {
	one.Decisions += int64(found.Decisions)     //nolint:gosec // a count
	one.Outcomes += int64(found.Outcomes)       //nolint:gosec // a count
	one.DeadLetters += int64(found.DeadLetters) //nolint:gosec // a count
	known := map[string]bool{}
	for _, version := range one.Models {
		known[version] = true
	}
	for _, version := range found.Models {
		if !known[version] {
			one.Models = append(one.Models, version)
		}
	}
	if len(one.Models) > 0 {
		one.RetrainBy = one.Requested.Add(e.retrain)
	}
}

func (e *rowEraser) giveUp(ctx context.Context, account string, one control.Erasure, cause error) error {
	e.log.ErrorContext(ctx, "an erasure failed; ask for it again once the cause is gone", "account", account, "request", one.Name, "error", cause)
	all, err := e.control.Erasures(account) // an attempt may have counted
	for _, now := range all {
		if now.Name == one.Name {
			one = now
		}
	}
	if err == nil {
		one.State, one.Detail = control.ErasureFailed, cause.Error()
		_, err = e.control.SaveErasure(ctx, account, one, control.Author{Name: erasureAuthor})
	}
	return err
}

// sleep waits; an error means that ctx ended before.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(max(0, d)):
		return nil
	}
}

func mergeHours(a, b []time.Time) []time.Time {
	seen := map[int64]bool{}
	var out []time.Time
	for _, t := range append(a, b...) {
		if !seen[t.Unix()] {
			seen[t.Unix()] = true
			out = append(out, t)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

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
	return account + "/" + one.Name + "@" + strconv.FormatInt(one.Requested.UnixMilli(), 10)
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
