package main

import "math"

// estimates asks what others would have been worth, over the REST door, and checks
// the answers against what was done and against each other.
func (s *site) estimates(version string) {
	s.t.Helper()
	type estimate struct {
		Rows      int64 `json:"rows,string"`
		Default   string
		Trusted   bool
		Warnings  []string
		Estimates map[string]struct {
			Value        *float64
			Lower, Upper float64
		}
	}
	ask := func(in map[string]any) (out struct {
		Estimate    estimate
		LoggedValue float64 `json:"logged_value"`
		Segments    []struct {
			Segment  string
			Estimate estimate
		}
	},
	) {
		s.api().must("POST", "/v1/accounts/default:estimateValue", in, &out)
		return out
	}
	logged := ask(map[string]any{"target": "logged", "segment_by": "intent"})
	value := logged.Estimate.Estimates[logged.Estimate.Default].Value
	if !logged.Estimate.Trusted || value == nil || math.Abs(*value-logged.LoggedValue) > 1e-9 || len(logged.Segments) != 3 {
		s.t.Errorf("what was done is worth %v of itself: %+v", value, logged)
	}
	many := ask(map[string]any{"target": "logged", "max_rows": 1_000_000})
	if math.Abs(many.LoggedValue-logged.LoggedValue) > 1e-9 || many.Estimate.Rows != logged.Estimate.Rows {
		s.t.Errorf("other rows: %+v, %+v", many.Estimate, logged.Estimate)
	}
	model := ask(map[string]any{"target": version})
	if model.Estimate.Rows != logged.Estimate.Rows || len(model.Estimate.Estimates) != 7 {
		s.t.Errorf("the model's estimate: %+v", model)
	}
	// Nobody sent a baseline, so nothing is known of it.
	baseline := ask(map[string]any{"target": "baseline"})
	if baseline.Estimate.Trusted || len(baseline.Estimate.Warnings) == 0 {
		s.t.Errorf("a baseline that nobody sent: %+v", baseline)
	}
	for name, e := range baseline.Estimate.Estimates {
		if e.Value != nil {
			s.t.Errorf("baseline %s: a value %v that cannot be trusted", name, *e.Value)
		}
	}
}
