package function

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

const (
	maxURL     = 2048
	maxHeader  = 4096
	maxOnError = 16 << 10 // bytes of JSON
)

// Check adds every fault of a function's settings. What depends on the
// installation, the address of a service and the code, is for [Caller.Check].
func (f *Function) Check(c *fault.Check) {
	switch {
	case f.HTTP == nil && f.JavaScript == nil:
		c.Add("http", "is missing, and so is javascript: a function is one of them")
	case f.HTTP != nil && f.JavaScript != nil:
		c.Add("javascript", "stands beside http: a function is one of them")
	}
	if f.Timeout < 0 || f.Timeout > MaxTimeout {
		c.Add("timeout", "%v must be above 0 and at most %v", f.Timeout, MaxTimeout)
	} else if f.Timeout > 0 && f.Timeout < time.Millisecond {
		c.Add("timeout", "%v is below 1ms, in which nothing can be asked", f.Timeout)
	}
	if f.CacheTTL < 0 || f.CacheTTL > MaxCacheTTL {
		c.Add("cache_ttl", "%v must be between 0 and %v", f.CacheTTL, MaxCacheTTL)
	}
	if f.MaxConcurrency < 0 || f.MaxConcurrency > MaxConcurrency {
		c.Add("max_concurrency", "%d must be between 1 and %d, or 0 for %d", f.MaxConcurrency, MaxConcurrency, DefaultConcurrency)
	}
	if data, err := json.Marshal(f.OnError); err != nil || len(data) > maxOnError {
		c.Add("on_error", "must be JSON of at most %d bytes", maxOnError)
	}
	if f.HTTP != nil {
		f.HTTP.check(c)
	}
	if f.JavaScript != nil {
		f.JavaScript.check(c)
	}
}

func (h *HTTP) check(c *fault.Check) {
	if h.Method != "" && h.Method != http.MethodGet && h.Method != http.MethodPost {
		c.Add("http.method", "%q must be GET or POST", h.Method)
	}
	if _, err := parseAddress(h.URL); err != nil {
		c.Add("http.url", "%s", err)
	}
	if len(h.Headers)+len(h.SecretHeaders) > MaxHeaders {
		c.Add("http.headers", "and secret_headers are %d; the limit is %d", len(h.Headers)+len(h.SecretHeaders), MaxHeaders)
	}
	for name, value := range h.Headers {
		checkHeader(c, "http.headers", name, value)
		switch strings.ToLower(name) {
		case "authorization", "cookie", "proxy-authorization", "x-api-key":
			c.Add("http.headers."+name, "holds a secret as a rule: put it into secret_headers, which nobody can read")
		}
	}
	for name, value := range h.SecretHeaders {
		checkHeader(c, "http.secret_headers", name, value)
		if _, twice := h.Headers[name]; twice {
			c.Add("http.secret_headers."+name, "is among the headers too")
		}
	}
}

// checkHeader refuses what could break out of a header, or is for the transport.
// The value is not repeated: it may be a secret.
func checkHeader(c *fault.Check, field, name, value string) {
	if !isToken(name) {
		c.Add(field, "%q is no name of a header", name)
		return
	}
	if len(value) > maxHeader || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		c.Add(field+"."+name, "must be at most %d bytes without control characters", maxHeader)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Keep-Alive", "Proxy-Connection", "Accept-Encoding":
		c.Add(field+"."+name, "is set by Usher itself")
	}
}

// isToken is RFC 9110's token.
func isToken(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// MaskSecrets returns a copy whose secret headers have no values.
func (h *HTTP) MaskSecrets() *HTTP {
	out := *h
	out.SecretHeaders = nil
	for name := range h.SecretHeaders {
		if out.SecretHeaders == nil {
			out.SecretHeaders = map[string]string{}
		}
		out.SecretHeaders[name] = ""
	}
	return &out
}

// KeepSecrets takes the values of secret headers that came back empty from what
// was stored. They are bound to the service they were given for: when the
// address points elsewhere, they must be given again.
func (h *HTTP) KeepSecrets(stored *HTTP) {
	if stored == nil || origin(h.URL) != origin(stored.URL) {
		return
	}
	for name, value := range h.SecretHeaders {
		if old, ok := stored.SecretHeaders[name]; ok && value == "" {
			h.SecretHeaders[name] = old
		}
	}
}

// EmptySecrets lists the secret headers that have no value.
func (h *HTTP) EmptySecrets() []string {
	var out []string
	for name, value := range h.SecretHeaders {
		if value == "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// origin is the scheme, host and port of an address.
func origin(raw string) string {
	a, err := parseAddress(raw)
	if err != nil {
		return ""
	}
	u := url.URL{Scheme: a.scheme, Host: a.hostPort()}
	return u.String()
}

func (j *JavaScript) check(c *fault.Check) {
	switch {
	case strings.TrimSpace(j.Source) == "":
		c.Add("javascript.source", "is missing: it must define function main(args)")
	case len(j.Source) > MaxSource:
		c.Add("javascript.source", "has %d bytes; the limit is %d", len(j.Source), MaxSource)
	}
}
