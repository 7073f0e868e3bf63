package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Deps are what a Server needs from its surroundings. A nil Registerer registers
// nothing; a nil Log discards.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Server keeps one engine running. Make it with [New]; all methods are safe for
// concurrent use.
type Server struct {
	cfg     Config
	library string
	writer  User
	reader  User
	log     *slog.Logger
	metrics *metrics
	client  *http.Client
	ready   chan struct{}
	gateway *gateway
	pid     atomic.Int64
	deaths  atomic.Int64
}

// New checks the configuration, finds the library, prepares the data folder and
// takes both addresses. It starts nothing; connections wait for Run. A port that is
// taken is reported here, with the way to change it.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure the embedded ClickHouse engine: %w", err)
	}
	library, err := Locate(cfg.LibraryPath)
	if err != nil {
		return nil, err
	}
	if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
		return nil, fmt.Errorf("resolve the engine's data folder: %w", err)
	}
	if cfg.Executable == "" {
		if cfg.Executable, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find the running program: %w", err)
		}
	}
	if cfg.ChildArgs == nil {
		cfg.ChildArgs = DefaultConfig().ChildArgs
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, library: library, log: deps.Log, ready: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(deps.Registerer)
	return s, nil
}

// prepare writes passwords and configuration files, and takes the addresses.
func (s *Server) prepare() error {
	dir := s.cfg.DataDir
	if err := os.MkdirAll(filepath.Join(dir, "store"), 0o700); err != nil {
		return fmt.Errorf("make the engine's data folder: %w", err)
	}
	for name, user := range map[string]*User{UserWriter: &s.writer, UserReader: &s.reader} {
		secret, err := password(filepath.Join(dir, name+".password"))
		if err != nil {
			return fmt.Errorf("prepare the engine's user %q: %w", name, err)
		}
		*user = User{Name: name, Password: secret}
	}
	if err := writeFile(filepath.Join(dir, "users.xml"), usersXML(s.writer, s.reader)); err != nil {
		return fmt.Errorf("write the engine's users: %w", err)
	}
	if err := writeFile(filepath.Join(dir, "config.xml"), configXML(dir, s.cfg.MemoryRatio)); err != nil {
		return fmt.Errorf("write the engine's configuration: %w", err)
	}
	return s.listen()
}

// listen takes both addresses, and keeps them: a port that was given back could
// be somebody else's when Run wants it.
func (s *Server) listen() error {
	var lc net.ListenConfig
	native, err := lc.Listen(context.Background(), "tcp", s.cfg.NativeAddr)
	if err != nil {
		return fmt.Errorf("reserve an address for ClickHouse (choose another with --clickhouse-addr): %w", err)
	}
	web, err := lc.Listen(context.Background(), "tcp", s.cfg.HTTPAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("reserve an address for ClickHouse (choose another with --clickhouse-http-addr): %w", err), native.Close())
	}
	s.cfg.NativeAddr, s.cfg.HTTPAddr = native.Addr().String(), web.Addr().String()
	s.gateway = newGateway(native, web, map[string]User{
		UserWriter: s.writer, UserReader: s.reader, UserDefault: {Name: UserDefault},
	})
	return nil
}

// The private ports lie below those that systems give to outgoing connections,
// so that none of them takes a port between our choice and the engine's listen.
const privateFirst, privateCount = 20_000, 12_000

// privateAddrs picks two addresses that nobody listens on.
func privateAddrs() (*upstream, error) {
	var lc net.ListenConfig
	var free []string
	var last error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", privateFirst+rand.IntN(privateCount))
		l, err := lc.Listen(context.Background(), "tcp", addr)
		if err != nil {
			last = err
			continue
		}
		defer l.Close() // held until both are known, so they differ
		if free = append(free, addr); len(free) == 2 {
			return &upstream{native: free[0], http: free[1]}, nil
		}
	}
	return nil, fmt.Errorf("find private ports for the engine: %w", last)
}

// NativeAddr is the host:port of the native protocol; it never changes.
func (s *Server) NativeAddr() string { return s.cfg.NativeAddr }

// HTTPAddr is the host:port of HTTP; it never changes.
func (s *Server) HTTPAddr() string { return s.cfg.HTTPAddr }

// Writer is the login that may do everything in the database usher.
func (s *Server) Writer() User { return s.writer }

// Reader is the login for Grafana and people: it reads and nothing else.
func (s *Server) Reader() User { return s.reader }

// Ready is closed when the engine has answered its first query.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Deaths counts engines that died or hung and were started again.
func (s *Server) Deaths() int64 { return s.deaths.Load() }

