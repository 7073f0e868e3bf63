package trainer

import "context"

// Look checks all accounts once and returns when the fits that it started are done:
// for callers with a clock of their own, in place of Run and never beside it.
func (t *Trainer) Look(ctx context.Context) { t.step(ctx) }
