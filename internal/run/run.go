// Package run starts and stops the long-running parts of a process in a named
// order.
//
// Phases start upward, each after the one below it is ready, and stop downward,
// each drained before the one below it is told to stop. The first part that
// returns while the others are still meant to work ends them all, with its error.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Part is one blocking piece of work.
type Part struct {
	// Name tells the part from the others in logs and errors.
	Name string
	// Run works until ctx ends, cleans up and returns. Returning the context's
	// own error after ctx has ended counts as a clean stop.
	Run func(ctx context.Context) error
	// Ready, when not nil, closes once the part is of use to the phases above.
	Ready <-chan struct{}
}

// Phase is a set of parts that start together and stop together.
type Phase struct {
	Name  string
	Parts []Part
	// Drain is how long the parts may take to return once told to stop. Zero
	// means [DefaultDrain].
	Drain time.Duration
}

// DefaultDrain is the time a phase gets to stop when it names none.
const DefaultDrain = 10 * time.Second

// ErrDrain is in the chain of the error of a phase that did not stop in time.
var ErrDrain = errors.New("not stopped in time")

// Phases runs the phases until ctx ends or a part returns, then stops those that
// were started, from the last to the first. It returns nil when ctx ended and
// everything stopped cleanly, or when the part that returned first did so without
// an error. A part that outlives its drain time is named in an error that wraps
// [ErrDrain] and is left behind: the process is expected to exit.
func Phases(ctx context.Context, log *slog.Logger, phases ...Phase) error {
	g := &group{log: log, ended: make(chan *result, 1)}
	first := g.start(ctx, phases)
	errs := []error{first.cause()}
	for _, phase := range slices.Backward(g.started) {
		errs = append(errs, phase.stop(log, first)...)
	}
	return errors.Join(errs...)
}

// result is how one part ended.
type result struct {
	part string
	err  error
}

// group is one call of Phases.
type group struct {
	log     *slog.Logger
	ended   chan *result // the first part to end; one slot, later ones do not fit
	started []*active
}

// active is a phase that has been started.
type active struct {
	Phase
	cancel  context.CancelFunc
	results chan *result
}

// start brings the phases up one after the other and waits for the end: of ctx,
// or of any part. It returns the error that the process ends with.
func (g *group) start(ctx context.Context, phases []Phase) *result {
	for _, p := range phases {
		a := g.launch(ctx, p)
		for _, part := range p.Parts {
			if part.Ready == nil {
				continue
			}
			select {
			case <-part.Ready:
			case <-ctx.Done():
				return nil
			case r := <-g.ended:
				return r
			}
		}
		g.log.Debug("phase is up", "phase", a.Name)
	}
	select {
	case <-ctx.Done():
		return nil
	case r := <-g.ended:
		return r
	}
}

// launch starts a phase's parts. Their context keeps the values of ctx but not
// its end: they stop when it is their phase's turn.
func (g *group) launch(ctx context.Context, p Phase) *active {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &active{Phase: p, cancel: cancel, results: make(chan *result, len(p.Parts))}
	g.started = append(g.started, a)
	for _, part := range p.Parts {
		go func() {
			r := &result{part: part.Name, err: part.Run(inner)}
			if inner.Err() != nil && errors.Is(r.err, inner.Err()) {
				r.err = nil
			}
			select {
			case g.ended <- r:
			default:
			}
			a.results <- r
		}()
	}
	return a
}

// stop ends the phase and collects the errors of its parts, but for the one of
// first, which the caller has already.
func (a *active) stop(log *slog.Logger, first *result) []error {
	began := time.Now()
	a.cancel()
	limit := a.Drain
	if limit == 0 {
		limit = DefaultDrain
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	running := make(map[string]int, len(a.Parts))
	for _, p := range a.Parts {
		running[p.Name]++
	}
	var errs []error
	for range a.Parts {
		select {
		case r := <-a.results:
			if running[r.part]--; running[r.part] == 0 {
				delete(running, r.part)
			}
			if r != first && r.err != nil {
				errs = append(errs, r.cause())
			}
		case <-deadline.C:
			return append(errs, fmt.Errorf("stop phase %q: %s: %w", a.Name, names(a.Parts, running), ErrDrain))
		}
	}
	log.Debug("phase is down", "phase", a.Name, "took", time.Since(began))
	return errs
}

// names lists the parts that still run, in their own order.
func names(parts []Part, running map[string]int) string {
	var left []string
	for _, p := range parts {
		if running[p.Name] > 0 {
			left = append(left, p.Name)
		}
	}
	return strings.Join(left, ", ")
}

// cause names the part in its error, nil when it has none.
func (r *result) cause() error {
	if r == nil || r.err == nil {
		return nil
	}
	return fmt.Errorf("run %s: %w", r.part, r.err)
}
