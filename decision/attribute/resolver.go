package attribute

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
)

// Contexts loads a decision's whole context in one call; *contextstore.Store is
// one.
type Contexts interface {
	Load(ctx context.Context, account string, sessions, namespaces []string) ([]contextstore.Document, error)
}

// Functions asks functions, all at once and never beyond ctx; *function.Caller is
// one.
type Functions interface {
	CallAll(ctx context.Context, account string, requests []function.Request) []function.Result
}

// Deps are where attributes come from. Context and Functions may be nil: what they
// would give is missing then.
type Deps struct {
	Catalog   *catalog.Catalog
	Context   Contexts
	Functions Functions
}

// Resolver implements decision.AttributeSource and decision.SeatSource. It is safe
// for concurrent use.
type Resolver struct {
	deps     Deps
	personal atomic.Pointer[map[string]*personal]
	mu       sync.Mutex // of those who replace personal
}

var (
	_ decision.AttributeSource = (*Resolver)(nil)
	_ decision.SeatSource      = (*Resolver)(nil)
)

// personal lists the personal attributes of one version of an account's catalogue.
type personal struct {
	env   *policy.Environment
	names []string
}

// New makes a resolver. The catalogue must be there.
func New(deps Deps) (*Resolver, error) {
	if deps.Catalog == nil {
		return nil, errors.New("the attribute resolver needs a catalogue")
	}
	r := &Resolver{deps: deps}
	r.personal.Store(&map[string]*personal{})
	return r, nil
}

// Serves implements decision.SeatSource from the catalogue's agents.
func (r *Resolver) Serves(account, agent, skill string) (serves, known bool) {
	a, ok := r.deps.Catalog.Agent(account, agent)
	return ok && slices.Contains(a.Skills, skill), ok
}

// Rules implements decision.AttributeSource.
func (r *Resolver) Rules(account string) decision.AttributeRules {
	families := r.deps.Catalog.Families(account)
	return decision.AttributeRules{
		HideSDE: !families.SDE, HideConversation: !families.Conversation, Personal: r.personalOf(account),
	}
}

// personalOf lists the account's personal attributes, computed once per version of
// its catalogue.
func (r *Resolver) personalOf(account string) []string {
	env := r.deps.Catalog.Environment(account)
	if p := (*r.personal.Load())[account]; p != nil && p.env == env {
		return p.names
	}
	p := &personal{env: env}
	for name, a := range env.Attributes {
		if a.PII {
			p.names = append(p.names, name)
		}
	}
	slices.Sort(p.names)
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.personal.Load()
	next := make(map[string]*personal, len(old)+1)
	maps.Copy(next, old)
	next[account] = p
	r.personal.Store(&next)
	return p.names
}

// Attributes implements decision.AttributeSource.
func (r *Resolver) Attributes(ctx context.Context, q *decision.AttributeQuery) decision.Found {
	s := search{r: r, q: q, planned: make(map[string]bool, len(q.Names)), derived: map[string]bool{}}
	for _, name := range q.Names {
		s.plan(name)
	}
	s.load(ctx)
	s.call(ctx)
	return s.found()
}

// search is one query on its way.
type search struct {
	r       *Resolver
	q       *decision.AttributeQuery
	saved   []saved         // to be found in the context
	asked   []asked         // to be asked of functions
	planned map[string]bool // everything that was looked at; true for what was asked for
	derived map[string]bool // values of functions that were asked with personal arguments
	answer  *decision.Found
}

// saved is an attribute that the context may hold: path inside of one of the
// namespace's documents.
type saved struct{ name, namespace, path string }

// asked is an attribute that a function fills; rest is the path inside of its value.
type asked struct {
	name, rest string
	of         catalog.Attribute
}

func (s *search) out() *decision.Found {
	if s.answer == nil {
		s.answer = &decision.Found{
			Values: map[string]any{}, Sources: map[string]string{}, Ages: map[string]time.Duration{}, Failed: map[string]string{},
		}
	}
	return s.answer
}

func (s *search) found() decision.Found {
	if s.answer == nil {
		return decision.Found{}
	}
	// What only arguments were made of stays out of the record.
	for _, name := range s.q.Names {
		s.planned[name] = true
	}
	for name := range s.answer.Values {
		if !s.planned[name] {
			delete(s.answer.Values, name)
			delete(s.answer.Sources, name)
		}
	}
	return *s.answer
}

func (s *search) put(name string, value any, source string) {
	if value == nil {
		return
	}
	out := s.out()
	out.Values[name], out.Sources[name] = value, source
	if a, _, ok := s.declared(name); ok && a.PII {
		out.Redact = append(out.Redact, name)
	}
}

func (s *search) fail(name, cause string) { s.out().Failed[name] = cause }
