package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCRM(t *testing.T) {
	c, err := newCRM(customersJSON, "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		path, key string
		code      int
		want      string
	}{
		{"/customers/c-1001", "k", 200, `"tier":"gold"`},
		{"/customers/c-1001", "", 401, "key"},
		{"/customers/nobody", "k", 404, "no such customer"},
	} {
		r := httptest.NewRequest(http.MethodGet, one.path, nil)
		r.Header.Set("X-Api-Key", one.key)
		w := httptest.NewRecorder()
		c.handler().ServeHTTP(w, r)
		if w.Code != one.code || !strings.Contains(w.Body.String(), one.want) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%+v: %d %s", one, w.Code, w.Body)
		}
	}
	if _, err := newCRM([]byte("{"), "k", 0); err == nil {
		t.Error("broken customers are taken")
	}
}