// PID is the running child's process id, 0 when there is none.
func (s *Server) PID() int { return int(s.pid.Load()) }

// Run keeps the engine running until ctx ends, then stops it cleanly and returns
// nil. An engine that dies is started again on the same addresses, after a pause
// that doubles up to MaxBackoff. Run returns an error only when the very first
// start fails, or when the stop needed force. Call it once.
func (s *Server) Run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	doors := make(chan error, 1)
	engine, stop := context.WithCancel(ctx)
	defer stop()
	open, closeDoors := context.WithCancel(ctx)
	defer closeDoors()
	go func() {
		doors <- s.gateway.run(open)
		stop() // an engine that nobody can reach is of no use
	}()
	err := s.supervise(engine)
	closeDoors()
	return errors.Join(err, <-doors)
}

// supervise runs one engine after the other until ctx ends.
func (s *Server) supervise(ctx context.Context) error {
	backoff := 100 * time.Millisecond
	for started := false; ; {
		begun := time.Now()
		reached, err := s.runOnce(ctx)
		if ctx.Err() != nil {
			return err
		}
		if !started && !reached {
			return err
		}
		started = true
		if time.Since(begun) > time.Minute {
			backoff = 100 * time.Millisecond
		}
		s.deaths.Add(1)
		s.metrics.restarts.Inc()
		s.log.ErrorContext(ctx, "the ClickHouse engine died and is started again", "error", err, "pause", backoff)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, s.cfg.MaxBackoff)
	}
}

// runOnce runs one child until it ends or ctx does. It tells whether the engine
// became ready and, unless ctx ended cleanly, why the child is gone.
func (s *Server) runOnce(ctx context.Context) (reached bool, err error) {
	private, err := privateAddrs()
	if err != nil {
		return false, err
	}
	p, err := spawn(s.cfg.Executable, s.cfg.ChildArgs, childFlags{
		library: s.library, dataDir: s.cfg.DataDir, native: private.native, http: private.http, grace: s.cfg.StopTimeout,
	})
	if err != nil {
		return false, err
	}
	s.pid.Store(int64(p.cmd.Process.Pid))
	defer s.pid.Store(0)
	if err := s.awaitReady(ctx, p, private); err != nil {
		if ctx.Err() != nil {
			return false, p.stop(s.cfg.StopTimeout)
		}
		p.kill()
		return false, fmt.Errorf("start the ClickHouse engine: %w; it printed: %s", err, p.tail())
	}
	s.gateway.upstream.Store(private)
	defer s.gateway.upstream.Store(nil)
	s.announce(ctx)
	defer s.metrics.up.Set(0)
	return true, s.watch(ctx, p, private)
}

// announce marks the engine as ready; only the first time closes the channel.
func (s *Server) announce(ctx context.Context) {
	s.metrics.starts.Inc()
	s.metrics.up.Set(1)
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
	s.log.InfoContext(ctx, "ClickHouse engine ready", "native", s.cfg.NativeAddr, "http", s.cfg.HTTPAddr, "pid", s.PID())
}

// awaitReady polls until the engine answers a query on HTTP and takes native
// connections.
func (s *Server) awaitReady(ctx context.Context, p *process, at *upstream) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	last := errors.New("it never answered")
	for {
		select {
		case <-p.done:
			return fmt.Errorf("it ended before it was ready: %w", errors.Join(p.err, last))
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w", last)
		case <-ticker.C:
		}
		if last = s.check(ctx, at, probe); last == nil {
			return nil
		}
	}
}

// check makes one attempt to reach both listeners, within two seconds.
func (s *Server) check(ctx context.Context, at *upstream, ask func(context.Context, *http.Client, string, User) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := ask(ctx, s.client, at.http, s.writer); err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", at.native)
	if err != nil {
		return fmt.Errorf("reach the native listener: %w", err)
	}
	return conn.Close()
}

// watch waits for the end of ctx or of the child, and kills a child whose
// listeners stay silent.
func (s *Server) watch(ctx context.Context, p *process, at *upstream) error {
	ticker := time.NewTicker(s.cfg.ProbeInterval)
	defer ticker.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return p.stop(s.cfg.StopTimeout)
		case <-p.done:
			return fmt.Errorf("it ended: %w; it printed: %s", p.err, p.tail())
		case <-ticker.C:
		}
		err := s.check(ctx, at, ping)
		if err == nil || ctx.Err() != nil {
			failures = 0
			s.metrics.up.Set(1)
			continue
		}
		failures++
		s.metrics.up.Set(0)
		if failures >= s.cfg.ProbeFailures {
			p.kill()
			return fmt.Errorf("it did not answer %d times in a row: %w", failures, err)
		}
	}
}
