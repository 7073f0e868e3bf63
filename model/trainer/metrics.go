package trainer

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what an operator should see of training. Make it with
// NewMetrics; it is safe for concurrent use.
type Metrics struct {
	refits    *prometheus.CounterVec
	learned   *prometheus.CounterVec
	failures  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	rows      *prometheus.GaugeVec
	waiting   *prometheus.GaugeVec
	watermark *prometheus.GaugeVec
	loss      *prometheus.GaugeVec
}

// NewMetrics registers the metrics with reg; with nil they are counted and not
// shown.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	account := []string{"account"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append(account, labels...))
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(account, labels...))
	}
	m := &Metrics{
		refits:   counter("usher_trainer_refits_total", "Models fitted, by the gate's verdict (promoted, kept).", "verdict"),
		learned:  counter("usher_trainer_learned_rows_total", "Rows learned, those of full fits each time."),
		failures: counter("usher_trainer_failures_total", "Fits that failed and will be retried."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "usher_trainer_refit_seconds", Help: "Time of one fit with its reading and writing, by kind (full, warm).",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 16),
		}, append(account, "kind")),
		rows:      gauge("usher_trainer_rows", "Rows that the newest model was fitted to."),
		waiting:   gauge("usher_trainer_waiting_rows", "Rows to learn from that came since the newest fit."),
		watermark: gauge("usher_trainer_watermark_timestamp_seconds", "Newest outcome that the newest fit knows of, in seconds since 1970."),
		loss:      gauge("usher_trainer_held_out_loss", "Mean squared error on held-out rows, by predictor (model, constant).", "predictor"),
	}
	if reg != nil {
		reg.MustRegister(m.refits, m.learned, m.failures, m.seconds, m.rows, m.waiting, m.watermark, m.loss)
	}
	return m
}

func (m *Metrics) observe(account string, p *publication) {
	rows, out, took := p.job.rows, p.out, p.took
	verdict, kind := "kept", "warm"
	if p.promoted {
		verdict = "promoted"
	}
	if out.full {
		kind = "full"
	}
	m.refits.WithLabelValues(account, verdict).Inc()
	m.learned.WithLabelValues(account).Add(float64(out.learned))
	m.seconds.WithLabelValues(account, kind).Observe(took.Seconds())
	m.rows.WithLabelValues(account).Set(float64(len(rows.rows)))
	m.waiting.WithLabelValues(account).Set(0)
	m.watermark.WithLabelValues(account).Set(float64(rows.watermark().UnixMilli()) / 1000)
	m.loss.WithLabelValues(account, "model").Set(out.verdict.Loss)
	m.loss.WithLabelValues(account, "constant").Set(out.verdict.Constant)
}

// forget drops the series of an account that is gone.
func (m *Metrics) forget(account string) {
	by := prometheus.Labels{"account": account}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.refits, m.learned, m.failures, m.seconds, m.rows, m.waiting, m.watermark, m.loss} {
		v.DeletePartialMatch(by)
	}
}
