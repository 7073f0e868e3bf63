package rpc

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"
)

// metrics counts calls by method, door (grpc or http) and code.
type metrics struct {
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_rpc_calls_total", Help: "Calls answered, by method, door and code.",
		}, []string{"method", "door", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "usher_rpc_call_seconds", Help: "Time from admission to answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"method", "door"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_rpc_calls_in_flight", Help: "Calls at work.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_rpc_panics_total", Help: "Panics contained in a call.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.calls, m.seconds, m.inFlight, m.panics)
	}
	return m
}

// begin notes the start of a call; the function it returns notes the end.
func (m *metrics) begin(method, door string) func(error) {
	m.inFlight.Inc()
	began := time.Now()
	return func(err error) {
		m.inFlight.Dec()
		m.seconds.WithLabelValues(method, door).Observe(time.Since(began).Seconds())
		m.calls.WithLabelValues(method, door, codeName(err)).Inc()
	}
}

// codeName spells a code as the contract does, for example NOT_FOUND.
func codeName(err error) string { return code.Code(status.Code(err)).String() } //nolint:gosec // codes are 0 to 16
