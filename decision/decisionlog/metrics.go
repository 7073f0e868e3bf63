package decisionlog

import "github.com/prometheus/client_golang/prometheus"

// register shows the counters; they are kept whether shown or not.
func (l *Log) register(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	counter := func(name, help string, value func(Stats) uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(l.Stats())) }))
	}
	gauge := func(name, help string, value func(Stats) int64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value(l.Stats())) }))
	}
	counter("usher_spool_recorded_total", "Messages put onto the local disk.", func(s Stats) uint64 { return s.Recorded })
	counter("usher_spool_published_total", "Messages that the log has acknowledged.", func(s Stats) uint64 { return s.Published })
	counter("usher_spool_publish_failures_total", "Publications that failed and were tried again.", func(s Stats) uint64 { return s.Failures })
	counter("usher_spool_refused_total", "Messages that the log refuses for good, set aside in refused.jsonl.", func(s Stats) uint64 { return s.Refused })
	counter("usher_decisions_not_recorded_total", "Decisions that were answered and could not be recorded.", func(s Stats) uint64 { return s.NotRecorded })
	gauge("usher_spool_backlog_records", "Messages on the local disk that the log does not have.", func(s Stats) int64 { return s.Backlog })
	gauge("usher_spool_bytes", "Size of the spool on disk.", func(s Stats) int64 { return s.Bytes })
}
