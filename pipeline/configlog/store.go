package configlog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Store folds a log into snapshots and writes changes to it. Reading takes no
// lock. Create it with [New], run it with [Store.Run].
type Store struct {
	log   Log
	lg    *slog.Logger
	now   func() time.Time
	newID func() string

	state atomic.Pointer[State]
	ready chan struct{}

	mu      sync.Mutex
	changed chan struct{}
	waiting map[string]chan verdict // by change id

	seen seenIDs // touched only by the fold
}

type verdict struct {
	resource Resource
	err      error
}

// Option changes a store before it runs.
type Option func(*Store)

// WithClock replaces the clock and the source of ids of new changes.
func WithClock(now func() time.Time, newID func() string) Option {
	return func(s *Store) { s.now, s.newID = now, newID }
}

// WithLogger sets where refused and unreadable records are logged.
func WithLogger(lg *slog.Logger) Option {
	return func(s *Store) { s.lg = lg }
}

// New makes a store over the log. It does nothing until Run.
func New(log Log, opts ...Option) *Store {
	s := &Store{
		log: log, lg: slog.New(slog.DiscardHandler), now: time.Now,
		newID:   func() string { return uuid.Must(uuid.NewV7()).String() },
		ready:   make(chan struct{}),
		changed: make(chan struct{}),
		waiting: map[string]chan verdict{},
		seen:    seenIDs{index: map[string]struct{}{}},
	}
	s.state.Store(newState())
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Run folds the log until ctx ends and then returns nil. Faults of the log are
// retried for ever: the last good state stays readable meanwhile. Call it once.
func (s *Store) Run(ctx context.Context) error {
	end, ok := s.endAtStart(ctx)
	if !ok {
		return nil
	}
	f := &fold{store: s, state: newState(), end: end}
	f.publishIfCaughtUp()
	for wait := minRetry; ; wait = min(2*wait, maxRetry) {
		before := f.next
		err := s.log.Follow(ctx, f.next, f.apply)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of ctx is how Run ends
		}
		s.lg.Warn("config log cannot be followed, retrying", "error", err, "offset", f.next)
		if f.next > before {
			wait = minRetry
		}
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

const (
	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
)

// endAtStart tries until ctx ends.
func (s *Store) endAtStart(ctx context.Context) (end int64, ok bool) {
	for wait := minRetry; ; wait = min(2*wait, maxRetry) {
		end, err := s.log.End(ctx)
		if err == nil {
			return end, true
		}
		if ctx.Err() != nil {
			return 0, false
		}
		s.lg.Warn("end of the config log cannot be read, retrying", "error", err)
		if !sleep(ctx, wait) {
			return 0, false
		}
	}
}

// Ready is closed once everything that was on the log when Run began is folded.
// Until then State is empty.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// State returns the newest snapshot. It never blocks.
func (s *Store) State() *State { return s.state.Load() }

// Changed returns a channel that is closed at the next new state. To miss
// nothing take the channel first, then the state.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// MaxRecord is how large a record may be that Write appends, in bytes of its JSON:
// below the 16 MiB that the topic takes, with room for the envelope.
const MaxRecord = 15 << 20

// Write appends the change and waits until this store has folded it: the state
// read afterwards holds it. Empty ID and Time are filled in. Errors: Invalid for
// a malformed change, and with reason RECORD_TOO_LARGE for one over [MaxRecord],
// Exists when Base is 0 and the resource exists, NotFound when it does not and
// should, Conflict (reason ABORTED, the current revision as metadata etag) when
// Base is stale, Unavailable when the log did not take or return it in time; then
// the change may still come to count. It returns the resource as written, of a
// change in parts the first; for a deletion only names and revision are
// meaningful.
func (s *Store) Write(ctx context.Context, c event.ConfigChange) (Resource, error) {
	if c.ID == "" {
		c.ID = s.newID()
	}
	if c.Time.IsZero() {
		c.Time = s.now().UTC()
	}
	if err := c.Validate(); err != nil {
		return Resource{}, err
	}
	if err := s.hopeless(&c); err != nil {
		return Resource{}, err
	}
	if n := recordSize(&c); n > MaxRecord {
		return Resource{}, fault.New(fault.Invalid, "RECORD_TOO_LARGE",
			"the change has some %d bytes in %d resources; one record of the config log takes %d: change less at once", n, len(partsOf(&c)), MaxRecord)
	}
	mine := s.expect(c.ID)
	defer s.forget(c.ID)
	switch err := s.log.Append(ctx, &c); {
	case fault.KindOf(err) == fault.Invalid:
		return Resource{}, err // this log takes less than others: trying again cannot help
	case err != nil:
		return Resource{}, unavailable("append to the config log", err)
	}
	select {
	case v := <-mine:
		return v.resource, v.err
	case <-ctx.Done():
		return Resource{}, unavailable("wait for the config log", ctx.Err())
	}
}

// hopeless refuses early what the fold is sure to refuse. Revisions only grow,
// so a base behind our state is stale everywhere; a base ahead of it means that
// we are behind, and the log must judge.
func (s *Store) hopeless(c *event.ConfigChange) error {
	st := s.State()
	for _, p := range partsOf(c) {
		behind := p.Base < st.KindRevision(c.Account, p.Kind)
		if !p.IsGuard() {
			current, exists := st.Get(c.Account, p.Kind, p.Name)
			behind = exists && p.Base < current.Revision
		}
		if behind {
			return st.judgePart(c.Account, &p)
		}
	}
	return nil
}

// recordSize estimates the JSON of a record from above: values travel as base64,
// names and reasons may have every byte escaped.
func recordSize(c *event.ConfigChange) int {
	const fields, escaped = 256, 6
	n := fields + escaped*(len(c.Account)+len(c.Author)+len(c.Reason)+len(c.ID))
	for _, p := range partsOf(c) {
		n += fields/2 + escaped*(len(p.Kind)+len(p.Name)) + (len(p.Value)+2)/3*4
	}
	return n
}

func (s *Store) expect(id string) <-chan verdict {
	ch := make(chan verdict, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[id] = ch
	return ch
}

func (s *Store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

// publish makes st visible, then wakes those who wait: whoever wakes up sees st.
func (s *Store) publish(st *State) {
	s.state.Store(st)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) answer(id string, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch, ok := s.waiting[id]; ok {
		ch <- v // has room: an id is answered once, see seenIDs
		delete(s.waiting, id)
	}
}

// fold is the reading side of a store, owned by Run's goroutine.
type fold struct {
	store *Store
	state *State
	next  int64 // offset of the next record
	end   int64 // end of the log when Run began
	live  bool  // caught up once: every state is published
}

func (f *fold) apply(offset int64, c *event.ConfigChange) error {
	if offset < f.next {
		return nil // delivered again after a reconnect
	}
	f.next = offset + 1
	v, counts := f.judge(offset, c)
	if f.live {
		if counts {
			f.store.publish(f.state)
		}
	} else {
		f.publishIfCaughtUp()
	}
	if c != nil {
		f.store.answer(c.ID, v)
	}
	return nil
}

// judge folds one record and says whether it counts.
func (f *fold) judge(offset int64, c *event.ConfigChange) (verdict, bool) {
	lg := f.store.lg.With("offset", offset)
	if c == nil {
		lg.Warn("config record is unreadable, skipped")
		return verdict{}, false
	}
	if err := c.Validate(); err != nil {
		lg.Warn("config record is invalid, skipped", "error", err)
		return verdict{err: err}, false
	}
	if !f.store.seen.add(c.ID) {
		lg.Info("config record was written twice, skipped", "id", c.ID)
		return verdict{err: fault.New(fault.Exists, "ALREADY_WRITTEN", "change %q is on the log already", c.ID)}, false
	}
	state, resource, err := f.state.with(offset, c, !f.live)
	if err != nil {
		lg.Info("config change lost against an earlier one", "kind", c.Kind, "name", c.Name, "parts", len(c.Parts), "error", err)
		return verdict{err: err}, false
	}
	state.revision = offset + 1
	f.state = state
	return verdict{resource: resource}, true
}

func (f *fold) publishIfCaughtUp() {
	if f.live || f.next < f.end {
		return
	}
	f.live = true
	f.store.publish(f.state)
	close(f.store.ready)
}

// seenIDs remembers the last ids on the log: a producer that retries may write a
// change twice, and the copy must not undo what came between. The window is part
// of the rule: it counts records, so all replicas forget alike.
type seenIDs struct {
	index map[string]struct{}
	ring  []string
	at    int
}

const seenWindow = 1 << 16

func (s *seenIDs) add(id string) bool {
	if _, dup := s.index[id]; dup {
		return false
	}
	s.index[id] = struct{}{}
	if len(s.ring) < seenWindow {
		s.ring = append(s.ring, id)
		return true
	}
	delete(s.index, s.ring[s.at])
	s.ring[s.at] = id
	s.at = (s.at + 1) % seenWindow
	return true
}

func unavailable(doing string, err error) error {
	e := fault.New(fault.Unavailable, "CONFIG_LOG_UNAVAILABLE", "%s", doing)
	e.Cause = err
	return e
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
