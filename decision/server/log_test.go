package server_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// again makes what decides again, over the test's warehouse.
func (f *fixture) again(t testing.TB, log *configlog.Store, policies *policystore.Store) (*replay.Verifier, *replay.Simulator) {
	t.Helper()
	f.warehouse.spool = f.spool
	verifier, err := replay.NewVerifier(decision.DefaultConfig(), replay.Deps{Log: log})
	must(t, err)
	simulator, err := replay.NewSimulator(decision.DefaultConfig(), replay.SimulatorDeps{Log: log, Source: f.warehouse, Revisions: policies})
	must(t, err)
	return verifier, simulator
}

// Decisions is the plain reading of a search.
func (w *warehouse) Decisions(_ context.Context, q *server.DecisionQuery) ([]*event.Decision, error) {
	if w.away != nil {
		return nil, w.away
	}
	is := func(want, got string) bool { return want == "" || want == got }
	var out []*event.Decision
	for _, d := range w.decisions {
		if d.Account == q.Account && is(q.ConversationID, d.ConversationID) && is(q.ConsumerID, d.ConsumerID) && is(q.Policy, d.Policy) &&
			is(q.Chosen, d.Chosen) && is(q.DecidedBy, string(d.DecidedBy)) && (q.From.IsZero() || !d.Time.Before(q.From)) &&
			(q.To.IsZero() || d.Time.Before(q.To)) && (q.BeforeID == "" || place(d) < place(&event.Decision{Time: q.Before, ID: q.BeforeID})) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *event.Decision) int { return strings.Compare(place(b), place(a)) })
	return out[:min(len(out), q.Limit)], nil
}

func place(d *event.Decision) string { return fmt.Sprintf("%020d/%s", d.Time.UnixMilli(), d.ID) }

func (w *warehouse) Replay(_ context.Context, q replay.Query, fn func(replay.Row) error) error {
	all := maps.Clone(w.decisions)
	if w.spool != nil { // as if all were stored at once
		for _, d := range w.spool.Latest(q.Account, func(*event.Decision) bool { return true }) {
			all[d.Account+"/"+d.ID] = d
		}
	}
	for _, d := range all {
		if d.Account == q.Account && !d.Time.Before(q.From) && d.Time.Before(q.To) {
			if err := fn(replay.Row{Decision: d, Rewarded: true, Reward: 1}); err != nil {
				return err
			}
		}
	}
	return w.away
}

func (w *warehouse) PolicyUsage(context.Context, *server.UsageQuery) (*server.Usage, error) {
	if w.usage == nil {
		return &server.Usage{}, w.away
	}
	return w.usage, w.away
}

// ids are those of the listed decisions.
func ids(answer map[string]any) []string {
	var out []string
	list, _ := answer["decisions"].([]any)
	for _, d := range list {
		out = append(out, fmt.Sprint(d.(map[string]any)["decision_id"]))
	}
	return out
}

