package function

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/pipeline/event"
)

// metrics counts calls. Labels are enumerations: accounts and functions are in
// the decisions' records.
type metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	open    prometheus.Counter
	stuck   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_function_calls_total", Help: "Calls of functions by runtime and result; CACHED asked nobody.",
		}, []string{"runtime", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "usher_function_seconds", Help: "Time that calls of functions took, cached ones left out.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
		}, []string{"runtime"}),
		open: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_function_circuits_opened_total", Help: "Times that a function was left alone because it kept failing.",
		}),
		stuck: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_function_stuck_total", Help: "Calls that went on long after their end was called for; their functions are refused until they change.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.calls, m.seconds, m.open, m.stuck)
	}
	return m
}

func (m *metrics) count(fn *Function, result event.CallResult, took time.Duration) {
	runtime := "http"
	if fn.JavaScript != nil {
		runtime = "javascript"
	}
	m.calls.WithLabelValues(runtime, string(result)).Inc()
	if result != event.CallCached && result != event.CallRefused && result != event.CallBudget {
		m.seconds.WithLabelValues(runtime).Observe(took.Seconds())
	}
}
