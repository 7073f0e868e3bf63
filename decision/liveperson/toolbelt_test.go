package liveperson_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// toolbelt behaves as LivePerson's client of the context service does: what it
// sends, what it takes for success, and what it tries again. Nothing in it knows
// Usher but for the host.
type toolbelt struct {
	host, key, account string
	deadline           time.Duration // of one call, 10 s
	pause              time.Duration // before the second attempt, 2 s; twice that before the third
}

// restError is an answer other than the one the toolbelt wants.
type restError struct {
	status  int
	message string
}

func (e *restError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.message) }

// send makes up to three attempts, for failures of the network alone: any answer
// is final. Each attempt has a request id of its own.
func (b *toolbelt) send(ctx context.Context, method, path string, body any, want int) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		answer, err := b.attempt(ctx, method, path, body, want)
		var refused *restError
		if err == nil || errors.As(err, &refused) || errors.Is(err, context.DeadlineExceeded) || attempt == 3 {
			return answer, err
		}
		timer := time.NewTimer(time.Duration(attempt) * b.pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

func (b *toolbelt) attempt(ctx context.Context, method, path string, body any, want int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, b.deadline)
	defer cancel()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.host+path, content)
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{
		"Maven-Api-Key": {b.key}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
		"X-Request-Id": {uuid.NewString()}, "User-Agent": {"toolbelt"},
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		var known struct{ Message string }
		_ = json.Unmarshal(answer, &known) // an error in other words has an empty message
		return nil, &restError{resp.StatusCode, known.Message}
	}
	if got := resp.Header.Get("X-Request-Id"); got != req.Header.Get("X-Request-Id") {
		return nil, fmt.Errorf("the request id comes back as %q", got)
	}
	return answer, nil
}

func (b *toolbelt) at(parts ...string) string {
	return "/v1/account/" + strings.Join(append([]string{b.account}, parts...), "/")
}

// session is the session's name, as the client has it when none is given.
func session(id string) string {
	if id == "" {
		return "__default__"
	}
	return id
}

type listed struct {
	Name    string    `json:"name"`
	Created time.Time `json:"createdAt"`
	TTL     int       `json:"ttlSecond"`
}

// createNamespace asks for it and then looks for it in the list.
func (b *toolbelt) createNamespace(ctx context.Context, name string, ttl int) (*listed, error) {
	path := b.at()
	if ttl > 0 {
		path += fmt.Sprintf("?ttlSecond=%d", ttl)
	}
	if _, err := b.send(ctx, http.MethodPost, path, map[string]string{"name": name}, http.StatusNoContent); err != nil {
		return nil, err
	}
	answer, err := b.send(ctx, http.MethodGet, b.at(), nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var all []listed
	if err := json.Unmarshal(answer, &all); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(n listed) bool { return n.Name == name }); i >= 0 {
		return &all[i], nil
	}
	return nil, errors.New("it is not in the list")
}

// set merges and then reads all of the session.
func (b *toolbelt) set(ctx context.Context, namespace, id string, properties map[string]any) (map[string]any, error) {
	path := b.at(namespace, session(id), "properties")
	if _, err := b.send(ctx, http.MethodPatch, path, properties, http.StatusNoContent); err != nil {
		return nil, err
	}
	return b.all(ctx, namespace, id)
}

