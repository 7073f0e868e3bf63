package trainer

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/usherhq/usher/internal/telemetry"
)

// TestMetricsFollowTheAccounts: every series appears with an account's first fit
// and goes with the account.
func TestMetricsFollowTheAccounts(t *testing.T) {
	reg := telemetry.Registry("test")
	series := func() map[string]float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]float64{}
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "usher_trainer_") {
				continue
			}
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return out
	}
	d := newDesk("acme")
	tr, err := New(settings(), Deps{
		Directory: d, Rows: d, Store: d, Promoter: d, Now: d.clock, Metrics: NewMetrics(reg),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.arriveAll("acme", d.decide(seeded(13), "acme", 300))
	tr.step(t.Context())
	got := series()
	for name, want := range map[string]float64{
		"usher_trainer_refits_total acme promoted": 1, "usher_trainer_learned_rows_total acme": 300,
		"usher_trainer_rows acme": 300, "usher_trainer_waiting_rows acme": 0, "usher_trainer_refit_seconds acme full": 1,
		"usher_trainer_watermark_timestamp_seconds acme": float64(d.watermark["acme"].UnixMilli()) / 1000,
		"usher_trainer_maturity_ratio acme":              1, "usher_trainer_drift_alarms acme": 0,
		"usher_trainer_staleness_seconds acme": d.clock().Sub(d.watermark["acme"]).Seconds(),
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if got["usher_trainer_held_out_loss acme model"] >= got["usher_trainer_held_out_loss acme constant"] {
		t.Errorf("losses %v", got)
	}
	d.accounts = nil
	if tr.step(t.Context()); len(series()) != 0 {
		t.Errorf("series of an account that is gone: %v", slices.Sorted(maps.Keys(series())))
	}
}
