package policy

import (
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Metrics lists the metrics of skill.<skill>.<metric> and candidate.live.<metric>.
func Metrics() []string {
	return []string{"agents_online", "queue_size", "load", "wait_avg_seconds", "age_seconds"}
}

func isMetric(name string) bool {
	switch name {
	case "agents_online", "queue_size", "load", "wait_avg_seconds", "age_seconds":
		return true
	}
	return false
}

// liveValue is missing when nobody reported on the skill: a condition on an
// unknown queue is UNKNOWN, not about an empty one.
func liveValue(f *Facts, skill, metric string) value {
	if f.Skills == nil {
		return value{}
	}
	state, ok := f.Skills(skill)
	if !ok {
		return value{}
	}
	out := value{kind: kindNumber, from: fromLive}
	switch metric {
	case "agents_online":
		out.num = float64(state.AgentsOnline)
	case "queue_size":
		out.num = float64(state.QueueSize)
	case "load":
		out.num = state.Load
	case "age_seconds":
		out.num = ageOf(f, state).Seconds()
	default:
		out.num = state.WaitSeconds
	}
	return out
}

// ageOf is how old a live state is; a clock that runs ahead makes it new, not negative.
func ageOf(f *Facts, state event.Skill) time.Duration {
	if state.At.IsZero() {
		return 0
	}
	return max(0, f.Now.Sub(state.At))
}
