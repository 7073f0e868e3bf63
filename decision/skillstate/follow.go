package skillstate

import (
	"context"
	"sync"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Ready is closed once the past of the log is read, or Config.Patience has passed:
// a log that is away must not keep a process from answering.
func (s *States) Ready() <-chan struct{} { return s.ready }

// Run follows the log until ctx ends and then returns nil. A log that is away is
// tried again for ever; what is known stays known meanwhile, and ages. Call it once.
func (s *States) Run(ctx context.Context) error {
	var once sync.Once
	caughtUp := func() { once.Do(func() { close(s.ready) }) }
	if s.deps.Log == nil {
		caughtUp()
		<-ctx.Done()
		return nil
	}
	patience := time.AfterFunc(s.cfg.Patience, caughtUp)
	defer patience.Stop()
	for {
		err := s.deps.Log.Follow(ctx, s.deps.Now().Add(-s.cfg.History), caughtUp, s.receive)
		if ctx.Err() != nil {
			return nil
		}
		s.deps.Logger.WarnContext(ctx, "reports of live state cannot be followed, trying again", "error", err)
		pause := time.NewTimer(s.cfg.Retry)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// receive takes in one message. What cannot be read is the ingest's to put aside;
// here it is only counted.
func (s *States) receive(m event.Message) error {
	r, err := event.DecodeSkill(&m)
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		s.reports.WithLabelValues("unreadable").Inc()
		return nil //nolint:nilerr // the next message may be sound
	}
	s.take(r.Account, []*event.SkillState{r})
	return nil
}
