package clickhouse

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// place is where an event stood on the log and what identifies it.
type place struct {
	identity   string // account, source and id joined by NUL
	key        uint64 // xxHash64 of identity
	partition  int32
	offset     int64
	brokerTime time.Time
	ingestedAt time.Time
}

func (p *place) at() *place { return p }

// identify joins the parts that name one event.
func identify(account, source, id string) string { return account + "\x00" + source + "\x00" + id }

func keyOf(identity string) uint64 { return xxhash.Sum64String(identity) }

// The rows of the tables: an event, its place, and what is derived for its columns.
type (
	decisionRow struct {
		place
		*event.Decision
		attributes attributes
		arm        attributes // of the chosen candidate
		chosenType string
		record     string
	}
	outcomeRow struct {
		place
		*event.Outcome
	}
	skillRow struct {
		place
		*event.SkillState
	}
	configRow struct {
		place
		*event.ConfigChange
	}
	deadRow struct {
		place
		*event.DeadLetter
	}
)

// sortedKeys lists a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// bySkill takes one value of each skill, in the order of sortedKeys.
func bySkill[V any](skills map[string]event.Skill, value func(event.Skill) V) []V {
	out := make([]V, 0, len(skills))
	for _, name := range sortedKeys(skills) {
		out = append(out, value(skills[name]))
	}
	return out
}

// attributes are a map of values by the column that holds their type.
type attributes struct {
	text   map[string]string
	number map[string]float64
	bool   map[string]bool
	list   map[string][]string
}

// split sorts values by type. Documents inside documents stay in the record only.
func split(values map[string]any) attributes {
	var a attributes
	for name, value := range values {
		switch v := value.(type) {
		case string:
			put(&a.text, name, v)
		case float64:
			put(&a.number, name, v)
		case int:
			put(&a.number, name, float64(v))
		case int64:
			put(&a.number, name, float64(v))
		case bool:
			put(&a.bool, name, v)
		case []string:
			put(&a.list, name, v)
		case []any:
			put(&a.list, name, texts(v))
		}
	}
	return a
}

func put[V any](m *map[string]V, name string, value V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[name] = value
}

// texts renders a list's elements: strings as they are, others as JSON.
func texts(list []any) []string {
	out := make([]string, len(list))
	for i, value := range list {
		if s, ok := value.(string); ok {
			out[i] = s
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			text = fmt.Append(nil, value)
		}
		out[i] = string(text)
	}
	return out
}

// shelf gathers the rows of one block by table. What cannot be stored becomes a
// dead letter here: one bad value would poison the whole insert.
type shelf struct {
	block     *pipeline.Block
	now       time.Time
	decisions []decisionRow
	outcomes  []outcomeRow
	skills    []skillRow
	config    []configRow
	dead      []deadRow
}

func newShelf(b *pipeline.Block, now time.Time) *shelf {
	s := &shelf{block: b, now: now.UTC()}
	for i := range b.Decisions {
		s.addDecision(&b.Decisions[i])
	}
	for i := range b.Outcomes {
		e := &b.Outcomes[i]
		o := e.Value
		if s.sound(e.Offset, e.Time, o.Account, o, timeFault("time", o.Time), numberFault("value", o.Value)) {
			s.outcomes = append(s.outcomes, outcomeRow{s.place(identify(o.Account, o.Source, o.ID), e.Offset, e.Time), o})
		}
	}
	for i := range b.Skills {
		e := &b.Skills[i]
		k := e.Value
		if s.sound(e.Offset, e.Time, k.Account, k, timeFault("state.at", k.State.At), numberFault("state.load", k.State.Load),
			numberFault("state.wait_avg_seconds", k.State.WaitSeconds)) {
			s.skills = append(s.skills, skillRow{s.place(identify(k.Account, k.Source, k.ID), e.Offset, e.Time), k})
		}
	}
	for i := range b.Config {
		s.addConfig(&b.Config[i])
	}
	for i := range b.Dead {
		s.addDead(&b.Dead[i])
	}
	return s
}

func (s *shelf) addConfig(e *pipeline.Stored[event.ConfigChange]) {
	c := withoutSecrets(e.Value)
	if !s.sound(e.Offset, e.Time, c.Account, c, timeFault("time", c.Time)) {
		return
	}
	for _, one := range changesOf(c) {
		s.config = append(s.config, configRow{s.place(identify(one.Account, one.Kind, one.ID), e.Offset, e.Time), one})
	}
}

// changesOf takes a change of several resources apart: the table has a row for
// each, with the place of the part after the change's id. Guards change nothing.
func changesOf(c *event.ConfigChange) []*event.ConfigChange {
	if len(c.Parts) == 0 {
		return []*event.ConfigChange{c}
	}
	out := make([]*event.ConfigChange, 0, len(c.Parts))
	for i, p := range c.Parts {
		if p.IsGuard() {
			continue
		}
		one := *c
		one.Parts, one.ID = nil, fmt.Sprintf("%s/%d", c.ID, i)
		one.Kind, one.Name, one.Base, one.Value, one.Deleted = p.Kind, p.Name, p.Base, p.Value, p.Deleted
		out = append(out, &one)
	}
	return out
}

