package contextstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// Deps are what a store needs. Version draws versions, which must be as good as
// unique and never 0; nil draws them at random. Metrics may be nil.
type Deps struct {
	Engine  Engine
	Now     func() time.Time
	Log     *slog.Logger
	Version func() uint64
	Metrics *Metrics
}

// Store keeps context under the rules. It is safe for concurrent use, also by
// many processes over one engine.
type Store struct {
	cfg  Config
	deps Deps
}

// New makes a store; nothing happens until it is called.
func New(cfg Config, deps Deps) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Version == nil {
		// 53 bits survive in every reader of JSON.
		deps.Version = func() uint64 { return 1 + rand.Uint64N(1<<53-1) } //nolint:gosec // an etag is no secret
	}
	return &Store{cfg: cfg, deps: deps}, nil
}

// sweepLimit is how many documents one call to the engine removes at the most.
const sweepLimit = 1000

// Run removes expired documents now and then until ctx ends; then it returns nil.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.SweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if n, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("expired context was not swept, the next sweep tries again", "error", err)
		} else if n > 0 {
			s.deps.Log.Debug("expired context swept", "documents", n)
		}
	}
}

// Sweep removes what has expired by now from the engine and tells how much.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	for more := true; more && err == nil; {
		var n int
		n, more, err = s.deps.Engine.Sweep(ctx, s.now(), sweepLimit)
		removed += n
	}
	s.deps.Metrics.removed(removed)
	if err != nil {
		return removed, fmt.Errorf("sweep context: %w", err)
	}
	return removed, nil
}

func (s *Store) now() int64 { return s.deps.Now().UnixMilli() }

// observe measures a call; what the caller did wrong is no failure.
func (s *Store) observe(call string, began time.Time, err error) {
	s.deps.Metrics.took(call, s.deps.Now().Sub(began))
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable:
		s.deps.Metrics.failed(call)
	default:
	}
}

// ActionFailed counts an action of a decision that asked for context to be
// written and was not carried out.
func (s *Store) ActionFailed() { s.deps.Metrics.failed("action") }

// Load returns the whole context of a decision in one call to the engine: of
// every namespace the documents in the given sessions, by namespace and then in
// the order of the sessions. What is missing or expired is left out; a namespace
// or session that no document could lie under is missing.
func (s *Store) Load(ctx context.Context, account string, sessions, namespaces []string) ([]Document, error) {
	keys := make([]Key, 0, len(sessions)*len(namespaces))
	for _, n := range namespaces {
		for _, session := range sessions {
			if n != "" && session != "" {
				keys = append(keys, Key{n, session})
			}
		}
	}
	began := s.deps.Now()
	docs, err := s.find(ctx, account, keys)
	s.observe("load", began, err)
	return docs, err
}

// Find returns the documents under the keys that there are, in the keys' order,
// with one call to the engine and as of one moment.
func (s *Store) Find(ctx context.Context, account string, keys []Key) ([]Document, error) {
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	began := s.deps.Now()
	docs, err := s.find(ctx, account, keys)
	s.observe("read", began, err)
	return docs, err
}

// Get returns one document, or a fault of kind NotFound.
func (s *Store) Get(ctx context.Context, account string, key Key) (Document, error) {
	docs, err := s.Find(ctx, account, []Key{key})
	if err != nil {
		return Document{}, err
	}
	if len(docs) == 0 {
		return Document{}, missing(key)
	}
	return docs[0], nil
}

func missing(key Key) error {
	return fault.New(fault.NotFound, "NOT_FOUND", "namespace %q has no document for this session", key.Namespace)
}

// find reads documents together with the records of their namespaces.
func (s *Store) find(ctx context.Context, account string, keys []Key) ([]Document, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	all := make([]Key, len(keys), len(keys)+4)
	copy(all, keys)
	last := ""
	for _, k := range keys { // equal neighbours share a record, which is the common case
		if k.Namespace != last {
			all = append(all, Key{"", k.Namespace})
			last = k.Namespace
		}
	}
	records, err := s.deps.Engine.Read(ctx, account, all)
	if err != nil {
		return nil, fmt.Errorf("read context: %w", err)
	}
	now := s.now()
	docs := make([]Document, 0, len(keys))
	at, last := len(keys)-1, ""
	var namespace *record
	for i, k := range keys {
		if k.Namespace != last {
			at, last = at+1, k.Namespace
			if namespace, err = decode(records[at], now); err != nil {
				return nil, damaged(all[at], err)
			}
		}
		r, err := decode(records[i], now)
		if err != nil {
			return nil, damaged(k, err)
		}
		if r != nil && namespace != nil {
			docs = append(docs, r.document(k, namespace.pii()))
		}
	}
	return docs, nil
}
