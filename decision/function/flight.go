package function

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// unit is one revision of one function, with what it needs to be called.
type unit struct {
	revision int64
	slots    chan struct{} // one token per call at the same time
	circuit  *gobreaker.TwoStepCircuitBreaker[struct{}]
	stuck    atomic.Bool // a call of it cannot be ended
	address  *address
	code     func() ([]byte, error)
}

// errBusy is a call that the sandbox had no room for: that is not the function's
// fault.
var errBusy = errors.New("all JavaScript runtimes are at work")

// flight is one call under way, for all who ask the same at the same time. It is
// ended when its time is up or nobody waits any more.
type flight struct {
	key     string
	cancel  context.CancelFunc
	waiters int           // under Caller.mu
	done    chan struct{} // closes when value and err are there
	value   any
	err     error
}

// maxUnits bounds the functions that are kept ready. One that is put out loses
// no more than its circuit and its compiled code.
const maxUnits = 10_000

// unit finds what a function needs, made anew for a new revision.
func (c *Caller) unit(account string, fn *Function) *unit {
	key := account + "/" + fn.ID
	c.mu.Lock()
	defer c.mu.Unlock()
	if u, ok := c.units[key]; ok && u.revision == fn.Revision {
		return u
	}
	if len(c.units) >= maxUnits {
		for other := range c.units {
			delete(c.units, other)
			break
		}
	}
	u := &unit{revision: fn.Revision, slots: make(chan struct{}, fn.concurrency())}
	u.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: key, MaxRequests: 1, Timeout: c.cfg.OpenFor,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= uint32(c.cfg.Failures) }, //nolint:gosec // small
		IsSuccessful: func(err error) bool { return err == nil },
		IsExcluded:   func(err error) bool { return errors.Is(err, errAway) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				c.metrics.open.Inc()
				c.log.Warn("a function keeps failing and is left alone for a while", "account", account, "function", fn.ID, "open_for", c.cfg.OpenFor)
			}
		},
	})
	if fn.HTTP != nil {
		u.address, _ = parseAddress(fn.HTTP.URL) // nil is refused when it is called
	}
	if fn.JavaScript != nil {
		source := fn.JavaScript.Source
		u.code = sync.OnceValues(func() ([]byte, error) { return compile(source) })
	}
	c.units[key] = u
	return u
}

// errAway ends a call for reasons that say nothing about the function.
var errAway = errors.New("nobody waits")

// join waits on the call under way with this key, or starts one. The error says
// why none may be started.
func (c *Caller) join(account, key string, fn *Function, args map[string]any) (*flight, error) {
	u := c.unit(account, fn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.New("functions are not called any more")
	}
	if f, ok := c.flights[key]; ok {
		f.waiters++
		return f, nil
	}
	if u.stuck.Load() {
		return nil, errors.New("a call of it could not be ended; change the function")
	}
	select {
	case u.slots <- struct{}{}:
	default:
		return nil, fmt.Errorf("%d calls of it are under way", cap(u.slots))
	}
	report, err := u.circuit.Allow()
	if err != nil {
		<-u.slots
		return nil, errors.New("it kept failing and is left alone for a while")
	}
	ctx, cancel := context.WithTimeout(c.ctx, fn.timeout())
	f := &flight{key: key, cancel: cancel, waiters: 1, done: make(chan struct{})}
	c.flights[key] = f
	c.running.Add(1)
	go c.fly(ctx, f, u, job{account: account, fn: fn, args: args, report: report, release: func() { <-u.slots }})
	return f, nil
}

// job is what a flight does, and whom it tells.
type job struct {
	account string
	fn      *Function
	args    map[string]any
	report  func(error) // to the circuit
	release func()      // of the function's slot
}

// leave gives up waiting. The last one to leave ends the call.
func (c *Caller) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		f.cancel()
		if c.flights[f.key] == f {
			delete(c.flights, f.key)
		}
	}
}

// grace is how long after its end a call may go on before it counts as stuck.
const grace = 2 * time.Second

// fly makes the call and leaves its answer in the flight.
func (c *Caller) fly(ctx context.Context, f *flight, u *unit, j job) {
	ended := sync.OnceFunc(c.running.Done)
	defer ended()
	// Code that cannot be ended would hold up Close, and come again with the
	// next decision: its function is refused from now on.
	watch := time.AfterFunc(j.fn.timeout()+grace, func() {
		u.stuck.Store(true)
		c.metrics.stuck.Inc()
		c.log.Error("a function cannot be ended and is refused until it changes", "account", j.account, "function", j.fn.ID, "revision", j.fn.Revision)
		ended()
	})
	defer watch.Stop()
	began := time.Now()
	f.value, f.err = c.make(ctx, u, &j)
	j.release()
	j.report(c.blame(ctx, j.fn, f.err, time.Since(began)))
	if (f.err == nil || errors.Is(f.err, errNothing)) && j.fn.CacheTTL > 0 {
		c.cache.put(f.key, f.value, c.now(), j.fn.CacheTTL)
	}
	c.mu.Lock()
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
	c.mu.Unlock()
	close(f.done)
	f.cancel()
}

// make is the call itself.
func (c *Caller) make(ctx context.Context, u *unit, j *job) (any, error) {
	switch {
	case u.address != nil:
		return c.asker.ask(ctx, j.account, j.fn.HTTP, u.address, j.args)
	case u.code != nil:
		code, err := u.code()
		if err != nil {
			return nil, err
		}
		return c.sandbox.run(ctx, code, j.args)
	}
	return nil, errors.New("its address or code is not valid")
}

// blame is what the circuit is told. A call that was given up early says nothing
// about the function, and one that found nothing went well.
func (c *Caller) blame(ctx context.Context, fn *Function, err error, took time.Duration) error {
	switch {
	case err == nil || errors.Is(err, errNothing):
		return nil
	case errors.Is(err, errBusy) || errors.As(err, new(*argumentError)) || errors.Is(ctx.Err(), context.Canceled) && took < fn.timeout()/2:
		return errAway
	}
	return err
}
