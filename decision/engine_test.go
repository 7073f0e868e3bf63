package decision_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

func updateFlag() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite want.json of the cases")
	flag.Parse()
	os.Exit(m.Run())
}

// world is an installation in memory: the sources of one engine.
type world struct {
	set      *policy.Set
	model    *model.Model
	accounts map[string]decision.Account
	modes    map[string]decision.Mode
	skills   map[string]event.Skill
	seats    map[string][]string // skills by agent
	now      time.Time
	ids      int
}

func (w *world) Policies(string) *policy.Set { return w.set }
func (w *world) Current(string) *model.Model { return w.model }
func (w *world) Mode(_, scope string) (decision.Mode, bool) {
	m, ok := w.modes[scope]
	return m, ok
}

func (w *world) Account(account string) (decision.Account, bool) {
	a, ok := w.accounts[account]
	return a, ok
}

func (w *world) Skill(_, skill string) (event.Skill, bool) {
	s, ok := w.skills[skill]
	return s, ok
}

func (w *world) Serves(_, agent, skill string) (serves, known bool) {
	skills, known := w.seats[agent]
	return slices.Contains(skills, skill), known
}

func (w *world) newID() string {
	w.ids++
	return fmt.Sprintf("id-%d", w.ids)
}

func (w *world) engine(t testing.TB) *decision.Engine {
	t.Helper()
	deps := decision.Deps{
		Policies: w, Models: w, Control: w,
		Now: func() time.Time { return w.now }, NewID: w.newID,
	}
	if w.skills != nil {
		deps.Skills = w
	}
	if w.seats != nil {
		deps.Seats = w
	}
	e, err := decision.New(decision.DefaultConfig(), deps)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newWorld() *world {
	return &world{
		set: policy.Compile(nil, 1), accounts: map[string]decision.Account{"acme": {}},
		modes: map[string]decision.Mode{}, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
	}
}

// lesson teaches a model: in this context the arm brought this reward, so many
// times.
type lesson struct {
	Channel    string         `json:"channel"`
	Intent     string         `json:"intent"`
	Attributes map[string]any `json:"attributes"`
	Arm        string         `json:"arm"`
	Reward     float64        `json:"reward"`
	Times      int            `json:"times"`
}

func teach(t testing.TB, version string, lessons []lesson) *model.Model {
	t.Helper()
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var enc model.Encoder
	for _, one := range lessons {
		for range one.Times {
			err := l.Learn(model.Example{
				Context: enc.Context(&model.Facts{Channel: one.Channel, Intent: one.Intent, Attributes: one.Attributes}),
				Arms:    enc.Arms([]model.Option{{Key: one.Arm}}, ""), Reward: one.Reward, Propensity: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return l.Snapshot(version)
}

// document is the request.json of a case, in the words of the public contract.
type document struct {
	RequestID      string            `json:"request_id"`
	ConversationID string            `json:"conversation_id"`
	Channel        string            `json:"channel"`
	Intent         string            `json:"intent"`
	Attributes     map[string]any    `json:"attributes"`
	Candidates     []event.Candidate `json:"candidates"`
	Baseline       *event.Action     `json:"baseline"`
	MaxActions     int               `json:"max_actions"`
	ConsumerID     string            `json:"consumer_id"`
	UserMessage    string            `json:"user_message"`
	Waited         string            `json:"waited"`
	Policy         string            `json:"policy"`
	DryRun         bool              `json:"dry_run"`
}

func (d *document) request(t *testing.T) *decision.Request {
	var waited time.Duration
	if d.Waited != "" {
		var err error
		if waited, err = time.ParseDuration(d.Waited); err != nil {
			t.Fatal(err)
		}
	}
	return &decision.Request{
		ConsumerID: d.ConsumerID, UserMessage: d.UserMessage, Waited: waited, Policy: d.Policy, DryRun: d.DryRun,
		Account: "acme", RequestID: d.RequestID, ConversationID: d.ConversationID, Channel: d.Channel,
		Intent: d.Intent, Attributes: d.Attributes, Candidates: d.Candidates, Baseline: d.Baseline, MaxActions: d.MaxActions,
	}
}

// answer is what a case promises: everything but scores, ids and times.
type answer struct {
	Actions    []event.Action    `json:"actions"`
	DecidedBy  event.DecidedBy   `json:"decided_by"`
	Policy     string            `json:"policy,omitempty"`
	Reasons    []string          `json:"reasons"`
	NoMatch    string            `json:"no_match_reason,omitempty"`
	Mode       string            `json:"mode"`
	PolicyOnly string            `json:"policy_only,omitempty"`
	ModelOnly  string            `json:"model_only,omitempty"`
	Drawn      string            `json:"drawn,omitempty"`
	Propensity float64           `json:"propensity"`
	Step       int               `json:"step,omitempty"`
	ValidFor   string            `json:"valid_for,omitempty"`
	Verdicts   map[string]string `json:"verdicts"`
	Policies   map[string]string `json:"policies,omitempty"`
	Unknown    []string          `json:"unknown,omitempty"`
}

func answerOf(d *event.Decision) *answer {
	a := &answer{
		Actions: d.Actions, DecidedBy: d.DecidedBy, Policy: d.Policy, Reasons: d.Reasons, NoMatch: d.NoMatchReason,
		Mode: d.Mode, PolicyOnly: d.PolicyOnly, ModelOnly: d.ModelOnly, Drawn: d.Drawn,
		Propensity: float64(int(d.Propensity*1e4+0.5)) / 1e4,
		Verdicts:   map[string]string{}, Policies: map[string]string{}, Step: d.Step,
	}
	if d.ValidFor > 0 {
		a.ValidFor = d.ValidFor.String()
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		a.Verdicts[c.Key()] = c.Verdict
		if c.Eligible {
			a.Verdicts[c.Key()] = "ELIGIBLE"
		}
	}
	for _, p := range d.Policies {
		a.Policies[p.Policy] = string(p.State)
		if p.Exception {
			a.Policies[p.Policy] += " by its exception"
		}
		for _, c := range p.Conditions {
			if c.Truth == event.Unknown {
				a.Unknown = append(a.Unknown, p.Policy+" "+c.Path+" "+c.Attribute+": "+c.Cause)
			}
		}
	}
	return a
}

// caseWorld builds the installation that a case file describes.
func caseWorld(t *testing.T, files map[string][]byte) *world {
	t.Helper()
	w := newWorld()
	var documents []json.RawMessage
	read(t, files, "policies.json", &documents)
	var policies []*policy.Policy
	for i, doc := range documents {
		p, err := policy.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		p.Rank = float64(i)
		policies = append(policies, p)
	}
	w.set = policy.Compile(policies, 7)
	var account struct {
		DefaultEffect json.RawMessage `json:"default_effect"`
		Modes         map[string]struct {
			Mode        decision.ModeKind `json:"mode"`
			Share       float64           `json:"share"`
			Exploration *float64          `json:"exploration"`
		} `json:"modes"`
	}
	read(t, files, "account.json", &account)
	if account.DefaultEffect != nil {
		set, err := policy.CompileEffect(account.DefaultEffect)
		if err != nil {
			t.Fatal(err)
		}
		w.accounts["acme"] = decision.Account{Default: set}
	}
	for scope, m := range account.Modes {
		w.modes[scope] = decision.Mode{Kind: m.Mode, Share: m.Share, Exploration: m.Exploration}
	}
	read(t, files, "skills.json", &w.skills)
	read(t, files, "agents.json", &w.seats)
	if _, ok := files["model.json"]; ok {
		var lessons []lesson
		read(t, files, "model.json", &lessons)
		w.model = teach(t, "m1", lessons)
	}
	return w
}

func read(t *testing.T, files map[string][]byte, name string, into any) {
	t.Helper()
	data, ok := files[name]
	if !ok {
		return
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestCases runs testdata/cases: each file is a paragraph of the specification.
// Requests are request.json and, for a conversation of several, request2.json...
func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { runCase(t, path) })
	}
}

func runCase(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range archive.Files {
		files[f.Name] = f.Data
	}
	engine := caseWorld(t, files).engine(t)
	changed := false
	for i := range archive.Files {
		f := &archive.Files[i]
		n, ok := strings.CutPrefix(f.Name, "want")
		if !ok {
			continue
		}
		var doc document
		read(t, files, "request"+n, &doc)
		got := decideCase(t, engine, doc.request(t))
		if string(got) == string(f.Data) {
			continue
		}
		if !updateFlag() {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, got, f.Data)
		}
		f.Data, changed = got, true
	}
	if changed && updateFlag() {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func decideCase(t *testing.T, e *decision.Engine, r *decision.Request) []byte {
	t.Helper()
	d, err := e.Decide(context.Background(), r)
	if err != nil {
		return []byte(strings.ReplaceAll(err.Error(), "; ", "\n") + "\n")
	}
	if err := d.Validate(); err != nil {
		t.Errorf("the record is not valid: %v", err)
	}
	out, err := json.MarshalIndent(answerOf(d), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}