// The log is searched over what is stored and what was decided a moment ago, each
// decision once, page after page.
func TestDecisionsAreListed(t *testing.T) {
	f := start(t)
	now := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Minute)
	for i := range 5 {
		d := &event.Decision{
			ID: fmt.Sprint("old-", i), Account: "default", Time: now.Add(-time.Duration(i) * time.Hour), ConversationID: fmt.Sprint("c", i%2),
			ConsumerID: "u", DecidedBy: event.DecidedByModel, Policy: "vip", Chosen: "desk",
		}
		f.warehouse.decisions["default/"+d.ID] = d
	}
	f.warehouse.decisions["other/x"] = &event.Decision{ID: "x", Account: "other", Time: now}
	fresh := f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"conversation_id":"c1","candidates":[{"target":"billing"}]}`, 200)["decision_id"].(string)
	again, _ := f.spool.Recent("default", fresh)
	f.warehouse.decisions["default/"+fresh] = again // stored meanwhile
	list := func(query string) []string {
		return ids(f.rest(t, "GET", "/v1/accounts/default/decisions?"+query, "", 200))
	}
	for query, want := range map[string][]string{
		"":                                         {fresh, "old-0", "old-1", "old-2", "old-3", "old-4"},
		"conversation_id=c1":                       {fresh, "old-1", "old-3"},
		"consumer_id=u&policy=vip&chosen=desk":     {"old-0", "old-1", "old-2", "old-3", "old-4"},
		"policy=accounts/default/policies/vip":     {"old-0", "old-1", "old-2", "old-3", "old-4"},
		"decided_by=model&conversation_id=c0":      {"old-0", "old-2", "old-4"},
		"decided_by=policy":                        nil,
		"end_time=" + now.Format(time.RFC3339Nano): {"old-1", "old-2", "old-3", "old-4"},
	} {
		if got := list(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	var paged []string
	for token := ""; ; {
		answer := f.rest(t, "GET", "/v1/accounts/default/decisions?page_size=2&page_token="+url.QueryEscape(token), "", 200)
		paged = append(paged, ids(answer)...)
		if token, _ = answer["next_page_token"].(string); token == "" {
			break
		}
	}
	if want := []string{fresh, "old-0", "old-1", "old-2", "old-3", "old-4"}; !slices.Equal(paged, want) {
		t.Errorf("paged: %v", paged)
	}
	other := *again // as another replica decided it again
	other.Time = again.Time.Add(-time.Second)
	f.warehouse.decisions["default/"+fresh] = &other
	if got := list("conversation_id=c1"); !slices.Equal(got, []string{fresh, "old-1", "old-3"}) {
		t.Errorf("one decision at two times: %v", got)
	}
	delete(f.warehouse.decisions, "default/"+fresh) // not stored yet
	if got := list("conversation_id=c1"); !slices.Equal(got, []string{fresh, "old-1", "old-3"}) {
		t.Errorf("read your decisions: %v", got)
	}
	for query, field := range map[string]string{
		"page_size=-1": "page_size", "page_token=x": "page_token", "decided_by=magic": "decided_by",
		"start_time=2026-03-02T00:00:00Z&end_time=2026-03-01T00:00:00Z": "end_time",
	} {
		if text := fmt.Sprint(f.rest(t, "GET", "/v1/accounts/default/decisions?"+query, "", 400)); !strings.Contains(text, field) {
			t.Errorf("%s: %s", query, text)
		}
	}
	f.rest(t, "GET", "/v1/accounts/nobody/decisions", "", 404)
	f.warehouse.away = fault.New(fault.Unavailable, "AWAY", "away")
	f.rest(t, "GET", "/v1/accounts/default/decisions", "", 503)
}

// What the policy "default" decided is found under it, before it is stored, too.
func TestDecisionsOfTheDefaultAreListed(t *testing.T) {
	f := start(t)
	decide := func() string {
		return f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"candidates":[{"target":"billing"}]}`, 200)["decision_id"].(string)
	}
	decide() // by nothing
	f.rest(t, "POST", "/v1/accounts/default/policies?policy_id=default", `{"effect":{"fixed":{"actions":[{"target":"desk"}]}}}`, 200)
	id := decide()
	if got := ids(f.rest(t, "GET", "/v1/accounts/default/decisions?policy=default", "", 200)); !slices.Equal(got, []string{id}) {
		t.Errorf("found %v, want %s", got, id)
	}
}

func TestDecisionsAreVerified(t *testing.T) {
	f := start(t)
	id := f.rest(t, "POST", "/v1/accounts/default/nextActions", `{"conversation_id":"c1","candidates":[{"target":"billing"}]}`, 200)["decision_id"].(string)
	answer := f.rest(t, "POST", "/v1/accounts/default/decisions/"+id+":verify", "{}", 200)
	if answer["verdict"] != "SAME" || fmt.Sprint(answer["recorded"].(map[string]any)["chosen"]) != "billing" || answer["replayed"] == nil {
		t.Errorf("%v", answer)
	}
	d, _ := f.spool.Recent("default", id)
	forged := *d
	forged.ID, forged.Chosen = "forged", "sales"
	f.warehouse.decisions["default/forged"] = &forged
	answer = f.rest(t, "POST", "/v1/accounts/default/decisions/forged:verify", "{}", 200)
	if want := `[chosen: recorded "sales", replayed "billing"]`; answer["verdict"] != "DIFFERENT" || fmt.Sprint(answer["findings"]) != want {
		t.Errorf("%v", answer)
	}
	f.rest(t, "POST", "/v1/accounts/default/decisions/none:verify", "{}", 404)
}

