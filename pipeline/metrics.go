package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what flows from the log to the sink.
type Metrics struct {
	rows, dead, retries *prometheus.CounterVec
	blockRows           *prometheus.HistogramVec
	writeSeconds        *prometheus.HistogramVec
	delay               *prometheus.HistogramVec
	abandoned           prometheus.Counter
}

// NewMetrics makes the metrics and registers them; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_pipeline_rows_total",
			Help: "Events stored, dead letters apart.",
		}, []string{"topic"}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_pipeline_dead_letters_total",
			Help: "Events that could not be understood and were set aside.",
		}, []string{"topic", "reason"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_pipeline_retries_total",
			Help: "Attempts that failed and were repeated, by the step that failed.",
		}, []string{"topic", "step"}),
		blockRows: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "usher_pipeline_block_rows",
			Help:    "Rows of a stored block.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 9),
		}, []string{"topic"}),
		writeSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "usher_pipeline_write_seconds",
			Help:    "Time of one successful write to the sink.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}, []string{"topic"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "usher_pipeline_delay_seconds",
			Help:    "Time from the log to the sink of the oldest event of a block.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 16),
		}, []string{"topic"}),
		abandoned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_pipeline_abandoned_blocks_total",
			Help: "Blocks given up because the partition went to another process, which reads them again.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.rows, m.dead, m.retries, m.blockRows, m.writeSeconds, m.delay, m.abandoned)
	}
	return m
}

func (m *Metrics) stored(b *Block, took, delay time.Duration) {
	m.rows.WithLabelValues(b.Topic).Add(float64(b.Rows() - len(b.Dead)))
	for i := range b.Dead {
		m.dead.WithLabelValues(b.Topic, b.Dead[i].Reason).Inc()
	}
	m.blockRows.WithLabelValues(b.Topic).Observe(float64(b.Rows()))
	m.writeSeconds.WithLabelValues(b.Topic).Observe(took.Seconds())
	m.delay.WithLabelValues(b.Topic).Observe(delay.Seconds())
}

func (m *Metrics) retried(topic, step string) { m.retries.WithLabelValues(topic, step).Inc() }
