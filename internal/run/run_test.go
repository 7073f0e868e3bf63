package run_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/internal/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary notes what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// part works until told to stop, takes pause to become ready and to clean up.
func (d *diary) part(name string, pause time.Duration) run.Part {
	ready := make(chan struct{})
	return run.Part{Name: name, Ready: ready, Run: func(ctx context.Context) error {
		time.Sleep(pause)
		d.note("up " + name)
		close(ready)
		<-ctx.Done()
		time.Sleep(pause)
		d.note("down " + name)
		return ctx.Err()
	}}
}

func TestStartsUpwardStopsDownward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := run.Phases(ctx, slog.New(slog.DiscardHandler),
			run.Phase{Name: "engines", Parts: []run.Part{d.part("broker", 2*time.Second), d.part("warehouse", 3*time.Second)}},
			run.Phase{Name: "consumers", Parts: []run.Part{d.part("ingest", time.Second)}},
			run.Phase{Name: "doors", Parts: []run.Part{d.part("rpc", time.Second)}},
		)
		if err != nil {
			t.Fatalf("Phases = %v, want a clean stop", err)
		}
		want := []string{"up broker", "up warehouse", "up ingest", "up rpc", "down rpc", "down ingest", "down broker", "down warehouse"}
		if !slices.Equal(d.lines, want) {
			t.Errorf("order = %q, want %q", d.lines, want)
		}
	})
}

func TestFirstPartToReturnEndsAll(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, end := range map[string]error{"with an error": broken, "without one": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				quits := run.Part{Name: "quits", Run: func(context.Context) error {
					time.Sleep(5 * time.Second)
					return end
				}}
				err := run.Phases(t.Context(), slog.New(slog.DiscardHandler),
					run.Phase{Name: "low", Parts: []run.Part{d.part("base", time.Second)}},
					run.Phase{Name: "high", Parts: []run.Part{d.part("door", time.Second), quits}},
				)
				if !errors.Is(err, end) || (end == nil) != (err == nil) {
					t.Fatalf("Phases = %v, want %v", err, end)
				}
				if end != nil && strings.Count(err.Error(), "disk on fire") != 1 {
					t.Errorf("the cause is told more than once: %v", err)
				}
				if got, want := strings.Join(d.lines, ","), "up base,up door,down door,down base"; got != want {
					t.Errorf("order = %s, want %s", got, want)
				}
			})
		})
	}
}

func TestPartThatFailsBeforeReadyStopsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		never := make(chan struct{})
		fails := run.Part{Name: "port", Ready: never, Run: func(context.Context) error { return errors.New("port taken") }}
		err := run.Phases(t.Context(), slog.New(slog.DiscardHandler),
			run.Phase{Name: "low", Parts: []run.Part{d.part("base", 0)}},
			run.Phase{Name: "middle", Parts: []run.Part{fails}},
			run.Phase{Name: "high", Parts: []run.Part{d.part("door", 0)}},
		)
		if err == nil || !strings.Contains(err.Error(), "run port: port taken") {
			t.Fatalf("Phases = %v, want the part's error", err)
		}
		if slices.Contains(d.lines, "up door") {
			t.Error("the phase above a failed one was started")
		}
	})
}

func TestEndWhileWaitingForReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		slow := run.Part{Name: "slow", Ready: make(chan struct{}), Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}
		if err := run.Phases(ctx, slog.New(slog.DiscardHandler), run.Phase{Name: "one", Parts: []run.Part{slow}}); err != nil {
			t.Fatalf("Phases = %v, want nil", err)
		}
	})
}

func TestLatePartsAreNamedAndTheRestStillStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		release := make(chan struct{})
		stuck := run.Part{Name: "stuck", Run: func(context.Context) error { <-release; return nil }}
		failing := run.Part{Name: "failing", Run: func(ctx context.Context) error { <-ctx.Done(); return errors.New("flush refused") }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := run.Phases(ctx, slog.New(slog.DiscardHandler),
			run.Phase{Name: "low", Parts: []run.Part{d.part("base", 0)}},
			run.Phase{Name: "high", Drain: 3 * time.Second, Parts: []run.Part{stuck, failing}},
		)
		if !errors.Is(err, run.ErrDrain) || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("Phases = %v, want the stuck part named", err)
		}
		if !strings.Contains(err.Error(), "flush refused") {
			t.Errorf("Phases = %v, want the failing part's error too", err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v, want the second of work and the drain time", took)
		}
		if got := strings.Join(d.lines, ","); got != "up base,down base" {
			t.Errorf("order = %s: the phase below did not stop", got)
		}
		close(release)
	})
}
