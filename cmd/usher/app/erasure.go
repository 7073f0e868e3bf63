package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/pipeline/configlog"
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
	db      personRows
	retrain time.Duration
	now     func() time.Time
	log     *slog.Logger
}

// personRows is the warehouse as erasures need it, see [clickhouse.DB].
type personRows interface {
	Erase(ctx context.Context, q analytics.Erasure, found func(analytics.Erased) error) (analytics.Erased, error)
	Recount(ctx context.Context, account string, hours []time.Time) error
}

var _ personRows = (*clickhouse.DB)(nil)

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
			Name: erasureAuthor, Reason: "it learned from rows that were erased, and its time to be trained anew is over",
		})
		if retired {
			e.log.WarnContext(ctx, "a model is live no more: it learned from erased rows and no better one came in time", "account", account)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// erase looks for rows until a look began some time after the request, counts the
// hours anew, and says so unless somebody asked again meanwhile.
func (e *rowEraser) erase(ctx context.Context, account string, one control.Erasure) (err error) {
	var asked time.Time
	for settled := false; !settled || !asked.Equal(one.Requested); {
		asked = one.Requested
		wait := asked.Add(erasureSettle).Sub(e.now())
		settled = wait <= 0
		if one, err = e.look(ctx, account, one); err != nil {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	hours := make([]time.Time, len(one.Hours))
	for i, hour := range one.Hours {
		hours[i] = time.Unix(hour*3600, 0).UTC()
	}
	if err := e.db.Recount(ctx, account, hours); err != nil {
		return err
	}
	// A stop may have lost a count, and each hour had a decision at least.
	one.Decisions, one.Hours = max(one.Decisions, int64(len(hours))), nil
	one.RowsGone, one.Detail = true, "the warehouse has no rows any more; context follows"
	_, err = e.control.SaveErasure(ctx, account, one, control.Author{Name: erasureAuthor})
	return err
}

// look removes the rows that there are. What only they tell is written down before the
// first one goes, so that it outlives a stop.
func (e *rowEraser) look(ctx context.Context, account string, one control.Erasure) (control.Erasure, error) {
	q := analytics.Erasure{Account: account, Hash: one.Hash, Before: one.Requested}
	done, err := e.db.Erase(ctx, q, func(found analytics.Erased) (err error) {
		if len(found.Hours)+len(found.Models) > 0 {
			one, err = e.save(ctx, account, one, func(now *control.Erasure) { e.note(now, found) })
		}
		return err
	})
	if err != nil || done.Decisions+done.Outcomes+done.DeadLetters == 0 {
		return one, err
	}
	return e.save(ctx, account, one, func(now *control.Erasure) {
		now.Decisions += int64(done.Decisions)     //nolint:gosec // a count
		now.Outcomes += int64(done.Outcomes)       //nolint:gosec // a count
		now.DeadLetters += int64(done.DeadLetters) //nolint:gosec // a count
	})
}

// note adds to a request what must be done after its rows are gone.
func (e *rowEraser) note(one *control.Erasure, found analytics.Erased) {
	for _, hour := range found.Hours {
		one.Hours = append(one.Hours, hour.Unix()/3600)
	}
	slices.Sort(one.Hours)
	one.Hours = slices.Compact(one.Hours)
	for _, version := range found.Models {
		if !slices.Contains(one.Models, version) {
			one.Models = append(one.Models, version)
		}
	}
	if len(one.Models) > 0 && one.RetrainBy.IsZero() {
		one.RetrainBy = one.Requested.Add(e.retrain)
	}
}

// saveTries bounds how often a change is made to a request that is asked for again
// at the same time.
const saveTries = 5

// save makes a change to the newest revision of a request.
func (e *rowEraser) save(ctx context.Context, account string, one control.Erasure, change func(*control.Erasure)) (control.Erasure, error) {
	for tries := 1; ; tries++ {
		change(&one)
		saved, err := e.control.SaveErasure(ctx, account, one, control.Author{Name: erasureAuthor})
		if fault.KindOf(err) != fault.Conflict || tries == saveTries {
			return saved, err
		}
		if one, err = e.newest(account, one); err != nil {
			return one, err
		}
	}
}

// newest is the request as it is now: an attempt may have counted.
func (e *rowEraser) newest(account string, one control.Erasure) (control.Erasure, error) {
	all, err := e.control.Erasures(account)
	for _, now := range all {
		if now.Name == one.Name {
			one = now
		}
	}
	return one, err
}

func (e *rowEraser) giveUp(ctx context.Context, account string, one control.Erasure, cause error) error {
	e.log.ErrorContext(ctx, "an erasure failed; ask for it again once the cause is gone", "account", account, "request", one.Name, "error", cause)
	one, err := e.newest(account, one)
	if err == nil {
		_, err = e.save(ctx, account, one, func(now *control.Erasure) { now.State, now.Detail = control.ErasureFailed, cause.Error() })
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
