package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/usherhq/usher/internal/telemetry"
)

func TestLoggerFormats(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.Logger(&out, telemetry.Config{Level: "warn", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud", "key", 7)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("want one JSON line, got %q: %v", out.String(), err)
	}
	if line["msg"] != "loud" || line["key"] != 7.0 {
		t.Errorf("line = %v", line)
	}
}

func TestConfigRefusesNonsense(t *testing.T) {
	if err := telemetry.DefaultConfig().Validate(); err != nil {
		t.Fatalf("the default is not valid: %v", err)
	}
	for want, c := range map[string]telemetry.Config{
		`log level "shout"`: {Level: "shout", Format: "text"},
		`log format "xml"`:  {Level: "info", Format: "xml"},
	} {
		if _, err := telemetry.Logger(io.Discard, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Logger(%+v) = %v, want %q named", c, err, want)
		}
	}
}

func TestAdminDoor(t *testing.T) {
	var broken error
	admin := telemetry.Admin{
		Gatherer: telemetry.Registry("v1.2.3"),
		Checks: []telemetry.Check{
			{Name: "config", Probe: func(context.Context) error { return nil }},
			{Name: "broker", Probe: func(context.Context) error { return broken }},
		},
	}
	h := admin.Handler()
	get := func(h http.Handler, method, path string) (int, string) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
		return rec.Code, rec.Body.String()
	}
	want := func(h http.Handler, method, path string, code int, parts ...string) {
		t.Helper()
		got, body := get(h, method, path)
		if got != code {
			t.Errorf("%s %s = %d, want %d", method, path, got, code)
		}
		for _, p := range parts {
			if !strings.Contains(body, p) {
				t.Errorf("%s %s lacks %q in %q", method, path, p, body)
			}
		}
	}
	want(h, "GET", "/livez", 200, `"ok"`)
	want(h, "GET", "/readyz", 200, `"ready"`, `"config": "ok"`, `"broker": "ok"`)
	want(h, "GET", "/metrics", 200, `usher_build_info{version="v1.2.3"} 1`, "go_goroutines")
	want(h, "POST", "/metrics", 405)
	want(h, "GET", "/nothing", 404)
	want(h, "GET", "/debug/pprof/", 404)
	broken = errors.New("no broker answers")
	want(h, "GET", "/readyz", 503, `"not ready"`, `"config": "ok"`, `"broker": "no broker answers"`)
	admin.Profiles = true
	want(admin.Handler(), "GET", "/debug/pprof/", 200, "goroutine")
}
