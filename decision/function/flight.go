package function

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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

// flight is one call under way, for all who ask the same at the same time. It
// ends when its time is up, and earlier when nobody waits any more. One whose
// answer will be kept does not end with the decisions that waited for it: a
// service slower than a decision's budget would never get into the cache.
type flight struct {
	key    string
	unit   *unit
	cancel context.CancelFunc
	report func(error) // to the circuit, once
	fair   time.Duration
	remote bool // a service is asked
	kept   bool // its answer goes into the cache, and waiting for it costs no work

	waiters int       // under Caller.mu
	judged  bool      // under Caller.mu: the circuit was told of it
	late    time.Time // under Caller.mu: when the last decision gave up on it

	done  chan struct{} // closes when value and err are there
	value any
	err   error
}

// fairWait is the least that a decision must have waited for its end to say
// something about the function rather than about what came before.
const fairWait = 5 * time.Millisecond

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

// errLate is a call that took all the time that there was for it.
var errLate = errors.New("a decision's time was up")

// join waits on the call under way with this key, or starts one. The error says
// why none may be started.
func (c *Caller) join(account, key string, fn *Function, args map[string]any) (*flight, error) {
	u := c.unit(account, fn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.New("functions are not called any more")
	}
	// With an open circuit a call under way is one that others gave up on.
	if f, ok := c.flights[key]; ok && u.circuit.State() != gobreaker.StateOpen {
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
	f := &flight{
		key: key, unit: u, cancel: cancel, report: report, fair: min(fairWait, fn.timeout()/2),
		remote: fn.HTTP != nil, kept: fn.HTTP != nil && fn.CacheTTL > 0, waiters: 1, done: make(chan struct{}),
	}
	c.flights[key] = f
	c.running.Add(1)
	go c.fly(ctx, f, job{account: account, fn: fn, args: args})
	return f, nil
}

// job is what a flight does.
type job struct {
	account string
	fn      *Function
	args    map[string]any
}

// leave ends the waiting of one who joined then. Late is whether there was no time
// left to wait: that is held against the function, once for all who waited at the
// same time. The last one to leave ends the call, unless its answer will be kept.
func (c *Caller) leave(f *flight, joined time.Time, late bool) {
	c.mu.Lock()
	f.waiters--
	flying := c.flights[f.key] == f
	held := late && flying && !joined.Before(f.late) && time.Since(joined) >= f.fair
	if held {
		f.late = time.Now()
	}
	// Code may have waited for a runtime that other code held, which only the call
	// knows when it ends. A service is judged now: its call may go on for long.
	held = held && f.remote
	first := held && !f.judged
	f.judged = f.judged || held
	if f.waiters == 0 && (!late || !f.kept) {
		f.cancel()
		if flying {
			delete(c.flights, f.key)
		}
	}
	c.mu.Unlock()
	if first {
		f.report(errLate)
	} else if held {
		if report, err := f.unit.circuit.Allow(); err == nil {
			report(errLate)
		}
	}
}

// grace is how long after its end a call may go on before it counts as stuck.
const grace = 2 * time.Second

// fly makes the call and leaves its answer in the flight.
func (c *Caller) fly(ctx context.Context, f *flight, j job) {
	ended := sync.OnceFunc(c.running.Done)
	defer ended()
	// Code that cannot be ended would hold up Close, and come again with the
	// next decision: its function is refused from now on.
	watch := time.AfterFunc(j.fn.timeout()+grace, func() {
		f.unit.stuck.Store(true)
		c.metrics.stuck.Inc()
		c.log.Error("a function cannot be ended and is refused until it changes", "account", j.account, "function", j.fn.ID, "revision", j.fn.Revision)
		ended()
	})
	defer watch.Stop()
	f.value, f.err = c.make(ctx, f.unit, &j)
	<-f.unit.slots
	if (f.err == nil || errors.Is(f.err, errNothing)) && j.fn.CacheTTL > 0 {
		c.cache.put(f.key, f.value, c.now(), j.fn.CacheTTL)
	}
	c.mu.Lock()
	judged, late := f.judged, !f.late.IsZero()
	f.judged = true
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
	c.mu.Unlock()
	if !judged {
		f.report(blame(ctx, f.err, late))
	}
	close(f.done)
	f.cancel()
}

// make is the call itself. A panic in it must not end the process with all its
// decisions: it is an error of this call.
func (c *Caller) make(ctx context.Context, u *unit, j *job) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a function call panicked", "account", j.account, "function", j.fn.ID, "revision", j.fn.Revision,
				"panic", clip(fmt.Sprint(p)), "stack", string(debug.Stack()))
			value, err = nil, errPanic
		}
	}()
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

// errPanic is a call that broke Usher's own code.
var errPanic = errors.New("broke off by a fault of Usher, which its log tells of")

// blame is what the circuit is told of a call that is over; late is whether somebody
// gave up on it for lack of time. One that was ended because its callers went away
// says nothing about the function. One that found nothing went well, and so did one that was answered with 4xx or
// an exception: that is about the arguments, and others have different ones.
func blame(ctx context.Context, err error, late bool) error {
	status, answered := errors.AsType[*statusError](err)
	switch {
	case err == nil || errors.Is(err, errNothing) || errors.As(err, new(*thrown)):
		return nil
	case answered && status.code >= 400 && status.code < 500:
		return nil
	case errors.Is(err, errBusy) || errors.As(err, new(*argumentError)) || !late && errors.Is(ctx.Err(), context.Canceled):
		return errAway
	}
	return err
}
