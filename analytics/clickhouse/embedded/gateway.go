package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// gateway is what the world sees of the engine: two listeners that stay when an
// engine dies and the next one takes its place on other, private ports.
type gateway struct {
	native, http net.Listener
	door         *door
	web          *http.Server
	writer       User
	client       *http.Client
	upstream     atomic.Pointer[upstream]
	requests     sync.WaitGroup
	places       chan struct{} // one element per request inside the engine
}

// upstream are the private addresses of the running engine.
type upstream struct{ native, http string }

// newGateway makes the doors over two listeners, which it owns from now on.
func newGateway(native, web net.Listener, users map[string]User) *gateway {
	g := &gateway{native: native, http: web, writer: users[UserWriter]}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	g.client = &http.Client{Transport: transport}
	g.places = make(chan struct{}, httpPlaces)
	g.door = &door{users: users, database: g.databaseExists, dial: g.dialNative}
	g.web = &http.Server{
		Handler: g.proxy(transport), ReadHeaderTimeout: helloTimeout, MaxHeaderBytes: 64 << 10,
	}
	return g
}

// run serves both doors until ctx ends.
func (g *gateway) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() {
		defer cancel()
		errs[0] = g.door.serve(ctx, g.native)
	})
	wg.Go(func() {
		defer cancel()
		if err := g.web.Serve(g.http); !errors.Is(err, http.ErrServerClosed) {
			errs[1] = fmt.Errorf("serve HTTP: %w", err)
		}
	})
	<-ctx.Done()
	_ = g.web.Close() // ends Serve and its connections
	wg.Wait()
	g.requests.Wait()
	g.client.CloseIdleConnections()
	return errors.Join(errs...)
}

// bodyLimit bounds a request's body, which is read before the engine sees any of
// it: the engine must not be left waiting for a client that went away.
const bodyLimit = 64 << 20

// httpPlaces is how many HTTP requests run at once; more wait. The native door has
// the rest of the engine's places for queries.
const httpPlaces = 24

// proxy passes well-formed and complete requests on; the engine would not survive
// others.
func (g *gateway) proxy(transport http.RoundTripper) http.Handler {
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			target := &url.URL{Scheme: "http", Host: "engine.invalid"}
			if up := g.upstream.Load(); up != nil {
				target.Host = up.http
			}
			r.SetURL(target)
		},
		Transport:     patient{transport},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the ClickHouse engine is not reachable: "+err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.requests.Add(1)
		defer g.requests.Done()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
		if err != nil {
			http.Error(w, "read the request: "+err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		// An engine that is being started again is worth a short wait.
		if _, err := g.await(r.Context()); err != nil {
			http.Error(w, "the ClickHouse engine is not running", http.StatusServiceUnavailable)
			return
		}
		select {
		case g.places <- struct{}{}:
			defer func() { <-g.places }()
			p.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// patient hears the engine out, whatever the client does: a connection that is
// closed before its answer has been read is reset, and a reset can end the engine.
// The query of a client that went away therefore runs to its end or to the engine's
// time limit; KILL QUERY would end it sooner, and sometimes the engine with it.
type patient struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(context.WithoutCancel(r.Context()))
	// An error after the first bytes of an answer can end the engine too, so it
	// gathers the whole answer first, beyond a few megabytes on disk.
	params := r.URL.Query()
	params.Set("wait_end_of_query", "1")
	params.Set("buffer_size", "4194304")
	r.URL.RawQuery = params.Encode()
	resp, err := p.next.RoundTrip(r)
	if err == nil {
		resp.Body = drained{resp.Body}
	}
	return resp, err
}

type drained struct{ io.ReadCloser }

// Close reads what is left first.
func (d drained) Close() error {
	_, err := io.Copy(io.Discard, d.ReadCloser)
	return errors.Join(err, d.ReadCloser.Close())
}

// await returns the running engine's addresses, waiting for one to come back.
func (g *gateway) await(ctx context.Context) (*upstream, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamWait)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if up := g.upstream.Load(); up != nil {
			return up, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("the engine is not running")
		case <-ticker.C:
		}
	}
}

func (g *gateway) dialNative(ctx context.Context) (*net.TCPConn, error) {
	up, err := g.await(ctx)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", up.native)
	if err != nil {
		return nil, fmt.Errorf("reach the engine: %w", err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("reach the engine: %T is no TCP connection", conn)
	}
	return tcp, nil
}

// databaseExists asks the engine. One dropped between this and the greeting costs
// a restart of the engine, no more.
func (g *gateway) databaseExists(ctx context.Context, name string) (bool, error) {
	up, err := g.await(ctx)
	if err != nil {
		return false, err
	}
	text, err := query(ctx, g.client, up.http, g.writer,
		"SELECT count() FROM system.databases WHERE name = {name:String}", url.Values{"param_name": {name}})
	if err != nil {
		return false, err
	}
	return text == "1", nil
}

// query asks the engine over HTTP and returns the trimmed answer.
func query(ctx context.Context, client *http.Client, addr string, user User, sql string, params url.Values) (string, error) {
	target := "http://" + addr + "/?" + params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(sql))
	if err != nil {
		return "", fmt.Errorf("ask the engine: %w", err)
	}
	req.Header.Set("X-ClickHouse-User", user.Name)
	req.Header.Set("X-ClickHouse-Key", user.Password)
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask the engine: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return "", fmt.Errorf("read the engine's answer: %w", err)
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask the engine: %s: %s", resp.Status, text)
	}
	return text, nil
}
