package rpc

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

//go:embed page.html
var pageHTML string

// healthz tells load balancers whether calls are welcome. It needs no token.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	code, state := http.StatusServiceUnavailable, healthpb.HealthCheckResponse_NOT_SERVING
	if s.serving(r) {
		code, state = http.StatusOK, healthpb.HealthCheckResponse_SERVING
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "{\"status\":%q}\n", state)
}

func (s *Server) serving(r *http.Request) bool {
	resp, err := s.health.Check(r.Context(), &healthpb.HealthCheckRequest{})
	return err == nil && resp.GetStatus() == healthpb.HealthCheckResponse_SERVING
}

// page says to a person what this is, where things are and, to those who may
// know, how it goes.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	view := struct {
		Version, Host string
		Serving, Open bool
		Facts         []Fact
		Services      []string
	}{Version: s.deps.Version, Host: r.Host, Serving: s.serving(r), Services: s.names}
	who, err := s.guard.authenticate(r.Header.Get("Authorization"))
	if s.cfg.OpenStatus || (err == nil && who.Account == "" && who.Scopes.Has(ScopeRead)) {
		view.Open = true
		if s.deps.Status != nil {
			view.Facts = s.deps.Status()
		}
	}
	var out bytes.Buffer
	t, err := template.New("page").Parse(pageHTML)
	if err == nil {
		err = t.Execute(&out, view)
	}
	if err != nil {
		s.guard.log.Error("page broke", "error", err)
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, _ = w.Write(out.Bytes())
}

// openAPI puts the version that runs into the generated document.
func openAPI(generated []byte, version string) ([]byte, error) {
	if len(generated) == 0 {
		generated = []byte(`{"openapi":"3.0.3","info":{"title":"Usher"},"paths":{}}`)
	}
	var doc map[string]any
	if err := json.Unmarshal(generated, &doc); err != nil {
		return nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	info, ok := doc["info"].(map[string]any)
	if !ok {
		return nil, errors.New("read OpenAPI document: it has no info")
	}
	info["version"] = version
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write OpenAPI document: %w", err)
	}
	return out, nil
}
