package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one condition of being ready. Probe returns nil when it holds and
// else an error whose text is shown to whoever asks; it must be safe for
// concurrent use and keep to its context.
type Check struct {
	Name  string
	Probe func(ctx context.Context) error
}

// Admin says what the administrators' door serves.
type Admin struct {
	Gatherer prometheus.Gatherer
	// Checks decide /readyz, all of them.
	Checks []Check
	// Profiles opens /debug/pprof/.
	Profiles bool
}

// probeLimit bounds all checks of one /readyz call.
const probeLimit = 2 * time.Second

// Handler serves /metrics, /livez (the process answers), /readyz (every check by
// name, 503 while one fails) and, when asked for, /debug/pprof/. It carries no
// authentication: bind it to an address that only operators reach. It is safe
// for concurrent use.
func (a Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", a.ready)
	if a.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// ready runs every check, so that one call shows all that is missing.
func (a Admin) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), probeLimit)
	defer cancel()
	code, status := http.StatusOK, "ready"
	checks := make(map[string]string, len(a.Checks))
	for _, c := range a.Checks {
		checks[c.Name] = "ok"
		if err := c.Probe(ctx); err != nil {
			checks[c.Name] = err.Error()
			code, status = http.StatusServiceUnavailable, "not ready"
		}
	}
	answer(w, code, map[string]any{"status": status, "checks": checks})
}

// answer writes v as JSON. A client that has gone away is no news.
func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}
