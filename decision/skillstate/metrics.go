package skillstate

import "github.com/prometheus/client_golang/prometheus"

// newReports counts reports; a nil registerer is told nothing.
func newReports(reg prometheus.Registerer) *prometheus.CounterVec {
	reports := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "usher_skill_reports_total",
		Help: "Reports of live state by what became of them: taken, late (a newer one is known), unreadable, refused.",
	}, []string{"result"})
	if reg != nil {
		reg.MustRegister(reports)
	}
	return reports
}
