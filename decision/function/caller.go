package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Caller calls functions. It is safe for concurrent use.
type Caller struct {
	cfg     Config
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	asker   *asker
	sandbox *sandbox
	cache   *cache

	mu      sync.Mutex
	units   map[string]*unit   // by account and function
	flights map[string]*flight // by what is asked
	closed  bool
	running sync.WaitGroup
	ctx     context.Context // ends when the caller is closed
	cancel  context.CancelFunc
}

// New makes a caller. Close it when nobody calls any more.
func New(cfg Config, deps Deps) (*Caller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	h, err := newHosts(cfg.PrivateHosts)
	if err != nil {
		return nil, err
	}
	c := &Caller{
		cfg: cfg, now: deps.Now, log: deps.Log, metrics: newMetrics(deps.Metrics),
		asker: newAsker(h, int64(cfg.MaxAnswer)), sandbox: newSandbox(cfg.Runtimes, cfg.MaxAnswer),
		cache: newCache(cfg.CacheBytes), units: map[string]*unit{}, flights: map[string]*flight{},
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Warm starts what the first call would wait for: a runtime takes about 10 ms, a
// good part of what a decision has. Call it once before the first call.
func (c *Caller) Warm() error { return c.sandbox.warm(warmRuntimes) }

// warmRuntimes are there from the start; the others come when they are needed.
const warmRuntimes = 2

// Close ends calls under way and waits for them; later ones are refused.
func (c *Caller) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	c.asker.close()
	c.sandbox.close()
	return nil
}

// Check tells every fault of a function that this installation would not run:
// an address that it does not reach, code that does not compile.
func (c *Caller) Check(account string, fn *Function) error {
	var check fault.Check
	if fn.HTTP != nil {
		if at, err := parseAddress(fn.HTTP.URL); err == nil {
			if err := c.asker.hosts.check(account, at); err != nil {
				check.Add("http.url", "%s", err)
			}
		}
	}
	if fn.JavaScript != nil && len(fn.JavaScript.Source) <= MaxSource {
		if _, err := compile(fn.JavaScript.Source); err != nil {
			check.Add("javascript.source", "%s", err)
		}
	}
	return check.Err("the function is not valid")
}

// Request is one call of CallAll.
type Request struct {
	Function  *Function
	Attribute string
	// Path takes a part of the result, see Select; empty takes the whole.
	Path      string
	Arguments map[string]any
}

// Result is what came of a request. Value is nil when there is none; it is
// shared, and must not be changed.
type Result struct {
	Value any
	Call  event.Call
}

// Call asks a function for the value of an attribute. It returns within the
// function's time-out and ctx, whichever ends first, and never an error: how it
// went is in the call. The value is nil when there is none, and the function's
// value on error when call.Fallback says so; it must not be changed.
func (c *Caller) Call(ctx context.Context, account string, fn *Function, attribute string, args map[string]any) (any, event.Call) {
	r := c.ask(ctx, account, Request{Function: fn, Attribute: attribute, Arguments: args}, true)
	return r.Value, r.Call
}

// Try calls a function past its cache and without its value on error.
func (c *Caller) Try(ctx context.Context, account string, fn *Function, args map[string]any) (any, event.Call) {
	own := *fn
	own.OnError, own.CacheTTL = nil, 0 // nobody would find its answer in the cache
	r := c.ask(ctx, account, Request{Function: &own, Arguments: args}, false)
	return r.Value, r.Call
}

// CallAll makes all calls at once and returns when the last one has ended; the
// results are in the order of the requests. Its bounds are those of Call. Who asks
// what is being asked already waits for that answer.
func (c *Caller) CallAll(ctx context.Context, account string, requests []Request) []Result {
	out := make([]Result, len(requests))
	if len(requests) == 1 {
		out[0] = c.ask(ctx, account, requests[0], true)
		return out
	}
	var calls sync.WaitGroup
	for i := range requests {
		calls.Go(func() { out[i] = c.ask(ctx, account, requests[i], true) })
	}
	calls.Wait()
	return out
}

// ask makes one call and describes it.
func (c *Caller) ask(ctx context.Context, account string, r Request, cached bool) Result {
	began := time.Now()
	a := c.find(ctx, account, &r, cached)
	out := Result{Call: event.Call{
		Function: r.Function.ID, Attribute: r.Attribute, Result: a.result, Latency: time.Since(began), Age: a.age,
	}}
	switch {
	case a.result != event.CallOK && a.result != event.CallCached:
		out.Call.Detail = clip(a.detail)
		out.Value, out.Call.Fallback = r.Function.OnError, r.Function.OnError != nil
	default:
		out.Value, _ = Select(a.value, r.Path)
	}
	c.metrics.count(r.Function, a.result, out.Call.Latency)
	return out
}

// answer is what came of a call, for one who waits for it.
type answer struct {
	value  any // nil for none
	result event.CallResult
	detail string // why it failed
	age    time.Duration
}

// find takes a cached answer, joins a call under way, or makes one.
func (c *Caller) find(ctx context.Context, account string, r *Request, cached bool) answer {
	fn := r.Function
	if ctx.Err() != nil {
		return answer{result: event.CallBudget, detail: "the decision had no time left"}
	}
	args, err := json.Marshal(r.Arguments) // sorted by key
	if err != nil {
		return answer{result: event.CallError, detail: "the arguments are no JSON"}
	}
	key := account + "/" + fn.ID + "/" + strconv.FormatInt(fn.Revision, 10) + "/" + string(args)
	if !cached {
		key = "once " + key
	}
	if cached && fn.CacheTTL > 0 {
		if v, age, ok := c.cache.get(key, c.now()); ok {
			return answer{value: v, result: event.CallCached, age: age}
		}
	}
	joined := time.Now()
	f, err := c.join(account, key, fn, r.Arguments)
	if err != nil {
		return answer{result: event.CallRefused, detail: err.Error()}
	}
	limit := time.NewTimer(fn.timeout())
	defer limit.Stop()
	select {
	case <-f.done:
		c.leave(f, joined, false)
		return landed(f, fn, cached)
	case <-limit.C:
		c.leave(f, joined, true)
		return answer{result: event.CallTimeout, detail: fmt.Sprintf("no answer within %v", fn.timeout())}
	case <-ctx.Done():
		// A caller who went away says nothing about the function; one whose time
		// is up waited for it in vain.
		c.leave(f, joined, errors.Is(ctx.Err(), context.DeadlineExceeded))
		return answer{result: event.CallTimeout, detail: "no answer before the decision's time was up"}
	}
}

// landed is the answer of a flight that is over. What a function threw is for those
// who try it: the records of decisions get its class alone.
func landed(f *flight, fn *Function, recorded bool) answer {
	switch {
	case f.err == nil || errors.Is(f.err, errNothing):
		return answer{value: f.value, result: event.CallOK}
	case errors.Is(f.err, errTooLong) || errors.Is(f.err, context.DeadlineExceeded):
		return answer{result: event.CallTimeout, detail: fmt.Sprintf("no answer within %v", fn.timeout())}
	case errors.Is(f.err, errBusy):
		return answer{result: event.CallRefused, detail: f.err.Error()}
	}
	if own, ok := errors.AsType[*thrown](f.err); ok && recorded {
		return answer{result: event.CallError, detail: own.class()}
	}
	return answer{result: event.CallError, detail: f.err.Error()}
}

// clip bounds what a record says about a failure.
func clip(text string) string {
	const most = 200
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	cut := most
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}
