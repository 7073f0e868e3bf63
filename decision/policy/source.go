package policy

import (
	"maps"
	"strings"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// source says where a slot's value comes from.
type source struct {
	name        string // as policies write it
	key         string // what to look for: name without candidate.
	field       field
	plain       bool    // the request's attribute and nothing else, unless it is missing
	alias       *source // the other name of a request field
	skill       string  // of skill.<skill>.<metric>
	metric      string
	family      family
	ofCandidate bool
}

// cut is one way to read a dotted name: an attribute and the path inside it.
type cut struct {
	prefix string
	path   []string
}

// family tells the attributes that an account can switch off.
type family uint8

const (
	familyOther family = iota
	familySDE
	familyConversation
)

// field tells the built-in attributes from the caller's.
type field uint8

const (
	fieldAttribute field = iota
	fieldEverything
	fieldChannel
	fieldIntent
	fieldMessage
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
	skillPrefix        = "skill."
	candidatePrefix    = "candidate."
	livePrefix         = "live."
	sdePrefix          = "sde."
	conversationPrefix = "conversation."
	orchestratorPrefix = "orchestrator."
	customPrefix       = "custom."
)

// builtin knows the names that do not come from the attributes, and the other
// name that LivePerson has for some of them.
func builtin(name string) (f field, alias string) {
	switch name {
	case "attributes":
		return fieldEverything, ""
	case "channel":
		return fieldChannel, "orchestrator.channel"
	case "intent":
		return fieldIntent, "orchestrator.intent"
	case "user_message":
		return fieldMessage, "orchestrator.userMessage"
	case "conversation_id":
		return fieldConversation, "conversation.conversationId"
	case "consumer_id":
		return fieldConsumer, "conversation.consumerId"
	case "visitor_id":
		return fieldVisitor, ""
	case "session_id":
		return fieldSession, "conversation.groupId"
	case "hour":
		return fieldHour, ""
	case "minute":
		return fieldMinute, ""
	case "weekday":
		return fieldWeekday, ""
	case "date":
		return fieldDate, ""
	}
	return fieldAttribute, ""
}

// requestFields lists the fields of the request that have two names.
func requestFields() []string {
	return []string{"channel", "intent", "user_message", "conversation_id", "consumer_id", "session_id"}
}

// sourceOf decides once, when compiling, what a name means.
func sourceOf(name string) source {
	if rest, ok := strings.CutPrefix(name, candidatePrefix); ok {
		return candidateSource(name, rest)
	}
	src := plainSource(name)
	if f, alias := builtin(name); f != fieldAttribute {
		src.field = f
		src.alias = aliasSource(alias)
		return src
	}
	for _, own := range requestFields() {
		if f, alias := builtin(own); alias == name {
			src.field, src.alias = f, aliasSource(own)
			return src
		}
	}
	if rest, ok := strings.CutPrefix(name, skillPrefix); ok {
		if at := strings.LastIndexByte(rest, '.'); at > 0 && isMetric(rest[at+1:]) {
			src.field, src.skill, src.metric = fieldSkill, rest[:at], rest[at+1:]
			return src
		}
	}
	src.plain = src.family == familyOther
	return src
}

func plainSource(name string) source {
	src := source{name: name, key: name}
	switch {
	case strings.HasPrefix(name, sdePrefix):
		src.family = familySDE
	case strings.HasPrefix(name, conversationPrefix):
		src.family = familyConversation
	}
	return src
}

func aliasSource(name string) *source {
	if name == "" {
		return nil
	}
	src := plainSource(name)
	return &src
}

// cutsOf lists the ways to read a dotted name, the longest attribute first.
func cutsOf(name string) (cuts []cut) {
	for at := strings.LastIndexByte(name, '.'); at > 0; at = strings.LastIndexByte(name[:at], '.') {
		cuts = append(cuts, cut{prefix: name[:at], path: strings.Split(name[at+1:], ".")})
	}
	return cuts
}

func candidateSource(name, rest string) source {
	src := source{name: name, key: rest, ofCandidate: true}
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

// hidden reports whether the account has switched the attribute off.
func (s *source) hidden(f *Facts) bool {
	return s.family == familySDE && f.HideSDE || s.family == familyConversation && f.HideConversation
}

// read finds the slot's value. A field of the request that is empty, and a skill
// without live state, fall back to the caller's attribute of that name; clock
// parts are the caller's when given, so that a replay can bring its own clock.
func (s *source) read(f *Facts) value {
	if s.hidden(f) {
		return value{}
	}
	switch s.field {
	case fieldAttribute:
		return s.attribute(f)
	case fieldEverything:
		// Only CEL can use the map as a whole.
		return value{kind: kindOther, raw: everything(f)}
	case fieldHour, fieldMinute, fieldWeekday, fieldDate:
		if v := valueOf(s.find(f.Attributes)); v.kind != kindMissing {
			return v
		}
		return clockPart(s.field, f.Now)
	case fieldSkill:
		if v := liveValue(f, s.skill, s.metric); v.kind != kindMissing {
			return v
		}
		return valueOf(s.find(f.Attributes))
	default:
		if text := requestField(f, s.field); text != "" {
			return value{kind: kindString, str: text}
		}
		return s.named(f)
	}
}

// attribute finds what the request brought, else what was looked up.
func (s *source) attribute(f *Facts) value {
	if v := s.find(f.Attributes); v != nil {
		return valueOf(v)
	}
	if len(f.Found) == 0 {
		return value{}
	}
	v := valueOf(s.find(f.Found))
	v.from = fromFound
	return v
}

// named reads a field of the request that the request left empty, under either of
// its names.
func (s *source) named(f *Facts) value {
	v := s.attribute(f)
	if s.alias == nil || v.kind != kindMissing && v.from == fromRequest || s.alias.hidden(f) {
		return v
	}
	if other := s.alias.attribute(f); other.kind != kindMissing && (v.kind == kindMissing || other.from == fromRequest) {
		return other
	}
	return v
}

// everything is all attributes in one map, those of the request above those found.
func everything(f *Facts) map[string]any {
	if len(f.Found) == 0 {
		return f.Attributes
	}
	all := maps.Clone(f.Found)
	maps.Copy(all, f.Attributes)
	return all
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
		return valueOf(s.find(c.Attributes))
	}
}

func requestField(f *Facts, which field) string {
	switch which {
	case fieldChannel:
		return f.Channel
	case fieldIntent:
		return f.Intent
	case fieldMessage:
		return f.UserMessage
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

func (s *source) find(attributes map[string]any) any { return Lookup(attributes, s.key) }

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
