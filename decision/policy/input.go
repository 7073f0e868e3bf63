package policy

import (
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Facts is what a decision knows when policies are evaluated. It is read, never
// changed, and must stay as it is while an [Input] that loaded it is in use.
type Facts struct {
	Channel, Intent, UserMessage                     string
	ConversationID, ConsumerID, VisitorID, SessionID string
	// Attributes is what the request brought: strings, numbers, booleans, lists and
	// nested objects. It goes before Found.
	Attributes map[string]any
	// Found holds what was looked up for the request, by the name that policies use
	// or the beginning of it up to a dot.
	Found map[string]any
	// Sources and Ages say of the names in Found where they came from and how old
	// they are; Failed says of names that are missing why.
	Sources map[string]string
	Ages    map[string]time.Duration
	Failed  map[string]string
	// HideSDE and HideConversation make sde.* and conversation.* missing, whoever
	// brings them.
	HideSDE, HideConversation bool
	// Skills returns the live state of a skill; nil when there is none.
	Skills func(skill string) (event.Skill, bool)
	// Waited is how long the conversation has waited in the steps of a policy.
	Waited time.Duration
	// Now is the decision's time.
	Now time.Time
	// Personal reports whether the values of an attribute must stay out of traces and
	// of what records show of actions; nil when there are none.
	Personal func(attribute string) bool
}

// Input holds the facts of one decision in the slots of one [Set]. It is
// reusable, and not safe for concurrent use.
type Input struct {
	set     *Set
	facts   *Facts
	values  []value
	cursors []cursor
	vars    celVars
	loads   uint64 // counts Load, so that what was kept of earlier facts is known
	cels    []celResult
	origins []origin
	clock   any // Now as traces show it; nil until one asks
	// clockZone is the zone of clock.
	clockZone string
	// redacting fills templates for records, see Redacting.
	redacting bool
}

// NewInput returns an input for the set.
func (s *Set) NewInput() *Input {
	in := &Input{
		set: s, values: make([]value, len(s.sources)), cursors: make([]cursor, 0, len(s.index.slots)+1),
		cels: make([]celResult, s.expressions),
	}
	in.vars.in = in
	return in
}

// Load takes in the facts of a decision and starts the walk of [Set.Next] from
// the first policy.
func (in *Input) Load(f *Facts) {
	in.facts, in.clock = f, nil
	in.loads++
	for i := range in.set.sources {
		src := &in.set.sources[i]
		if src.ofCandidate {
			continue
		}
		// What most names are, an attribute that the request brought, at no detour.
		if src.plain {
			if v := f.Attributes[src.key]; v != nil {
				in.values[i] = valueOf(v)
				continue
			}
		}
		in.values[i] = src.read(f)
	}
	in.start()
}

// Candidate sets the candidate.* attributes for [Rule.Denies] and
// [Rule.Selects].
func (in *Input) Candidate(c *event.Candidate) {
	for _, i := range in.set.candidateSlots {
		in.values[i] = in.set.sources[i].readCandidate(in.facts, c)
	}
}

// boxed returns the value as traces, templates and CEL want it. It allocates at
// most once for a slot.
func (v *value) boxed() any {
	if v.raw != nil {
		return v.raw
	}
	switch v.kind {
	case kindString:
		v.raw = v.str
	case kindNumber:
		v.raw = v.num
	case kindBool:
		v.raw = v.num == 1
	case kindMissing, kindList, kindOther:
	}
	return v.raw
}
