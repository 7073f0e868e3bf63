package embedded

import "github.com/prometheus/client_golang/prometheus"

// metrics counts what an operator of the engine should see.
type metrics struct {
	starts   prometheus.Counter
	restarts prometheus.Counter
	up       prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		starts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_clickhouse_embedded_starts_total", Help: "Starts of the embedded engine that reached readiness.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_clickhouse_embedded_deaths_total", Help: "Times the embedded engine died or hung and was started again.",
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_clickhouse_embedded_up", Help: "1 while the embedded engine answers.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.starts, m.restarts, m.up)
	}
	return m
}
