package demo

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is the result of a replay. Shares are within 0 and 1.
type Report struct {
	Incidents int `json:"incidents"`
	Shares
	LastHalf             Shares             `json:"last_half"`
	Tenths               []Shares           `json:"tenths"`
	DecidedBy            map[string]float64 `json:"decided_by"`
	DecisionsPerSecond   float64            `json:"decisions_per_second"`
	P50Millis            float64            `json:"p50_ms"`
	P99Millis            float64            `json:"p99_ms"`
	Refits               int                `json:"refits"`
	RewardToModelSeconds float64            `json:"reward_to_model_seconds"`
	Rows                 Rows               `json:"rows"`
}

// Shares tells how often each party's first assignment was right. Model counts
// the incidents for which a model was there, and is nil without any.
type Shares struct {
	People float64  `json:"people"`
	Policy float64  `json:"policy"`
	Model  *float64 `json:"model"`
	Usher  float64  `json:"usher"`
}

// Rows compares what was sent with what is stored.
type Rows struct {
	Decisions Count `json:"decisions"`
	Outcomes  Count `json:"outcomes"`
}

// Count is a number of rows on both sides.
type Count struct {
	Sent   int64 `json:"sent"`
	Stored int64 `json:"stored"`
}

func (r Rows) complete() bool {
	return r.Decisions.Stored == r.Decisions.Sent && r.Outcomes.Stored == r.Outcomes.Sent
}

func tally(results []result) Shares {
	var people, policy, model, hasModel, usher int
	for _, r := range results {
		people += count(r.people)
		policy += count(r.policy)
		usher += count(r.usher)
		hasModel += count(r.hasModel)
		model += count(r.hasModel && r.model)
	}
	n := float64(max(1, len(results)))
	s := Shares{People: float64(people) / n, Policy: float64(policy) / n, Usher: float64(usher) / n}
	if hasModel > 0 {
		share := float64(model) / float64(hasModel)
		s.Model = &share
	}
	return s
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// report sums the run up. The stored counts are still missing.
func (r *replay) report() *Report {
	n := len(r.results)
	report := &Report{
		Incidents: n, Shares: tally(r.results), LastHalf: tally(r.results[n/2:]), DecidedBy: map[string]float64{},
		DecisionsPerSecond: float64(n) / r.took.Seconds(), Refits: r.watch.refits(),
		P50Millis: quantile(r.latencies, 0.5), P99Millis: quantile(r.latencies, 0.99),
		RewardToModelSeconds: r.watch.rewardToModel().Seconds(),
		Rows:                 Rows{Decisions: Count{Sent: int64(n)}, Outcomes: Count{Sent: r.sent}},
	}
	for i := range 10 {
		report.Tenths = append(report.Tenths, tally(r.results[i*n/10:(i+1)*n/10]))
	}
	for _, one := range r.results {
		report.DecidedBy[one.by]++
	}
	for by := range report.DecidedBy {
		report.DecidedBy[by] /= float64(n)
	}
	return report
}

// quantile returns the q-quantile in milliseconds; it sorts in place.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000
}

// Print writes the report as a table for people.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "first assignment right\tpeople\tpolicy alone\tmodel alone\tUsher\t\n")
	row := func(name string, s Shares) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", name, percent(&s.People), percent(&s.Policy), percent(s.Model), percent(&s.Usher))
	}
	for i, s := range r.Tenths {
		row(fmt.Sprintf("tenth %d", i+1), s)
	}
	row("all", r.Shares)
	row("last half", r.LastHalf)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\ndecided by:")
	for _, by := range [...]string{"policy", "model", "exploration", "baseline", "default"} {
		if share, ok := r.DecidedBy[by]; ok {
			fmt.Fprintf(out, "  %s %.1f %%", by, 100*share)
		}
	}
	fmt.Fprintf(out, "\n%.0f decisions/s (paced), p50 %.2f ms, p99 %.2f ms, %d refits, %.1f s from an outcome to the model that knows it\n",
		r.DecisionsPerSecond, r.P50Millis, r.P99Millis, r.Refits, r.RewardToModelSeconds)
	_, err := fmt.Fprintf(out, "rows sent and stored: decisions %d and %d, outcomes %d and %d\n",
		r.Rows.Decisions.Sent, r.Rows.Decisions.Stored, r.Rows.Outcomes.Sent, r.Rows.Outcomes.Stored)
	return err
}

func percent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100**share)
}
