package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
)

// Function is a function as stored, secrets included: they are for those who
// call it, never for an answer.
type Function struct {
	Description string
	function.Function
	Meta
}

type functionDocument struct {
	Description    string        `json:"description,omitempty"`
	HTTP           *httpDocument `json:"http,omitempty"`
	JavaScript     *jsDocument   `json:"javascript,omitempty"`
	Timeout        duration      `json:"timeout,omitempty"`
	CacheTTL       duration      `json:"cache_ttl,omitempty"`
	OnError        any           `json:"on_error,omitempty"`
	MaxConcurrency int           `json:"max_concurrency,omitempty"`
}

type httpDocument struct {
	URL           string            `json:"url"`
	Method        string            `json:"method,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	SecretHeaders map[string]string `json:"secret_headers,omitempty"`
}

type jsDocument struct {
	Source string `json:"source"`
}

// duration is written as 1m30s.
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

func functionOf(r configlog.Resource) (Function, error) {
	var d functionDocument
	if err := read(r, &d); err != nil {
		return Function{}, err
	}
	f := Function{Description: d.Description, Meta: metaOf(r)}
	f.Function = function.Function{
		ID: r.Name, Revision: r.Revision, Timeout: time.Duration(d.Timeout), CacheTTL: time.Duration(d.CacheTTL),
		OnError: d.OnError, MaxConcurrency: d.MaxConcurrency,
	}
	if h := d.HTTP; h != nil {
		f.HTTP = &function.HTTP{URL: h.URL, Method: h.Method, Headers: h.Headers, SecretHeaders: h.SecretHeaders}
	}
	if d.JavaScript != nil {
		f.JavaScript = &function.JavaScript{Source: d.JavaScript.Source}
	}
	return f, nil
}

func (f *Function) key() string { return f.ID }

func (f *Function) document() any {
	d := functionDocument{
		Description: f.Description, Timeout: duration(f.Timeout), CacheTTL: duration(f.CacheTTL),
		OnError: f.OnError, MaxConcurrency: f.MaxConcurrency,
	}
	if h := f.HTTP; h != nil {
		d.HTTP = &httpDocument{URL: h.URL, Method: h.Method, Headers: h.Headers, SecretHeaders: h.SecretHeaders}
	}
	if f.JavaScript != nil {
		d.JavaScript = &jsDocument{Source: f.JavaScript.Source}
	}
	return d
}

// check also brings in the secrets that were not given again.
func (f *Function) check(s *scene, c *fault.Check) {
	checkID(c, f.ID)
	checkText(c, "description", f.Description, maxDescription)
	if f.HTTP != nil {
		own := *f.HTTP
		if r, ok := s.state.Get(s.account, configlog.KindFunction, f.ID); ok {
			if stored, err := functionOf(r); err == nil {
				own.SecretHeaders = maps.Clone(own.SecretHeaders)
				own.KeepSecrets(stored.HTTP)
			}
		}
		for _, name := range own.EmptySecrets() {
			c.Add("http.secret_headers."+name, "has no value; a secret is kept only while the address stays at the same host")
		}
		f.HTTP = &own
	}
	f.Check(c)
	for _, r := range s.state.List(s.account, configlog.KindAttribute) {
		if a, err := attributeOf(r); err == nil && a.Function == f.ID {
			a.checkOnError(c, "on_error", f)
		}
	}
}

// String shows a function without its secrets, whatever formats it.
func (f Function) String() string {
	own := f
	if own.HTTP != nil {
		own.HTTP = own.HTTP.MaskSecrets()
	}
	data, err := json.Marshal(own.document())
	if err != nil {
		return fmt.Sprintf("function %s", f.ID)
	}
	return fmt.Sprintf("function %s %s", f.ID, data)
}
