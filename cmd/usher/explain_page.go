package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// explanation is a decision's record for people.
func explanation(d *usherv1.DecisionRecord) string {
	var p page
	p.record(d)
	return p.text.String()
}

// page is a text in the making.
type page struct{ text strings.Builder }

// line prints a line. Texts among args come from callers, so what does not print
// is escaped.
func (p *page) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format+"\n", printable(args)...)
}

// table prints rows with aligned columns.
func (p *page) table(rows [][]string) {
	t := tabwriter.NewWriter(&p.text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = shown(row[i])
		}
		_, _ = fmt.Fprintln(t, "  "+strings.TrimRight(strings.Join(row, "\t"), "\t")) // a builder takes everything
	}
	_ = t.Flush()
}

func (p *page) record(d *usherv1.DecisionRecord) {
	p.line("Decision %s", d.GetDecisionId())
	p.line("  account %s, %s, in %s", d.GetAccount(), d.GetTime().AsTime().Format("2006-01-02 15:04:05.000 MST"), span(d.GetLatency()))
	p.verdict(d)
	p.context(d)
	p.policies(d)
	p.candidates(d)
	p.calls(d)
}

// verdict says what was answered, by whom and why.
func (p *page) verdict(d *usherv1.DecisionRecord) {
	p.line("\nAnswer")
	for i, a := range d.GetActions() {
		p.line("  %d. %s", i+1, action(a))
	}
	if len(d.GetActions()) == 0 {
		p.line("  nothing")
	}
	by := "by " + orDash(d.GetDecidedBy())
	if d.GetPolicy() != "" {
		by += ", policy " + d.GetPolicy()
	}
	if d.GetStep() > 0 {
		by += fmt.Sprintf(", step %d", d.GetStep())
	}
	if len(d.GetReasons()) > 0 {
		by += ": " + strings.Join(d.GetReasons(), ", ")
	}
	p.line("  %s", by)
	rows := [][]string{}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("no policy matched:", d.GetNoMatchReason())
	add("only asked:", d.GetOnlyPolicy())
	if d.GetValidFor() != nil {
		add("holds for:", span(d.GetValidFor()))
	}
	if d.GetWaited() != nil {
		add("waited before:", span(d.GetWaited()))
	}
	add("policy alone:", d.GetPolicyOnly())
	add("the model alone:", d.GetModelOnly())
	add("the caller's own:", d.GetBaseline())
	add("Usher chose:", d.GetChosen())
	if d.GetExplored() {
		add("drawn to explore:", d.GetDrawn())
	}
	if d.GetPropensity() > 0 {
		add("with probability:", fmt.Sprintf("%.4g", d.GetPropensity()))
	}
	mode := d.GetMode()
	if d.GetObjective() != "" {
		mode += ", objective " + d.GetObjective()
	}
	add("mode:", mode)
	add("policies:", fmt.Sprintf("revision %d", d.GetPolicyRevision()))
	add("model:", d.GetModelVersion())
	p.table(rows)
}

// context says what was known, and where it came from.
func (p *page) context(d *usherv1.DecisionRecord) {
	rows := [][]string{}
	for _, f := range [][2]string{
		{"request_id", d.GetRequestId()},
		{"conversation_id", d.GetConversationId()},
		{"consumer_id", d.GetConsumerId()},
		{"visitor_id", d.GetVisitorId()},
		{"session_id", d.GetSessionId()},
		{"channel", d.GetChannel()},
		{"intent", d.GetIntent()},
	} {
		if f[1] != "" {
			rows = append(rows, []string{f[0], f[1]})
		}
	}
	for _, name := range keys(d.GetAttributes()) {
		row := []string{name, value(d.GetAttributes()[name])}
		if from := d.GetSources()[name]; from != "" {
			row = append(row, "from "+from)
		}
		rows = append(rows, row)
	}
	for _, name := range keys(d.GetSkills()) {
		s := d.GetSkills()[name]
		rows = append(rows, []string{
			"skill " + name, live(s),
			"at " + s.GetAt().AsTime().Format(time.RFC3339),
		})
	}
	if len(rows) > 0 {
		p.line("\nContext")
		p.table(rows)
	}
	if list := d.GetRedacted(); len(list) > 0 {
		p.line("  kept out of the record as personal: %s", strings.Join(list, ", "))
	}
}

