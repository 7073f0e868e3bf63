package decision

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/pipeline/event"
)

// Metrics counts what an engine does. A nil *Metrics counts nothing.
type Metrics struct {
	decisions *prometheus.CounterVec
	seconds   prometheus.Histogram
	unknown   *prometheus.CounterVec
	resolve   prometheus.Histogram
	missing   *prometheus.CounterVec
	draws     prometheus.Counter
	spent     prometheus.Counter
}

// NewMetrics registers the engine's metrics. Labels have few values: reasons and
// modes are enumerations, attributes are those that policies name.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_decisions_total", Help: "Decisions by who had the last word, mode and foremost reason.",
		}, []string{"decided_by", "mode", "reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "usher_decision_seconds", Help: "Time the engine took for one decision.",
			Buckets: prometheus.ExponentialBuckets(5e-6, 2, 14),
		}),
		unknown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_policy_unknown_total",
			Help: "Conditions that were UNKNOWN in a recorded trace, by attribute.",
		}, []string{"attribute"}),
		resolve: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "usher_attribute_seconds", Help: "Time one decision took to look up attributes that its request did not bring.",
			Buckets: prometheus.ExponentialBuckets(5e-6, 2, 16),
		}),
		missing: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_attribute_failed_total", Help: "Attributes that could not be looked up although they should be there, by attribute.",
		}, []string{"attribute"}),
		draws: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_exploration_draws_total", Help: "Decisions that went to another candidate than the best, to learn.",
		}),
		spent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_exploration_budget_exhausted_total", Help: "Decisions in which some target had no exploratory draws left this hour.",
		}),
	}
	reg.MustRegister(m.decisions, m.seconds, m.unknown, m.resolve, m.missing, m.draws, m.spent)
	return m
}

func (m *Metrics) count(d *event.Decision) {
	if m == nil {
		return
	}
	m.decisions.WithLabelValues(string(d.DecidedBy), d.Mode, d.Reasons[0]).Inc()
	m.seconds.Observe(float64(d.Latency) / float64(time.Second))
	if d.Explored {
		m.draws.Inc()
	}
	if slices.Contains(d.Reasons, ReasonExplorationBudget) {
		m.spent.Inc()
	}
	for i := range d.Policies {
		conditions := d.Policies[i].Conditions
		for j := range conditions {
			for _, name := range conditions[j].Unknown() {
				m.unknown.WithLabelValues(name).Inc()
			}
		}
	}
}

// resolved counts one look-up of attributes.
func (m *Metrics) resolved(took time.Duration, f *Found) {
	if m == nil {
		return
	}
	m.resolve.Observe(took.Seconds())
	for name := range f.Failed {
		m.missing.WithLabelValues(name).Inc()
	}
}
