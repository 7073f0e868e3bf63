package function

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// asker asks services. It has two transports, so that a connection that the
// installation allowed is never reused for a host that it did not.
type asker struct {
	hosts   hosts
	limit   int64 // bytes of an answer
	public  *http.Transport
	private *http.Transport
	clients map[bool]*http.Client // by private
}

func newAsker(h hosts, limit int64) *asker {
	a := &asker{hosts: h, limit: limit, public: transport(false), private: transport(true)}
	a.clients = map[bool]*http.Client{false: client(a.public), true: client(a.private)}
	return a
}

// transport dials what dialControl lets through. Proxy variables of the
// environment do not count: a proxy would dial in our place.
func transport(private bool) *http.Transport {
	dialer := &net.Dialer{Timeout: MaxTimeout, KeepAlive: 30 * time.Second, Control: dialControl(private)}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    MaxTimeout,
		ResponseHeaderTimeout:  MaxTimeout,
		MaxResponseHeaderBytes: 16 << 10,
		// A compressed answer could unfold without bound.
		DisableCompression: true,
	}
}

// client follows no redirect: it would lead away from the address that was
// checked, and carry the secret headers along.
func client(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (a *asker) close() {
	a.public.CloseIdleConnections()
	a.private.CloseIdleConnections()
}

// ask sends the arguments to a service and reads its JSON answer.
func (a *asker) ask(ctx context.Context, account string, h *HTTP, at *address, args map[string]any) (any, error) {
	private := a.hosts.admits(account, at.host, at.port)
	if err := a.hosts.check(account, at); err != nil {
		return nil, fmt.Errorf("the address %w", err)
	}
	request, err := newRequest(ctx, h, at, args)
	if err != nil {
		return nil, err
	}
	response, err := a.clients[private].Do(request)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusNoContent {
		return nil, errNothing
	}
	if response.StatusCode != http.StatusOK {
		return nil, &statusError{response.StatusCode}
	}
	return a.read(response)
}

// statusError is an answer with a status that has no value to take.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("answered %d", e.code) }

func newRequest(ctx context.Context, h *HTTP, at *address, args map[string]any) (*http.Request, error) {
	target, err := at.fill(args)
	if err != nil {
		return nil, err
	}
	method, body := http.MethodGet, io.Reader(nil)
	if h.Method == http.MethodPost {
		data, err := json.Marshal(args)
		if err != nil {
			return nil, errors.New("the arguments are no JSON")
		}
		method, body = http.MethodPost, bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, errors.New("the arguments make no valid address")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "usher")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, headers := range []map[string]string{h.Headers, h.SecretHeaders} {
		for name, value := range maps.All(headers) {
			request.Header.Set(name, value)
		}
	}
	return request, nil
}

// read takes JSON of bounded size, and nothing else.
func (a *asker) read(response *http.Response) (any, error) {
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return nil, fmt.Errorf("answered %.60q, not application/json", kind)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, a.limit+1))
	if err != nil {
		return nil, plain(err)
	}
	if int64(len(data)) > a.limit {
		return nil, fmt.Errorf("answered more than %d bytes", a.limit)
	}
	return decode(data)
}

// errNothing is an answer without a value: not a failure, but nothing to take.
var errNothing = errors.New("answered nothing")

// decode reads one JSON document; null is nothing.
func decode(data []byte) (any, error) {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, errors.New("answered what is no JSON")
	}
	if v == nil {
		return nil, errNothing
	}
	return v, nil
}

// plain takes the address out of an error of the HTTP client: the query may hold
// personal values.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if dns, ok := errors.AsType[*net.DNSError](err); ok {
			if dns.IsNotFound {
				return errors.New("its host is not known")
			}
			return errors.New("its host cannot be looked up")
		}
		return fmt.Errorf("cannot be reached: %s: %w", op.Op, op.Err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return &broken{err}
}

// broken is a conversation that went wrong. The client's own text may repeat what
// the service sent.
type broken struct{ cause error }

func (b *broken) Error() string { return fmt.Sprintf("broke off the conversation (%T)", b.cause) }
func (b *broken) Unwrap() error { return b.cause }