// withoutSecrets leaves out of tokens' documents what they are checked by:
// everybody who may read the tables would read it.
func withoutSecrets(c *event.ConfigChange) *event.ConfigChange {
	open := *c
	open.Value = openValue(c.Kind, c.Value)
	open.Parts = slices.Clone(c.Parts)
	for i := range open.Parts {
		open.Parts[i].Value = openValue(open.Parts[i].Kind, open.Parts[i].Value)
	}
	return &open
}

// openValue is the part of a document that everybody may read: no token's hash, no
// secret that a function shows to the system it calls. A document of these kinds
// that cannot be read itself is left out whole; the log has it.
func openValue(kind string, value []byte) []byte {
	var hidden string
	switch kind {
	case configlog.KindToken:
		hidden = "hash"
	case configlog.KindFunction:
		hidden = "secret_headers"
	default:
		return value
	}
	var document map[string]any
	if len(value) == 0 || json.Unmarshal(value, &document) != nil {
		return nil
	}
	hide(document, hidden)
	text, err := json.Marshal(document)
	if err != nil {
		return nil
	}
	return text
}

// hide takes the members of a name, in any case, out of a tree of objects.
func hide(tree map[string]any, name string) {
	for key, v := range tree {
		if strings.EqualFold(key, name) {
			delete(tree, key)
		} else if inner, ok := v.(map[string]any); ok {
			hide(inner, name)
		}
	}
}

func (s *shelf) addDecision(e *pipeline.Stored[event.Decision]) {
	d := e.Value
	record, err := json.Marshal(d)
	var recordFault *violation
	if err != nil {
		recordFault = &violation{"record", err.Error()}
	}
	if !s.sound(e.Offset, e.Time, d.Account, d, timeFault("time", d.Time), numberFault("propensity", d.Propensity), recordFault) {
		return
	}
	row := decisionRow{
		place:    s.place(identify(d.Account, "", d.ID), e.Offset, e.Time),
		Decision: d, attributes: split(d.Attributes), record: string(record),
	}
	for i := range d.Actions {
		if d.Actions[i].Key() == d.Chosen {
			row.chosenType = d.Actions[i].Type
			break
		}
	}
	for i := range d.Candidates {
		if d.Candidates[i].Key() == d.Chosen {
			row.arm = split(d.Candidates[i].Attributes)
			break
		}
	}
	s.decisions = append(s.decisions, row)
}

func (s *shelf) addDead(d *event.DeadLetter) {
	at := d.Time.UTC()
	if timeFault("time", at) != nil {
		at = time.UnixMilli(0).UTC() // the same at every repetition
	}
	copied := *d
	copied.Time = at
	// A topic that is made anew counts from 0 again: the time tells the two apart.
	id := fmt.Sprintf("%d\x00%d\x00%d", d.Partition, d.Offset, at.UnixMilli())
	s.dead = append(s.dead, deadRow{s.place(identify(d.Account, d.Topic, id), d.Offset, at), &copied})
}

// sound tells whether an event has no fault; a faulty one becomes a dead letter.
func (s *shelf) sound(offset int64, brokerTime time.Time, account string, value any, faults ...*violation) bool {
	for _, f := range faults {
		if f == nil {
			continue
		}
		// A value that JSON cannot hold is described by its Go form.
		text, err := json.Marshal(value)
		if err != nil {
			text = fmt.Appendf(nil, "%+v", value)
		}
		s.addDead(&event.DeadLetter{
			Account: account, Topic: s.block.Topic, Partition: s.block.Partition, Offset: offset, Time: brokerTime,
			Reason: ReasonUnstorable, Field: f.field, Detail: f.description, Value: text,
		})
		return false
	}
	return true
}

// ReasonUnstorable marks dead letters of events that were sound on the log but do
// not fit the tables.
const ReasonUnstorable = "UNSTORABLE"

func (s *shelf) place(identity string, offset int64, brokerTime time.Time) place {
	if timeFault("", brokerTime) != nil {
		brokerTime = s.now
	}
	return place{
		identity: identity, key: keyOf(identity), partition: int32(s.block.Partition), //nolint:gosec // partitions are few
		offset: offset, brokerTime: brokerTime.UTC(), ingestedAt: s.now,
	}
}

// timeFault reports a time that DateTime64 cannot hold.
func timeFault(field string, t time.Time) *violation {
	if y := t.Year(); y < 1970 || y > 2200 {
		return &violation{field, fmt.Sprintf("%v is outside of the years 1970 to 2200", t)}
	}
	return nil
}

func numberFault(field string, n float64) *violation {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return &violation{field, fmt.Sprintf("%v is not a finite number", n)}
	}
	return nil
}

// violation is one value that does not fit its column.
type violation struct{ field, description string }