func TestPoliciesAreSimulated(t *testing.T) {
	f := start(t)
	for i := range 4 {
		answer := f.rest(t, "POST", "/v1/accounts/default/nextActions", fmt.Sprintf(`{"conversation_id":"c%d","attributes":{"n":%d,"mail":"anna@example.org"},"candidates":[{"target":"billing"}]}`, i, i), 200)
		id := answer["decision_id"].(string)
		f.warehouse.decisions["default/"+id], _ = f.spool.Recent("default", id)
	}
	const policies = `"policies":[{"name":"accounts/default/policies/high","enabled":true,"when":{"attribute":"n","operator":"greater_than","value":1},"effect":{"fixed":{"actions":[{"target":"desk"}]}}}]`
	const path = "/v1/accounts/default/policies:simulate"
	answer := f.rest(t, "POST", path, `{`+policies+`,"examples":1}`, 200)
	if fmt.Sprint(answer["decisions"], " ", answer["changed"]) != "4 2" || !strings.Contains(fmt.Sprint(answer["conditions"]), "ADDED") || len(answer["examples"].([]any)) != 1 {
		t.Errorf("%v", answer)
	}
	if e := answer["estimate"].(map[string]any); e["trusted"] == true || e["warnings"] == nil || e["objective"] != "default" {
		t.Errorf("four decisions are believed: %v", e)
	} else if _, shown := e["simulated"]; shown {
		t.Errorf("an estimate that is not trusted has a number: %v", e)
	}
	if text := fmt.Sprint(answer); strings.Contains(text, "anna@") {
		t.Errorf("examples show what people said: %s", text)
	}
	f.rest(t, "POST", "/v1/accounts/default/policyDrafts", `{"name":"mine"}`, 200)
	if answer := f.rest(t, "POST", path, `{"draft":"mine","since":"3600s"}`, 200); fmt.Sprint(answer["decisions"], " ", answer["changed"]) != "4 0" {
		t.Errorf("a draft of the live list: %v", answer)
	}
	broken := strings.Replace(policies, "greater_than", "much_more", 1)
	if answer := f.rest(t, "POST", path, `{`+broken+`}`, 200); fmt.Sprint(answer["draft_errors"]) == "0" || answer["draft_errors"] == nil {
		t.Errorf("a broken draft: %v", answer)
	}
	for body, want := range map[string]int{
		`{}`: 400, `{"draft":"mine",` + policies + `}`: 400, `{"draft":"none"}`: 404, `{"draft":"accounts/other/policyDrafts/mine"}`: 400,
		`{"draft":"mine","since":"0s"}`: 400, `{"draft":"mine","since":"1s","start_time":"2026-03-01T00:00:00Z"}`: 400,
		`{"draft":"mine","limit":-1}`: 400, `{"draft":"mine","limit":1000000}`: 400, `{"draft":"mine","examples":-2}`: 400,
		`{"draft":"mine","objective":"none"}`: 404, `{"draft":"mine","start_time":"2999-03-01T00:00:00Z"}`: 400,
		`{"draft":"mine","start_time":"2026-03-02T00:00:00Z","end_time":"2026-03-01T00:00:00Z"}`: 400,
	} {
		f.rest(t, "POST", path, body, want)
	}
	f.warehouse.away = fault.New(fault.Unavailable, "AWAY", "away")
	f.rest(t, "POST", path, `{"draft":"mine"}`, 503)
}

