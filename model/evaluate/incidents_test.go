package evaluate

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
)

// incident is one row of a real routing log: people chose first, right is the
// group that resolved it, and the outcome becomes known at resolved, if ever.
type incident struct {
	opened, resolved time.Time
	facts            model.Facts
	first, right     string
}

// replay plays a log in time order as the product would: people's choice is
// played in the shadow part and the model's after it, only the played group's
// outcome is ever learned, only once it has arrived, and only at refits.
type replay struct {
	incidents []incident
	groups    []model.Option
	learner   *model.Learner
	live      *model.Model
	enc       model.Encoder
	scratch   model.Scratch
	scores    []model.Score
	p         []float64
	pending   []played // by arrival
	learned   int
}

type played struct {
	row, group int
	propensity float64
	known      time.Time
}

func loadIncidents(t *testing.T) *replay {
	t.Helper()
	table := readTable(t, "../../cmd/usher/demo/incidents/incidents.csv.gz")
	at := map[string]int{}
	for i, name := range table.Columns {
		at[name] = i
	}
	r := &replay{}
	for _, cells := range table.Rows {
		get := func(name string) string { return cells[at[name]] }
		if get("final_group") == "" {
			continue
		}
		in := incident{first: get("first_group"), right: get("final_group")}
		in.opened, _ = parseTime(get("opened_at"))
		in.resolved, _ = parseTime(get("resolved_at")) // zero: the outcome never arrives
		in.facts = model.Facts{Channel: get("contact_type"), Baseline: in.first, Attributes: map[string]any{}}
		for _, name := range []string{
			"caller_id", "opened_by", "location", "category", "subcategory", "symptom",
			"impact", "urgency", "priority", "notify", "first_group",
		} {
			if v := get(name); v != "" {
				in.facts.Attributes[name] = v
			}
		}
		in.facts.Attributes["hour"] = float64(in.opened.Hour())
		in.facts.Attributes["weekday"] = in.opened.Weekday().String()
		r.incidents = append(r.incidents, in)
		for _, g := range []string{in.first, in.right} {
			if !slices.ContainsFunc(r.groups, func(o model.Option) bool { return o.Key == g }) {
				r.groups = append(r.groups, model.Option{Key: g})
			}
		}
	}
	slices.SortStableFunc(r.incidents, func(a, b incident) int { return a.opened.Compare(b.opened) })
	slices.SortFunc(r.groups, func(a, b model.Option) int { return strings.Compare(a.Key, b.Key) })
	r.scores, r.p = make([]model.Score, len(r.groups)), make([]float64, len(r.groups))
	return r
}

// run returns the share right over the second half, of people and of the system.
func (r *replay) run(t *testing.T, shadow float64, salt string) (people, system float64) {
	t.Helper()
	var err error
	if r.learner, err = model.New(model.DefaultConfig()); err != nil {
		t.Fatal(err)
	}
	r.live, r.pending, r.learned = nil, nil, 0
	n := len(r.incidents)
	for i := range r.incidents {
		in := &r.incidents[i]
		r.refit(t, in.opened)
		group, propensity := r.index(in.first), 1.0
		if r.live != nil && float64(i) >= shadow*float64(n) {
			group, propensity = r.decide(in, salt+strconv.Itoa(i))
		}
		if !in.resolved.IsZero() {
			r.remember(played{row: i, group: group, propensity: propensity, known: in.resolved})
		}
		if i >= n/2 {
			people += share(in.first == in.right, n-n/2)
			system += share(r.groups[group].Key == in.right, n-n/2)
		}
	}
	return people, system
}

func share(ok bool, of int) float64 {
	if ok {
		return 1 / float64(of)
	}
	return 0
}

func (r *replay) index(group string) int {
	return slices.IndexFunc(r.groups, func(o model.Option) bool { return o.Key == group })
}

func (r *replay) decide(in *incident, request string) (group int, propensity float64) {
	r.live.Score(&r.scratch, r.enc.Context(&in.facts), r.enc.Arms(r.groups, in.first), r.scores)
	explore.Probabilities(explore.DefaultConfig(), r.scores, nil, r.p)
	group = explore.Draw(r.p, explore.Seed(request))
	return group, r.p[group]
}

// remember keeps what is still to be learned in order of arrival.
func (r *replay) remember(p played) {
	at, _ := slices.BinarySearchFunc(r.pending[r.learned:], p, func(a, b played) int {
		if c := a.known.Compare(b.known); c != 0 {
			return c
		}
		return a.row - b.row
	})
	r.pending = slices.Insert(r.pending, r.learned+at, p)
}

// refit learns what has arrived once it has grown by 5 %, at least 100 rows.
func (r *replay) refit(t *testing.T, now time.Time) {
	t.Helper()
	arrived := r.learned
	for arrived < len(r.pending) && !r.pending[arrived].known.After(now) {
		arrived++
	}
	if arrived-r.learned < max(100, r.learned/20) {
		return
	}
	for _, p := range r.pending[r.learned:arrived] {
		in := &r.incidents[p.row]
		e := model.Example{
			Context: r.enc.Context(&in.facts), Arms: r.enc.Arms(r.groups, in.first),
			Chosen: p.group, Reward: share(r.groups[p.group].Key == in.right, 1), Propensity: p.propensity,
		}
		if err := r.learner.Learn(e); err != nil {
			t.Fatal(err)
		}
	}
	r.learned = arrived
	r.live = r.learner.Snapshot("v" + strconv.Itoa(arrived))
}

// People route 67.4 % of the second half right at first. The learner starts as
// their apprentice and has to end up better, its explorations counted, although
// it never hears what a group that was not chosen would have done.
func TestReplayOfRealRoutingBeatsPeople(t *testing.T) {
	r := loadIncidents(t)
	if len(r.incidents) != 20396 {
		t.Fatalf("%d incidents", len(r.incidents))
	}
	for _, shadow := range []float64{0.1, 0.2} {
		people, system := r.run(t, shadow, "a")
		t.Logf("shadow %.2f: people %.4f, system %.4f", shadow, people, system)
		if system < people+0.005 {
			t.Errorf("shadow %.2f: system %.4f right, people %.4f", shadow, system, people)
		}
	}
}
