package clickhouse

import (
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

func TestTrainingProgress(t *testing.T) {
	db := open(t)
	if p, err := db.TrainingProgress(t.Context(), "acme", time.Time{}); err != nil || p.Outcomes != 0 || !p.KnownAt.IsZero() {
		t.Fatalf("before anything came: %+v, %v", p, err)
	}
	write(t, NewWriter(db, nil, nil), &pipeline.Block{
		Topic: "t",
		Outcomes: []pipeline.Stored[event.Outcome]{
			storedAt(0, outcome("o1", "crm", epoch.Add(time.Minute))),
			storedAt(1, outcome("o2", "crm", epoch.Add(time.Hour))),
		},
	})
	p, err := db.TrainingProgress(t.Context(), "acme", time.Time{})
	if age := time.Since(p.KnownAt); err != nil || p.Outcomes != 2 || age < 0 || age > time.Minute {
		t.Errorf("progress %+v, %v", p, err)
	}
	if p, err := db.TrainingProgress(t.Context(), "acme", epoch.Add(2*time.Minute)); err != nil || p.Outcomes != 1 {
		t.Errorf("since the first: %+v, %v", p, err)
	}
	if p, err := db.TrainingProgress(t.Context(), "nobody", time.Time{}); err != nil || p.Outcomes != 0 {
		t.Errorf("of nobody: %+v, %v", p, err)
	}
}
