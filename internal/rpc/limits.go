package rpc

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// limits bounds the calls at work in all and the rate of each token. It takes no
// lock on the way of a token that was seen before.
type limits struct {
	maxInFlight int64
	interval    int64 // ns that one call costs a token; 0 for no limit
	burst       int64 // ns that a token may be ahead
	inFlight    atomic.Int64
	tokens      sync.Map // token id -> *atomic.Int64, when its next call is due in ns
}

func newLimits(c Config) *limits {
	l := &limits{maxInFlight: int64(c.MaxInFlight)}
	if c.RatePerToken > 0 {
		l.interval = int64(float64(time.Second) / c.RatePerToken)
		l.burst = l.interval * int64(c.Burst)
	}
	return l
}

// enter admits one call of a token, or answers an Exhausted fault that says when
// to come back. Each nil must be followed by one leave.
func (l *limits) enter(token string, now time.Time) error {
	if n := l.inFlight.Add(1); n > l.maxInFlight {
		l.inFlight.Add(-1)
		return exhausted("BUSY", "too many calls at once", time.Second)
	}
	if wait := l.spend(token, now.UnixNano()); wait > 0 {
		l.inFlight.Add(-1)
		return exhausted("RATE_LIMITED", "the token calls too often", wait)
	}
	return nil
}

func (l *limits) leave() { l.inFlight.Add(-1) }

// spend takes one call from the token's budget by the generic cell rate
// algorithm, and returns how long to wait when it is used up.
func (l *limits) spend(token string, now int64) time.Duration {
	if l.interval == 0 {
		return 0
	}
	v, ok := l.tokens.Load(token)
	if !ok {
		v, _ = l.tokens.LoadOrStore(token, new(atomic.Int64))
	}
	due, _ := v.(*atomic.Int64)
	for {
		seen := due.Load()
		next := max(seen, now) + l.interval
		if ahead := next - now - l.burst; ahead > 0 {
			return time.Duration(ahead)
		}
		if due.CompareAndSwap(seen, next) {
			return 0
		}
	}
}

// retryAfter is the metadata key under which a fault says how many seconds to
// wait, as a decimal number.
const retryAfter = "retry_after_seconds"

func exhausted(reason, message string, wait time.Duration) error {
	e := fault.New(fault.Exhausted, reason, "%s", message)
	e.Metadata = map[string]string{retryAfter: strconv.FormatFloat(wait.Seconds(), 'f', 3, 64)}
	return e
}
