package congestion

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// mark stands before every line that people read.
const mark = "[simulated] "

// Text writes the frontier for people, each line marked as simulated.
func (f *Frontier) Text(w io.Writer) error {
	out := &marked{to: w}
	_, _ = fmt.Fprintf(out, "%s\n%d groups, %d agents, %.0f arrivals an hour, %d runs of %d days, up to %d groups a conversation\n",
		f.Notice, f.Groups, f.Agents, f.PerHour, f.Runs, f.Days, f.Attempts)
	if f.Note != "" {
		_, _ = fmt.Fprintln(out, f.Note)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "rule\tprice/min\twait known by\tmean wait\t+-\tp90 wait\tresolved first\t+-\tin the end\ttransfers\toccupancy\t")
	for _, p := range slices.Concat(f.References, f.Prices) {
		price := ""
		if p.Routing == Priced {
			price = fmt.Sprintf("%g", p.Price)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%.2f min\t%.2f\t%.1f min\t%.1f %%\t%.1f\t%.1f %%\t%.2f\t%.0f %%\t\n", p.Routing, price, p.Signal,
			p.MeanWait, p.WaitError, p.P90Wait, 100*p.Resolved, 100*p.ResolvedError, 100*p.ResolvedAtLast, p.Transfers, 100*p.Occupancy)
	}
	_ = t.Flush()
	for _, c := range f.Conclusions {
		_, _ = fmt.Fprintln(out, c)
	}
	return out.err
}

// marked puts the mark before every line and keeps the first fault.
type marked struct {
	to   io.Writer
	line []byte
	err  error
}

func (m *marked) Write(p []byte) (int, error) {
	for _, b := range p {
		m.line = append(m.line, b)
		if b == '\n' {
			if m.err == nil {
				_, m.err = io.WriteString(m.to, mark+string(m.line))
			}
			m.line = m.line[:0]
		}
	}
	return len(p), nil
}

// CSV writes one row a rule; the column source says of each that it is simulated.
func (f *Frontier) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{
		"source", "rule", "price_per_minute", "signal", "mean_wait_minutes", "mean_wait_error", "p90_wait_minutes",
		"resolved_first", "resolved_first_error", "resolved_at_last", "transfers", "occupancy", "conversations",
	})
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	for _, p := range slices.Concat(f.References, f.Prices) {
		_ = out.Write([]string{
			"simulated", string(p.Routing), number(p.Price), string(p.Signal), number(p.MeanWait), number(p.WaitError), number(p.P90Wait),
			number(p.Resolved), number(p.ResolvedError), number(p.ResolvedAtLast), number(p.Transfers), number(p.Occupancy), strconv.Itoa(p.Conversations),
		})
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}