// The numbers are those of the example in docs/explain.md.
func TestPoliciesAreReported(t *testing.T) {
	f := start(t)
	for _, name := range []string{"vip", "idle", "off"} {
		f.rest(t, "POST", "/v1/accounts/default/policies", fmt.Sprintf(`{"name":"%s","enabled":%t,"effect":{"deny":{"targets":["x"]}}}`, name, name != "off"), 200)
	}
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	good := server.Sample{N: 100, Mean: .8, Squares: 16, Max: 1} // 80 of 100
	f.warehouse.usage = &server.Usage{
		Decisions: 400, Unmatched: 300,
		Policies: map[string]server.UsageCounts{
			"vip":     {Matches: 100, Periods: map[time.Time]int64{day.AddDate(0, 0, 1): 60, day: 40}, Outcomes: map[string]server.Sample{"resolved": good}, Reward: good},
			"default": {Matches: 300},
		},
		All:      server.UsageCounts{Outcomes: map[string]server.Sample{"resolved": {N: 200, Mean: .65, Squares: 45.5, Max: 1}}, Reward: server.Sample{N: 200, Mean: .65, Squares: 45.5, Max: 1}},
		Baseline: server.UsageCounts{Reward: server.Sample{N: 1, Mean: 1, Min: 1, Max: 1}},
		Unknown:  []server.UnknownCount{{Attribute: "tier", Decisions: 100, Policies: []string{"vip"}}},
	}
	answer := f.rest(t, "GET", "/v1/accounts/default/policies:report", "", 200)
	policies := answer["policies"].([]any)
	first, vip := policies[0].(map[string]any), policies[1].(map[string]any)
	if first["policy"] != "default" || first["share"] != .75 || vip["share"] != .25 || vip["matches"] != "100" || fmt.Sprint(answer["never_matched"]) != "[idle]" {
		t.Errorf("%v", answer)
	}
	if periods := vip["periods"].([]any); periods[0].(map[string]any)["matches"] != "40" {
		t.Errorf("periods %v", periods)
	}
	mean := func(v any) [3]float64 {
		m, _ := v.(map[string]any)
		number := func(name string) float64 { x, _ := m[name].(float64); return math.Round(x*1000) / 1000 }
		return [3]float64{number("value"), number("lower"), number("upper")}
	}
	// 80 of 100 against 50 of 100: by the textbook 0.3 ± 0.126.
	for name, test := range map[string]struct {
		got  any
		want [3]float64
	}{
		"resolved": {vip["outcomes"].(map[string]any)["resolved"], [3]float64{.8, .72, .88}}, "reward": {vip["reward"], [3]float64{.8, .72, .88}},
		"lift": {vip["lift"], [3]float64{.3, .173, .427}}, "baseline of one": {answer["baseline"], [3]float64{1, 0, 1}},
	} {
		if got := mean(test.got); got != test.want {
			t.Errorf("%s is %v, want %v", name, got, test.want)
		}
	}
	if first["reward"] != nil || first["lift"] != nil {
		t.Errorf("without rewards: %v", first)
	}
	unknown := answer["unknown"].([]any)[0].(map[string]any)
	if unknown["attribute"] != "tier" || unknown["share"] != .25 || fmt.Sprint(unknown["policies"]) != "[vip]" {
		t.Errorf("unknown: %v", unknown)
	}
	for _, query := range slices.Sorted(maps.Keys(map[string]int{
		"period=week": 0, "start_time=2026-03-02T00:00:00Z&end_time=2026-03-01T00:00:00Z": 0, "start_time=2999-01-01T00:00:00Z": 0,
		"period=hour&start_time=2025-01-01T00:00:00Z&end_time=2026-01-01T00:00:00Z": 0,
	})) {
		f.rest(t, "GET", "/v1/accounts/default/policies:report?"+query, "", 400)
	}
	f.rest(t, "GET", "/v1/accounts/default/policies:report?objective=none", "", 404)
	f.warehouse.away = fault.New(fault.Unavailable, "AWAY", "away")
	f.rest(t, "GET", "/v1/accounts/default/policies:report", "", 503)
}
