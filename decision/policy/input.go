package policy

import (
	"strings"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Facts is what a decision knows when policies are evaluated. It is read, never
// changed, and must stay as it is while an [Input] that loaded it is in use.
type Facts struct {
	Channel, Intent                                  string
	ConversationID, ConsumerID, VisitorID, SessionID string
	// Attributes holds strings, numbers, booleans, lists and nested objects.
	Attributes map[string]any
	// Skills returns the live state of a skill; nil when there is none.
	Skills func(skill string) (event.Skill, bool)
	// Now is the decision's time.
	Now time.Time
}

// Input holds the facts of one decision in the slots of one [Set]. It is
// reusable, and not safe for concurrent use.
type Input struct {
	set     *Set
	facts   *Facts
	values  []value
	cursors []cursor
	vars    celVars
}

// NewInput returns an input for the set.
func (s *Set) NewInput() *Input {
	in := &Input{set: s, values: make([]value, len(s.sources)), cursors: make([]cursor, 0, len(s.index.slots)+1)}
	in.vars.in = in
	return in
}

// Load takes in the facts of a decision and starts the walk of [Set.Next] from
// the first policy.
func (in *Input) Load(f *Facts) {
	in.facts = f
	for i := range in.set.sources {
		if src := &in.set.sources[i]; !src.ofCandidate {
			in.values[i] = src.read(f)
		}
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

// source says where a slot's value comes from.
type source struct {
	name        string
	field       field
	path        []string // of a dotted attribute name
	skill       string   // of skill.<skill>.<metric>
	metric      string
	ofCandidate bool
}

// field tells the built-in attributes from the caller's.
type field uint8

const (
	fieldAttribute field = iota
	fieldEverything
	fieldChannel
	fieldIntent
	fieldConversation
	fieldConsumer
	fieldVisitor
	fieldSession
	fieldHour
	fieldMinute
	fieldWeekday
	fieldDate
	fieldSkill
	fieldKey
	fieldType
	fieldTarget
	fieldLive
)

const (
	skillPrefix     = "skill."
	candidatePrefix = "candidate."
	livePrefix      = "live."
)

// builtin knows the names that do not come from the attributes.
func builtin(name string) (field, bool) {
	switch name {
	case "attributes":
		return fieldEverything, true
	case "channel":
		return fieldChannel, true
	case "intent":
		return fieldIntent, true
	case "conversation_id":
		return fieldConversation, true
	case "consumer_id":
		return fieldConsumer, true
	case "visitor_id":
		return fieldVisitor, true
	case "session_id":
		return fieldSession, true
	case "hour":
		return fieldHour, true
	case "minute":
		return fieldMinute, true
	case "weekday":
		return fieldWeekday, true
	case "date":
		return fieldDate, true
	}
	return fieldAttribute, false
}

// sourceOf decides once, when compiling, what a name means.
func sourceOf(name string) source {
	if rest, ok := strings.CutPrefix(name, candidatePrefix); ok {
		return candidateSource(name, rest)
	}
	src := source{name: name, path: strings.Split(name, ".")}
	if f, ok := builtin(name); ok {
		src.field = f
		return src
	}
	if rest, ok := strings.CutPrefix(name, skillPrefix); ok {
		if at := strings.LastIndexByte(rest, '.'); at > 0 && isMetric(rest[at+1:]) {
			src.field, src.skill, src.metric = fieldSkill, rest[:at], rest[at+1:]
		}
	}
	return src
}

func candidateSource(name, rest string) source {
	src := source{name: name, ofCandidate: true, path: strings.Split(rest, ".")}
	switch metric, live := strings.CutPrefix(rest, livePrefix); {
	case rest == "key":
		src.field = fieldKey
	case rest == "type":
		src.field = fieldType
	case rest == "target":
		src.field = fieldTarget
	case live && isMetric(metric):
		src.field, src.metric = fieldLive, metric
	}
	return src
}

// read finds the slot's value. A field of the request that is empty, and a skill
// without live state, fall back to the caller's attribute of that name; clock
// parts are the caller's when given, so that a replay can bring its own clock.
func (s *source) read(f *Facts) value {
	switch s.field {
	case fieldAttribute:
		return valueOf(lookup(f.Attributes, s))
	case fieldEverything:
		// Only CEL can use the map as a whole.
		return value{kind: kindOther, raw: f.Attributes}
	case fieldHour, fieldMinute, fieldWeekday, fieldDate:
		if v := valueOf(lookup(f.Attributes, s)); v.kind != kindMissing {
			return v
		}
		return clockPart(s.field, f.Now)
	case fieldSkill:
		if v := liveValue(f, s.skill, s.metric); v.kind != kindMissing {
			return v
		}
		return valueOf(lookup(f.Attributes, s))
	default:
		if text := requestField(f, s.field); text != "" {
			return value{kind: kindString, str: text}
		}
		return valueOf(lookup(f.Attributes, s))
	}
}

func (s *source) readCandidate(f *Facts, c *event.Candidate) value {
	switch s.field {
	case fieldKey:
		return value{kind: kindString, str: c.Key()}
	case fieldType:
		return value{kind: kindString, str: c.Type}
	case fieldTarget:
		// An action such as CLOSE has none; exists must be able to tell.
		if c.Target == "" {
			return value{}
		}
		return value{kind: kindString, str: c.Target}
	case fieldLive:
		return liveValue(f, c.Key(), s.metric)
	default:
		return valueOf(lookup(c.Attributes, s))
	}
}

func requestField(f *Facts, which field) string {
	switch which {
	case fieldChannel:
		return f.Channel
	case fieldIntent:
		return f.Intent
	case fieldConversation:
		return f.ConversationID
	case fieldConsumer:
		return f.ConsumerID
	case fieldVisitor:
		return f.VisitorID
	default:
		return f.SessionID
	}
}

// lookup finds an attribute by its whole name, else by walking its dotted path.
func lookup(attributes map[string]any, s *source) any {
	name := s.name
	if s.ofCandidate {
		name = name[len(candidatePrefix):]
	}
	if v, ok := attributes[name]; ok {
		return v
	}
	if len(s.path) < 2 {
		return nil
	}
	at := attributes
	for i, part := range s.path {
		v, ok := at[part]
		if !ok {
			return nil
		}
		if i == len(s.path)-1 {
			return v
		}
		if at, ok = v.(map[string]any); !ok {
			return nil
		}
	}
	return nil
}

// clockPart reads the clock in UTC: what a policy means must not depend on where
// the program runs. The time window has zones.
func clockPart(which field, now time.Time) value {
	now = now.UTC()
	switch which {
	case fieldHour:
		return value{kind: kindNumber, num: float64(now.Hour())}
	case fieldMinute:
		return value{kind: kindNumber, num: float64(now.Minute())}
	case fieldWeekday:
		return value{kind: kindString, str: weekdayName(now.Weekday())}
	default:
		return value{kind: kindString, str: now.Format(time.DateOnly)}
	}
}

func isMetric(name string) bool {
	switch name {
	case "agents_online", "queue_size", "load", "wait_avg_seconds":
		return true
	}
	return false
}

// liveValue is missing when nobody reported on the skill: a condition on an
// unknown queue is UNKNOWN, not about an empty one.
func liveValue(f *Facts, skill, metric string) value {
	if f.Skills == nil {
		return value{}
	}
	state, ok := f.Skills(skill)
	if !ok {
		return value{}
	}
	switch metric {
	case "agents_online":
		return value{kind: kindNumber, num: float64(state.AgentsOnline)}
	case "queue_size":
		return value{kind: kindNumber, num: float64(state.QueueSize)}
	case "load":
		return value{kind: kindNumber, num: state.Load}
	default:
		return value{kind: kindNumber, num: state.WaitSeconds}
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