// live says what a report said.
func live(s *usherv1.LiveState) string {
	out := fmt.Sprintf("%d online, %d in queue, load %.4g, wait %.4gs", s.GetAgentsOnline(), s.GetQueueSize(), s.GetLoad(), s.GetWaitAvgSeconds())
	if s.GetHandleAvgSeconds() > 0 {
		out += fmt.Sprintf(", handle %.4gs", s.GetHandleAvgSeconds())
	}
	return out
}

// policies says what each said, in order.
func (p *page) policies(d *usherv1.DecisionRecord) {
	if len(d.GetPolicies()) == 0 {
		return
	}
	p.line("\nPolicies, in order")
	for i, t := range d.GetPolicies() {
		p.trace(fmt.Sprintf("%3d. ", i+1), d, t)
	}
}

// trace says what one policy said, and each of its conditions.
func (p *page) trace(indent string, d *usherv1.DecisionRecord, t *usherv1.PolicyTrace) {
	text := fmt.Sprintf("%-11s %s", t.GetState(), t.GetPolicy())
	if t.GetException() {
		text += ", by its exception"
	}
	if t.GetPolicy() == d.GetPolicy() && d.GetPolicy() != "" {
		text += "  <- decided"
	}
	if t.GetCause() != "" {
		text += "  (" + t.GetCause() + ")"
	}
	p.line("%s", indent+text)
	if t.GetState() == "NOT_REACHED" {
		return
	}
	rows := make([][]string, 0, len(t.GetConditions()))
	for _, c := range t.GetConditions() {
		if mattered(t, c) {
			rows = append(rows, condition(c))
		}
	}
	p.table(rows)
}

// mattered leaves out what the effect of a branch asked when the branch was not
// taken: its when said FALSE, or the policy answered by its other branch.
func mattered(t *usherv1.PolicyTrace, c *usherv1.ConditionTrace) bool {
	path, ofException := strings.CutPrefix(c.GetPath(), "exception.")
	if !strings.HasPrefix(path, "effect") || c.GetTruth() == "FALSE" {
		return true
	}
	switch t.GetState() {
	case "FALSE":
		return false
	case "TRUE":
		return t.GetException() == ofException
	}
	return true
}

func condition(c *usherv1.ConditionTrace) []string {
	said := c.GetAttribute()
	if c.GetOperator() != said { // of a window of time the two are one word
		said = strings.TrimSpace(said + " " + c.GetOperator())
	}
	if c.GetExpected() != nil {
		said += " " + value(c.GetExpected())
	}
	saw := ""
	if c.GetActual() != nil {
		saw = "was " + value(c.GetActual())
	}
	var notes []string
	if c.GetCause() != "" {
		notes = append(notes, c.GetCause())
	}
	if c.GetSource() != "" {
		notes = append(notes, "from "+c.GetSource())
	}
	if c.GetAge() != nil {
		notes = append(notes, span(c.GetAge())+" old")
	}
	if len(notes) > 0 {
		saw = strings.TrimSpace(saw + " (" + strings.Join(notes, ", ") + ")")
	}
	return []string{"    " + c.GetTruth(), c.GetPath(), said, saw}
}

