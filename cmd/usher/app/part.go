package app

import (
	"context"
	"fmt"

	"github.com/usherhq/usher/internal/run"
)

// setup makes a part that opens something, keeps it for the phases above, and
// closes it when its turn comes. What open returns may be nil.
func setup(name string, open func(ctx context.Context) (closeIt func() error, err error)) run.Part {
	ready := make(chan struct{})
	return run.Part{Name: name, Ready: ready, Run: func(ctx context.Context) error {
		closeIt, err := open(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		close(ready)
		<-ctx.Done()
		if closeIt == nil {
			return nil
		}
		return closeIt()
	}}
}

// worker is a long-running part that could only be made once the phases before
// it were up. ready may be nil; closeIt, which may be nil too, runs after it.
type worker struct {
	run     func(context.Context) error
	ready   <-chan struct{}
	closeIt func() error
}

// late makes a part that makes a worker, runs it, and is up when the worker is.
func late(name string, prepare func(ctx context.Context) (worker, error)) run.Part {
	up := make(chan struct{})
	return run.Part{Name: name, Ready: up, Run: func(ctx context.Context) (err error) {
		w, err := prepare(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if w.closeIt != nil {
			defer func() {
				if e := w.closeIt(); e != nil && err == nil {
					err = fmt.Errorf("%s: %w", name, e)
				}
			}()
		}
		done := make(chan error, 1)
		go func() { done <- w.run(ctx) }()
		if w.ready != nil {
			select {
			case <-w.ready:
			case err := <-done:
				return err
			}
		}
		close(up)
		return <-done
	}}
}
