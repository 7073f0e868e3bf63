package ladder

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the watch does. A nil *Metrics counts nothing.
type Metrics struct {
	breaches prometheus.Counter
	failures prometheus.Counter
	looked   prometheus.Gauge
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		breaches: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_ladder_breaches_total", Help: "Scopes set back to SHADOW because a guardrail was breached.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_ladder_failures_total", Help: "Looks at the guardrails that failed for some scope.",
		}),
		looked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_ladder_last_look_timestamp_seconds", Help: "When the guardrails were last looked at.",
		}),
	}
	reg.MustRegister(m.breaches, m.failures, m.looked)
	return m
}