// candidates says what became of each, and what its score is made of.
func (p *page) candidates(d *usherv1.DecisionRecord) {
	if len(d.GetCandidates()) == 0 {
		return
	}
	if isSplit(d) {
		p.arms(d)
		return
	}
	p.line("\nCandidates")
	rows := [][]string{{"", "score", "std err", "priority", "probability", "note"}}
	for _, c := range d.GetCandidates() {
		verdict := c.GetVerdict()
		if c.GetEligible() && !c.GetKnown() && ranked(d) {
			verdict = "the model has no data on it"
		}
		row := []string{
			key(c.GetAction()), fmt.Sprintf("%.4g", c.GetScore()), fmt.Sprintf("%.4g", c.GetStdErr()),
			fmt.Sprintf("%.4g", c.GetPriority()), fmt.Sprintf("%.4g", c.GetProbability()), waitNote(c, verdict),
		}
		rows = append(rows, row)
	}
	p.table(rows)
	for _, c := range d.GetCandidates() {
		if len(c.GetFactors()) == 0 {
			continue
		}
		parts := make([]string, 0, len(c.GetFactors()))
		for _, f := range c.GetFactors() {
			parts = append(parts, fmt.Sprintf("%s %+.4g", f.GetName(), f.GetValue()))
		}
		p.line("  %s = %s", key(c.GetAction()), strings.Join(parts, ", "))
	}
}

// waitNote adds what the expected wait took off a candidate's priority.
func waitNote(c *usherv1.Candidate, note string) string {
	if c.GetWaitCost() == 0 {
		return note
	}
	if note != "" {
		note += "; "
	}
	return note + fmt.Sprintf("waiting there costs %.4g", c.GetWaitCost())
}

// ranked tells a choice among candidates from a fixed action, which is not scored:
// there was nothing to choose.
func ranked(d *usherv1.DecisionRecord) bool {
	return slices.ContainsFunc(d.GetReasons(), func(reason string) bool {
		switch reason {
		case "MODEL_RANKED", "EXPLORED", "HOLDOUT", "COMPARE_POLICY", "SHADOW_ONLY", "FALLBACK_NO_MODEL", "BASELINE_KEPT":
			return true
		}
		return false
	})
}

// isSplit tells a draw by shares, which asks no model, from a choice.
func isSplit(d *usherv1.DecisionRecord) bool {
	return slices.Contains(d.GetReasons(), "SPLIT")
}

// arms says what was drawn from, and each arm's share.
func (p *page) arms(d *usherv1.DecisionRecord) {
	p.line("\nArms of the split")
	rows := [][]string{{"", "share", ""}}
	for _, c := range d.GetCandidates() {
		note := c.GetVerdict()
		if key(c.GetAction()) == d.GetChosen() {
			note = strings.TrimSpace(note + " <- drawn")
		}
		rows = append(rows, []string{key(c.GetAction()), fmt.Sprintf("%.4g %%", 100*c.GetProbability()), note})
	}
	p.table(rows)
}

func (p *page) calls(d *usherv1.DecisionRecord) {
	if len(d.GetCalls()) == 0 {
		return
	}
	p.line("\nFunctions asked")
	rows := make([][]string, 0, len(d.GetCalls()))
	for _, c := range d.GetCalls() {
		notes := c.GetDetail()
		if c.GetFallback() {
			notes = strings.TrimSpace(notes + " (the value on error was taken)")
		}
		if c.GetAge() != nil {
			notes = strings.TrimSpace(notes + " " + span(c.GetAge()) + " old")
		}
		rows = append(rows, []string{c.GetFunction(), "for " + c.GetAttribute(), c.GetResult(), span(c.GetLatency()), notes})
	}
	p.table(rows)
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func key(a *usherv1.Action) string {
	if a.GetTarget() != "" {
		return a.GetTarget()
	}
	return a.GetType()
}

func action(a *usherv1.Action) string {
	text := strings.TrimSpace(a.GetType() + " " + a.GetTarget())
	if len(a.GetPayload().GetFields()) > 0 {
		text += " " + value(structpb.NewStructValue(a.GetPayload()))
	}
	return text
}

// value is a value as JSON on one line.
func value(v *structpb.Value) string {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v.AsInterface()); err != nil {
		return "?"
	}
	return strings.TrimSpace(text.String())
}

// span is a duration with as many digits as people read.
func span(d *durationpb.Duration) string {
	t := d.AsDuration()
	switch {
	case t >= time.Second:
		return t.Round(time.Millisecond).String()
	case t >= time.Millisecond:
		return t.Round(time.Microsecond).String()
	}
	return t.String()
}