func (b *toolbelt) all(ctx context.Context, namespace, id string) (map[string]any, error) {
	answer, err := b.send(ctx, http.MethodGet, b.at(namespace, session(id), "properties"), nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(answer, &out)
}

// one reads a property; text that is no JSON is the value itself.
func (b *toolbelt) one(ctx context.Context, namespace, id, property string) (any, error) {
	answer, err := b.send(ctx, http.MethodGet, b.at(namespace, session(id), "properties", property), nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	if !json.Valid(answer) {
		return string(answer), nil
	}
	var out any
	return out, json.Unmarshal(answer, &out)
}

// selected makes one call for each property and leaves out those not found.
func (b *toolbelt) selected(ctx context.Context, namespace, id string, properties ...string) (map[string]any, error) {
	out := map[string]any{}
	for _, p := range properties {
		value, err := b.one(ctx, namespace, id, p)
		var refused *restError
		if errors.As(err, &refused) && refused.status == http.StatusNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[p] = value
	}
	return out, nil
}

func (b *toolbelt) remove(ctx context.Context, path string) error {
	_, err := b.send(ctx, http.MethodDelete, path, nil, http.StatusNoContent)
	return err
}

func (b *toolbelt) sessions(ctx context.Context, namespace string) (out []string, err error) {
	answer, err := b.send(ctx, http.MethodGet, b.at(namespace, "session-ids"), nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	return out, json.Unmarshal(answer, &out)
}

func (f *fixture) toolbelt(host string) *toolbelt {
	return &toolbelt{host: host, key: f.key, account: "acme", deadline: 10 * time.Second, pause: time.Millisecond}
}

// TestToolbeltChangesOnlyTheHost: row 95. Every function of the client, over HTTP.
func TestToolbeltChangesOnlyTheHost(t *testing.T) {
	f := start(t)
	b, ctx := f.toolbelt(f.url), t.Context()
	made, err := b.createNamespace(ctx, "bag", 3600)
	must(t, err)
	if made.TTL != 3600 || !made.Created.Equal(began()) {
		t.Errorf("created = %+v", made)
	}
	if made, err = b.createNamespace(ctx, "plain", 0); err != nil || made.TTL != 0 {
		t.Errorf("without a time to live = %+v, %v", made, err)
	}
	want := map[string]any{"text": "a \"b\"", "n": 1.5, "yes": true, "list": []any{1.0, "x"}, "o": map[string]any{"k": nil}}
	for _, id := range []string{"", "c-1"} {
		got, err := b.set(ctx, "bag", id, want)
		if err != nil || !maps.EqualFunc(got, want, same) {
			t.Fatalf("set in %q = %v, %v", id, got, err)
		}
		more, err := b.set(ctx, "bag", id, map[string]any{"n": 2.0})
		if err != nil || more["n"] != 2.0 || more["yes"] != true {
			t.Errorf("update in %q = %v, %v", id, more, err)
		}
		some, err := b.selected(ctx, "bag", id, "n", "none", "text")
		if err != nil || !maps.EqualFunc(some, map[string]any{"n": 2.0, "text": want["text"]}, same) {
			t.Errorf("selected in %q = %v, %v", id, some, err)
		}
		for range 2 { // it does not mind that it is gone
			must(t, b.remove(ctx, b.at("bag", session(id), "properties", "n")))
		}
		if _, err := b.one(ctx, "bag", id, "n"); statusOf(err) != http.StatusNotFound {
			t.Errorf("what is gone = %v", err)
		}
	}
	if ids, err := b.sessions(ctx, "bag"); err != nil || !slices.Equal(ids, []string{"__default__", "c-1"}) {
		t.Errorf("sessions = %v, %v", ids, err)
	}
	for range 2 {
		must(t, b.remove(ctx, b.at("bag", "c-1", "properties/"))) // the client's path ends in a slash
	}
	if ids, err := b.sessions(ctx, "bag"); err != nil || !slices.Equal(ids, []string{"__default__"}) {
		t.Errorf("sessions = %v, %v", ids, err)
	}
	for range 2 {
		must(t, b.remove(ctx, b.at("bag")))
	}
	if _, err := b.all(ctx, "bag", ""); statusOf(err) != http.StatusNotFound {
		t.Errorf("a namespace that is gone = %v", err)
	}
	b.key = "usher_nonsense"
	if _, err := b.all(ctx, "bag", ""); statusOf(err) != http.StatusForbidden {
		t.Errorf("with a bad key = %v, want the 403 that the toolbelt calls an invalid key", err)
	}
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func statusOf(err error) int {
	var refused *restError
	if errors.As(err, &refused) && refused.message != "" {
		return refused.status
	}
	return 0
}

// TestToolbeltRetriesWhatTheNetworkLost: a set whose answer was lost is sent
// again, and is as good as sent once; an answer is never tried again.
func TestToolbeltRetriesWhatTheNetworkLost(t *testing.T) {
	f := start(t)
	target, err := url.Parse(f.url)
	must(t, err)
	var calls, lose atomic.Int64
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(*http.Response) error {
			calls.Add(1)
			if lose.Add(-1) >= 0 {
				return http.ErrAbortHandler // the call was carried out, the answer never arrives
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { panic(err) },
	}
	web := httptest.NewServer(proxy)
	defer web.Close()
	b := f.toolbelt(web.URL)
	lose.Store(2)
	got, err := b.set(t.Context(), "bag", "s", map[string]any{"a": 1.0})
	if err != nil || got["a"] != 1.0 || calls.Load() != 4 {
		t.Errorf("set = %v, %v in %d calls, want 3 for the write and 1 to read", got, err, calls.Load())
	}
	calls.Store(0)
	lose.Store(3)
	if _, err := b.set(t.Context(), "bag", "s", map[string]any{"a": 2.0}); err == nil || calls.Load() != 3 {
		t.Errorf("set over a dead line = %v in %d calls, want an error after 3", err, calls.Load())
	}
	calls.Store(0)
	lose.Store(0)
	if _, err := b.one(t.Context(), "bag", "s", "none"); statusOf(err) != http.StatusNotFound || calls.Load() != 1 {
		t.Errorf("a missing property = %v in %d calls, want one", err, calls.Load())
	}
}
