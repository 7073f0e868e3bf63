package decision

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// AttributeSource finds what policies need and the request does not bring.
// decision/attribute is one.
type AttributeSource interface {
	// Attributes looks the names up and returns within ctx. It is called only when
	// there are names that the request lacks, and never fails: what could not be
	// found, and why, is in the answer. q and its lists are the engine's again
	// afterwards.
	Attributes(ctx context.Context, q *AttributeQuery) Found
	// Rules returns what the account says of its attributes, from memory, without a
	// lock and without an allocation.
	Rules(account string) AttributeRules
}

// AttributeQuery asks for attributes. Request and Names are read, never changed.
type AttributeQuery struct {
	Account string
	Request *Request
	// Names are the attributes that policies read and the request does not bring,
	// without double.
	Names []string
	Now   time.Time
}

// Found is what was looked up. All maps are by attribute name, as asked.
type Found struct {
	Values map[string]any
	// Sources says where values came from; Ages how old cached ones are.
	Sources map[string]string
	Ages    map[string]time.Duration
	// Failed says why attributes are missing that should be there.
	Failed map[string]string
	Calls  []event.Call
	// Redact lists personal attributes beside those of AttributeRules.
	Redact []string
}

// AttributeRules is what an account says of its attributes. It is read, never
// changed.
type AttributeRules struct {
	// HideSDE and HideConversation switch a family off, whoever brings it.
	HideSDE, HideConversation bool
	// Personal lists attributes whose values are kept out of records.
	Personal []string
}

// nameInContext is the other name of a request field, under which bots save it.
func nameInContext(field string) string {
	if field == "user_message" {
		return "orchestrator.userMessage"
	}
	return "orchestrator." + field
}

// resolve fills in what the policies need and the request does not bring. It costs
// nothing when there is no such thing.
func (t *turn) resolve(ctx context.Context) {
	source := t.engine.deps.Attributes
	if source == nil {
		return
	}
	t.rules = source.Rules(t.d.Account)
	t.facts.HideSDE, t.facts.HideConversation = t.rules.HideSDE, t.rules.HideConversation
	names := t.missing()
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.engine.cfg.Budget)
	defer cancel()
	begun := time.Now()
	t.found = source.Attributes(ctx, &AttributeQuery{Account: t.d.Account, Request: t.request, Names: names, Now: t.d.Time})
	if !t.request.DryRun {
		t.engine.deps.Metrics.resolved(time.Since(begun), &t.found)
	}
	t.facts.Found, t.facts.Sources = t.found.Values, t.found.Sources
	t.facts.Ages, t.facts.Failed = t.found.Ages, t.found.Failed
	t.d.Calls = t.found.Calls
}

// missing lists what can be looked up and the request does not bring, in memory of
// the scratch: for the policies, for the account's default, which may yet have to
// answer or to say what policy alone would do, and for what forbids exploration.
func (t *turn) missing() []string {
	s := t.scratch
	s.names = s.names[:0]
	wanted := t.set.Lookups()
	for _, name := range wanted {
		if t.lacks(name) {
			s.names = append(s.names, name)
		}
	}
	beside := [...][]string{lookups(t.ownDefault()), lookups(t.account.NoExploration)}
	if len(beside[0])+len(beside[1]) == 0 {
		return s.names
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	clear(s.seen)
	for _, name := range wanted {
		s.seen[name] = true
	}
	for _, list := range beside {
		for _, name := range list {
			if !s.seen[name] && t.lacks(name) {
				s.names = append(s.names, name)
			}
			s.seen[name] = true
		}
	}
	return s.names
}

func lookups(set *policy.Set) []string {
	if set == nil {
		return nil
	}
	return set.Lookups()
}

func (t *turn) lacks(name string) bool {
	return !t.brings(name) && !(t.rules.HideSDE && strings.HasPrefix(name, "sde."))
}

// wants reports whether policies, or the account's settings, look at the name.
func (t *turn) wants(name string) bool {
	return slices.Contains(t.set.Lookups(), name) || slices.Contains(lookups(t.ownDefault()), name) ||
		slices.Contains(lookups(t.account.NoExploration), name)
}

// ownDefault is the account's default effect where no default policy stands in its
// place; nil for none.
func (t *turn) ownDefault() *policy.Set {
	if t.set.Default() != nil {
		return nil
	}
	return t.account.Default
}

func (t *turn) brings(name string) bool {
	switch name {
	case "orchestrator.channel":
		return t.request.Channel != "" || has(t.request.Attributes, "channel") || has(t.request.Attributes, name)
	case "orchestrator.intent":
		return t.request.Intent != "" || has(t.request.Attributes, "intent") || has(t.request.Attributes, name)
	case "orchestrator.userMessage":
		return t.request.UserMessage != "" || has(t.request.Attributes, "user_message") || has(t.request.Attributes, name)
	}
	return has(t.request.Attributes, name)
}

// has reports whether policies find the attribute there.
func has(attributes map[string]any, name string) bool { return policy.Lookup(attributes, name) != nil }

// asUsed makes the attributes of the record: what the request brought and what was
// found for the policies, without what the account keeps out. A replay of the
// record needs nothing else.
func (t *turn) asUsed() {
	used := t.request.Attributes
	own := false // used is a copy
	change := func() {
		if !own {
			used, own = maps.Clone(used), true
			if used == nil {
				used = map[string]any{}
			}
		}
	}
	if t.rules.HideSDE || t.rules.HideConversation {
		for name := range t.request.Attributes {
			if t.hides(name) {
				change()
				delete(used, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.found.Values)) {
		if len(used) < maxRecorded {
			change()
			used[name] = t.found.Values[name]
		}
	}
	if t.request.UserMessage != "" && t.wants(messageName) {
		change()
		used[messageName] = t.request.UserMessage
	}
	t.d.Sources, t.d.Attributes = t.found.Sources, used
	if t.guards() {
		t.redact()
	}
}

// messageName is the attribute under which a record keeps what the consumer said,
// when policies look at it.
const messageName = "orchestrator.userMessage"

// maxRecorded bounds the attributes of a record.
const maxRecorded = 1000

func (t *turn) hides(name string) bool {
	return t.rules.HideSDE && (name == "sde" || strings.HasPrefix(name, "sde.")) ||
		t.rules.HideConversation && (name == "conversation" || strings.HasPrefix(name, "conversation."))
}
