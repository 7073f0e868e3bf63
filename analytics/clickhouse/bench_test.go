package clickhouse

import (
	"fmt"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

// BenchmarkWriteOutcomes stores blocks of 50,000 new outcomes with look-up.
func BenchmarkWriteOutcomes(b *testing.B) {
	db := open(b)
	w := NewWriter(db, nil, nil)
	n, rows := 0, 50_000
	for b.Loop() {
		blk := &pipeline.Block{Topic: "t", First: int64(n), Last: int64(n + rows - 1)}
		for range rows {
			o := outcome(fmt.Sprintf("outcome-%d", n), "crm", epoch.Add(time.Duration(n)*time.Millisecond))
			blk.Outcomes = append(blk.Outcomes, storedAt(int64(n), o))
			n++
		}
		if err := w.Write(b.Context(), blk); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkWriteDecisions stores blocks of 10,000 new decisions with look-up.
func BenchmarkWriteDecisions(b *testing.B) {
	db := open(b)
	w := NewWriter(db, nil, nil)
	n, rows := 0, 10_000
	for b.Loop() {
		blk := &pipeline.Block{Topic: "t", First: int64(n), Last: int64(n + rows - 1)}
		for range rows {
			d := decision(fmt.Sprintf("decision-%d", n), epoch.Add(time.Duration(n)*time.Millisecond))
			blk.Decisions = append(blk.Decisions, pipeline.Stored[event.Decision]{Value: d, Offset: int64(n), Time: epoch})
			n++
		}
		if err := w.Write(b.Context(), blk); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
