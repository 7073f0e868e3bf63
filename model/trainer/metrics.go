package trainer

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usherhq/usher/model"
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
	drift     *prometheus.GaugeVec
	alarms    *prometheus.GaugeVec
	off       *prometheus.GaugeVec
	maturity  *prometheus.GaugeVec
	staleness *prometheus.GaugeVec
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
		drift: gauge("usher_trainer_drift", "How far the newest rows are from those before them, the farthest of each kind: "+
			"standard errors (reward, loss, calibration) or population stability index (coverage, arm).", "what"),
		alarms:    gauge("usher_trainer_drift_alarms", "Things that have drifted beyond their bound: 4 standard errors, or an index of 0.25."),
		off:       gauge("usher_trainer_calibration_error", "Mean distance of foretold and real reward on held-out rows, in units of the objective."),
		maturity:  gauge("usher_trainer_maturity_ratio", "Share of outcomes that come within the age of the rows, on the average."),
		staleness: gauge("usher_trainer_staleness_seconds", "Time since the newest outcome that the live model learned from."),
	}
	if reg != nil {
		reg.MustRegister(m.refits, m.learned, m.failures, m.seconds, m.rows, m.waiting, m.watermark, m.loss,
			m.drift, m.alarms, m.off, m.maturity, m.staleness)
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
	m.maturity.WithLabelValues(account).Set(rows.maturity)
	if c := out.trial.calibration(); c != nil {
		m.off.WithLabelValues(account).Set(c.Error)
	}
	m.observeDrift(account, out.drift)
}

func (m *Metrics) observeDrift(account string, drift []model.Drift) {
	farthest, alarms := map[string]float64{}, 0
	for _, d := range drift {
		what, _, _ := strings.Cut(d.What, ":") // names of attributes and arms would be series without end
		farthest[what] = max(farthest[what], d.Distance)
		if d.Alarming {
			alarms++
		}
	}
	for what, distance := range farthest {
		m.drift.WithLabelValues(account, what).Set(distance)
	}
	m.alarms.WithLabelValues(account).Set(float64(alarms))
}

// stale tells how old what the live model knows is; nothing when none is live.
func (m *Metrics) stale(account string, live *champion, now time.Time) {
	if live == nil {
		m.staleness.DeleteLabelValues(account)
		return
	}
	m.staleness.WithLabelValues(account).Set(max(0, now.Sub(live.card.Watermark).Seconds()))
}

// forget drops the series of an account that is gone.
func (m *Metrics) forget(account string) {
	by := prometheus.Labels{"account": account}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{
		m.refits, m.learned, m.failures, m.seconds, m.rows, m.waiting, m.watermark, m.loss,
		m.drift, m.alarms, m.off, m.maturity, m.staleness,
	} {
		v.DeletePartialMatch(by)
	}
}
