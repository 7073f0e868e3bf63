package contextstore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what a store does. A nil *Metrics counts nothing.
type Metrics struct {
	seconds  *prometheus.HistogramVec
	failures *prometheus.CounterVec
	swept    prometheus.Counter
}

// NewMetrics registers the metrics of the context store.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "usher_context_seconds", Help: "Time of calls to the context store: load (for decisions), read, write, list.",
			Buckets: prometheus.ExponentialBuckets(5e-6, 2.5, 14),
		}, []string{"call"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_context_failures_total",
			Help: "Calls to the context store that failed for no fault of the caller; action: SET_CONTEXT actions that were not carried out.",
		}, []string{"call"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_context_swept_total", Help: "Expired documents removed from the engine.",
		}),
	}
	reg.MustRegister(m.seconds, m.failures, m.swept)
	return m
}

func (m *Metrics) took(call string, d time.Duration) {
	if m != nil {
		m.seconds.WithLabelValues(call).Observe(d.Seconds())
	}
}

func (m *Metrics) failed(call string) {
	if m != nil {
		m.failures.WithLabelValues(call).Inc()
	}
}

func (m *Metrics) removed(n int) {
	if m != nil {
		m.swept.Add(float64(n))
	}
}
