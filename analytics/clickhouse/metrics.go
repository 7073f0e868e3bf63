package clickhouse

import "github.com/prometheus/client_golang/prometheus"

type writerMetrics struct {
	rows, duplicates *prometheus.CounterVec
	failures         prometheus.Counter
	seconds          prometheus.Histogram
}

func newWriterMetrics(reg prometheus.Registerer) *writerMetrics {
	m := &writerMetrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_clickhouse_rows_total", Help: "Rows stored, by table.",
		}, []string{"table"}),
		duplicates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_clickhouse_duplicates_total", Help: "Events dropped because they were stored already, by table.",
		}, []string{"table"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_clickhouse_write_failures_total", Help: "Attempts to write a block that failed.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "usher_clickhouse_write_seconds", Help: "Time to store one block.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.rows, m.duplicates, m.failures, m.seconds)
	}
	return m
}

type rollerMetrics struct {
	seconds         prometheus.Histogram
	hours, failures prometheus.Counter
}

func newRollerMetrics(reg prometheus.Registerer) *rollerMetrics {
	m := &rollerMetrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "usher_rollup_seconds", Help: "Time of one look for changed hours and their recount.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}),
		hours: prometheus.NewCounter(prometheus.CounterOpts{Name: "usher_rollup_hours_total", Help: "Hours recomputed."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_rollup_failures_total", Help: "Looks that failed and are repeated.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.seconds, m.hours, m.failures)
	}
	return m
}
