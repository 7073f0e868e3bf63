package demo

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the log
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

//go:embed incidents/incidents.csv.gz
var incidentsCSV []byte

// IncidentLog is the log as it is kept, CSV under gzip; its README has columns and
// licence.
func IncidentLog() io.Reader { return bytes.NewReader(incidentsCSV) }

// incident is one row of the log: what was known when it was opened, where
// people sent it first, and what came of it.
type incident struct {
	id                   string
	opened               time.Time
	resolved             time.Time // zero: never heard of again
	channel              string
	known                map[string]string // values as first logged, empty ones left out
	priority             float64
	firstGroup, rightOne string
	madeSLA              bool
	transfers, reopened  float64
}

// history is the log in the order of opening, with all groups of the desk.
type history struct {
	incidents []incident
	groups    []string
}

// slice returns the first limit incidents (all for 0) and every group.
func (h *history) slice(limit int) ([]incident, []string) {
	if limit == 0 || limit > len(h.incidents) {
		limit = len(h.incidents)
	}
	return h.incidents[:limit], h.groups
}

// contextColumns are the columns known at opening that become attributes.
var contextColumns = [...]string{"caller_id", "opened_by", "location", "category", "subcategory", "symptom", "impact", "urgency", "notify"}

func load() (*history, error) {
	zr, err := gzip.NewReader(bytes.NewReader(incidentsCSV))
	if err != nil {
		return nil, fmt.Errorf("open the incident log: %w", err)
	}
	rows, err := csv.NewReader(zr).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the incident log: %w", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	h := &history{}
	groups := map[string]bool{}
	for _, row := range rows[1:] {
		get := func(name string) string { return row[column[name]] }
		if get("final_group") == "" {
			continue // nobody knows the right answer
		}
		in, err := parse(get)
		if err != nil {
			return nil, fmt.Errorf("read incident %q: %w", get("incident"), err)
		}
		h.incidents = append(h.incidents, in)
		groups[in.firstGroup], groups[in.rightOne] = true, true
	}
	slices.SortStableFunc(h.incidents, func(a, b incident) int { return a.opened.Compare(b.opened) })
	for g := range groups {
		h.groups = append(h.groups, g)
	}
	slices.Sort(h.groups)
	return h, nil
}

func parse(get func(string) string) (incident, error) {
	const minute = "2006-01-02T15:04"
	in := incident{
		id: get("incident"), channel: get("contact_type"), known: map[string]string{},
		firstGroup: get("first_group"), rightOne: get("final_group"), madeSLA: get("made_sla") == "true",
	}
	for _, name := range contextColumns {
		if v := get(name); v != "" {
			in.known[name] = v
		}
	}
	var err error
	if in.opened, err = time.Parse(minute, get("opened_at")); err != nil {
		return in, err
	}
	if at := get("resolved_at"); at != "" {
		if in.resolved, err = time.Parse(minute, at); err != nil {
			return in, err
		}
	}
	for name, to := range map[string]*float64{"priority": &in.priority, "reassignment_count": &in.transfers, "reopen_count": &in.reopened} {
		if *to, err = strconv.ParseFloat(get(name), 64); err != nil {
			return in, fmt.Errorf("column %s: %w", name, err)
		}
	}
	return in, nil
}

// request asks where the incident should go.
func (in *incident) request(account string, candidates []*usherv1.ActionCandidate) *usherv1.NextActionsRequest {
	attributes := make(map[string]*structpb.Value, len(in.known)+4)
	for name, v := range in.known {
		attributes[name] = structpb.NewStringValue(v)
	}
	attributes["first_group"] = structpb.NewStringValue(in.firstGroup)
	attributes["priority"] = structpb.NewNumberValue(in.priority)
	attributes["hour"] = structpb.NewNumberValue(float64(in.opened.Hour()))
	attributes["weekday"] = structpb.NewStringValue(in.opened.Weekday().String())
	return &usherv1.NextActionsRequest{
		Parent: "accounts/" + account, RequestId: account + "/" + in.id, ConversationId: in.id,
		Channel: in.channel, Attributes: attributes, Candidates: candidates,
		Baseline:   &usherv1.Action{Type: "TRANSFER_TO_SKILL", Target: in.firstGroup},
		MaxActions: 1,
	}
}

// outcomes tells what came of the incident after it was sent to the given group.
// What people's own assignment led to is known only when Usher made the same.
func (in *incident) outcomes(decision, sentTo string, now time.Time) []*usherv1.Outcome {
	all := []*usherv1.Outcome{in.outcome(decision, "right_group", truth(sentTo == in.rightOne), now)}
	if sentTo == in.firstGroup {
		all = append(all,
			in.outcome(decision, "sla", truth(in.madeSLA), now),
			in.outcome(decision, "transfers", in.transfers, now),
			in.outcome(decision, "reopened", in.reopened, now))
	}
	return all
}

func (in *incident) outcome(decision, kind string, value float64, now time.Time) *usherv1.Outcome {
	return &usherv1.Outcome{
		Id: decision + "/" + kind, Source: "service-desk", DecisionId: decision, ConversationId: in.id,
		Kind: kind, Value: value, EventTime: timestamppb.New(now),
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
