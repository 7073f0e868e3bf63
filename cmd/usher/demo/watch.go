package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// watcher follows the account's models: how many there are, which one is live,
// and how long after the newest outcome in it a model first answered. It is safe
// for concurrent use.
type watcher struct {
	control usherv1.ControlServiceClient
	account string

	mu       sync.Mutex
	models   map[string]time.Time // version -> newest outcome trained through
	live     string
	answered map[string]time.Time // version -> its first answer
}

func newWatcher(c usherv1.ControlServiceClient, account string) *watcher {
	return &watcher{control: c, account: account, models: map[string]time.Time{}, answered: map[string]time.Time{}}
}

// run polls until ctx ends, and once more after that.
func (w *watcher) run(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return w.poll(last)
		case <-tick.C:
			if err := w.poll(ctx); err != nil && status.Code(err) != codes.Canceled {
				return err
			}
		}
	}
}

func (w *watcher) poll(ctx context.Context) error {
	page := ""
	for {
		answer, err := w.control.ListModels(ctx, &usherv1.ListModelsRequest{Parent: "accounts/" + w.account, PageSize: 1000, PageToken: page})
		if err != nil {
			return err
		}
		w.mu.Lock()
		for _, m := range answer.GetModels() {
			fields := m.GetCard().GetFields()
			version := fields["version"].GetStringValue()
			w.models[version], _ = time.Parse(time.RFC3339, fields["watermark"].GetStringValue())
			if m.GetState() == "CHAMPION" {
				w.live = version
			}
		}
		w.mu.Unlock()
		if page = answer.GetNextPageToken(); page == "" {
			return nil
		}
	}
}

// saw notes that a model answered now.
func (w *watcher) saw(version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.answered[version]; version != "" && !known {
		w.answered[version] = time.Now()
	}
}

func (w *watcher) champion() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live
}

func (w *watcher) refits() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.models)
}

// rewardToModel is the median time from the newest outcome in a model to that
// model's first answer, 0 without any.
func (w *watcher) rewardToModel() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var waits []time.Duration
	for version, first := range w.answered {
		if newest := w.models[version]; !newest.IsZero() {
			waits = append(waits, first.Sub(newest))
		}
	}
	if len(waits) == 0 {
		return 0
	}
	slices.Sort(waits)
	return waits[len(waits)/2]
}
