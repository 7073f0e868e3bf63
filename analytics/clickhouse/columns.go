package clickhouse

import (
	"math"
	"slices"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// row is a pointer to one of the row types.
type row interface{ at() *place }

// column takes one column's values out of many rows: column appends are several
// times faster than row appends.
type column[R row] struct {
	name string
	fill func(rows []R) any // a slice with one element per row
}

func col[R row, V any](name string, value func(R) V) column[R] {
	return column[R]{name, func(rows []R) any {
		out := make([]V, len(rows))
		for i, r := range rows {
			out[i] = value(r)
		}
		return out
	}}
}

// table says how rows of one kind are stored and found again.
type table[R row] struct {
	name     string
	identity string // SQL expression equal to place.identity
	columns  []column[R]
}

// places are the columns that every event table ends with.
func places[R row](topic string) []column[R] {
	return []column[R]{
		col("event_key", func(r R) uint64 { return r.at().key }),
		col("topic", func(R) string { return topic }),
		col("partition", func(r R) int32 { return r.at().partition }),
		col("offset", func(r R) int64 { return r.at().offset }),
		col("broker_time", func(r R) time.Time { return r.at().brokerTime }),
		col("ingested_at", func(r R) time.Time { return r.at().ingestedAt }),
	}
}

// list takes one value out of each element.
func list[E, V any](elements []E, value func(*E) V) []V {
	out := make([]V, len(elements))
	for i := range elements {
		out[i] = value(&elements[i])
	}
	return out
}

func narrow(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) } //nolint:gosec // clamped

func decisionTable(topic string) table[*decisionRow] {
	type r = *decisionRow
	t := table[r]{name: "decisions", identity: "concat(account, '\\0\\0', decision_id)"}
	t.columns = append(t.columns,
		col("account", func(d r) string { return d.Account }),
		col("decision_id", func(d r) string { return d.ID }),
		col("time", func(d r) time.Time { return d.Time }),
		col("request_id", func(d r) string { return d.RequestID }),
		col("conversation_id", func(d r) string { return d.ConversationID }),
		col("consumer_id", func(d r) string { return d.ConsumerID }),
		col("visitor_id", func(d r) string { return d.VisitorID }),
		col("session_id", func(d r) string { return d.SessionID }),
		col("channel", func(d r) string { return d.Channel }),
		col("intent", func(d r) string { return d.Intent }),
		col("attributes_string", func(d r) map[string]string { return d.attributes.text }),
		col("attributes_number", func(d r) map[string]float64 { return d.attributes.number }),
		col("attributes_bool", func(d r) map[string]bool { return d.attributes.bool }),
		col("attributes_list", func(d r) map[string][]string { return d.attributes.list }),
		col("mode", func(d r) string { return d.Mode }),
		col("objective", func(d r) string { return d.Objective }),
		col("decided_by", func(d r) string { return string(d.DecidedBy) }),
		col("policy", func(d r) string { return d.Policy }),
		col("policy_revision", func(d r) int64 { return d.PolicyRevision }),
		col("model_version", func(d r) string { return d.ModelVersion }),
	)
	t.columns = append(t.columns, answerColumns()...)
	t.columns = append(t.columns, candidateColumns()...)
	t.columns = append(t.columns, skillColumns()...)
	t.columns = append(t.columns, factColumns()...)
	t.columns = append(t.columns,
		col("labels", func(d r) map[string]string { return d.Labels }),
		col("record", func(d r) string { return d.record }))
	t.columns = append(t.columns, places[r](topic)...)
	return t
}

// answerColumns say what was done.
func answerColumns() []column[*decisionRow] {
	type r = *decisionRow
	return []column[r]{
		col("chosen_type", func(d r) string { return d.chosenType }),
		col("chosen", func(d r) string { return d.Chosen }),
		col("policy_only", func(d r) string { return d.PolicyOnly }),
		col("model_only", func(d r) string { return d.ModelOnly }),
		col("drawn", func(d r) string { return d.Drawn }),
		col("baseline", func(d r) string { return d.Baseline }),
		col("actions", func(d r) []string { return list(d.Actions, func(a *event.Action) string { return a.Key() }) }),
		col("propensity", func(d r) float64 { return d.Propensity }),
		col("explored", func(d r) bool { return d.Explored }),
		col("reasons", func(d r) []string { return d.Reasons }),
		col("no_match_reason", func(d r) string { return d.NoMatchReason }),
		col("seed", func(d r) uint64 { return d.Seed }),
		col("latency_ns", func(d r) int64 { return int64(d.Latency) }),
		col("chosen_string", func(d r) map[string]string { return d.arm.text }),
		col("chosen_number", func(d r) map[string]float64 { return d.arm.number }),
		col("chosen_bool", func(d r) map[string]bool { return d.arm.bool }),
		col("chosen_list", func(d r) map[string][]string { return d.arm.list }),
	}
}

// candidateColumns say what could have been done; their arrays are parallel.
func candidateColumns() []column[*decisionRow] {
	type (
		r = *decisionRow
		c = event.Candidate
	)
	return []column[r]{
		col("candidate_keys", func(d r) []string { return list(d.Candidates, func(x *c) string { return x.Key() }) }),
		col("candidate_types", func(d r) []string { return list(d.Candidates, func(x *c) string { return x.Type }) }),
		col("candidate_eligible", func(d r) []bool { return list(d.Candidates, func(x *c) bool { return x.Eligible }) }),
		col("candidate_scores", func(d r) []float64 { return list(d.Candidates, func(x *c) float64 { return x.Score }) }),
		col("candidate_priorities", func(d r) []float64 { return list(d.Candidates, func(x *c) float64 { return x.Priority }) }),
		col("candidate_probabilities", func(d r) []float64 { return list(d.Candidates, func(x *c) float64 { return x.Probability }) }),
	}
}

// factColumns say how the facts were found and what the policies made of them.
func factColumns() []column[*decisionRow] {
	type (
		r = *decisionRow
		c = event.Call
	)
	return []column[r]{
		col("step", func(d r) int32 { return narrow(d.Step) }),
		col("valid_for_ns", func(d r) int64 { return int64(d.ValidFor) }),
		col("waited_ns", func(d r) int64 { return int64(d.Waited) }),
		col("only_policy", func(d r) string { return d.OnlyPolicy }),
		col("redacted", func(d r) []string { return d.Redacted }),
		col("sources", func(d r) map[string]string { return d.Sources }),
		col("call_functions", func(d r) []string { return list(d.Calls, func(x *c) string { return x.Function }) }),
		col("call_attributes", func(d r) []string { return list(d.Calls, func(x *c) string { return x.Attribute }) }),
		col("call_results", func(d r) []string { return list(d.Calls, func(x *c) string { return string(x.Result) }) }),
		col("call_latencies_ns", func(d r) []int64 { return list(d.Calls, func(x *c) int64 { return int64(x.Latency) }) }),
		col("call_fallbacks", func(d r) []bool { return list(d.Calls, func(x *c) bool { return x.Fallback }) }),
		col("policies_true", func(d r) []string { return policiesIn(d.Policies, event.True) }),
		col("policies_false", func(d r) []string { return policiesIn(d.Policies, event.False) }),
		col("policies_unknown", func(d r) []string { return policiesIn(d.Policies, event.Unknown) }),
		col("policies_error", func(d r) []string { return policiesIn(d.Policies, event.Errored) }),
		col("exception", func(d r) bool {
			return slices.ContainsFunc(d.Policies, func(p event.PolicyTrace) bool { return p.Exception && p.Policy == d.Policy })
		}),
		col("unknown_attributes", func(d r) []string { attributes, _ := unknownConditions(d.Policies); return attributes }),
		col("unknown_policies", func(d r) []string { _, policies := unknownConditions(d.Policies); return policies }),
	}
}

// policiesIn names the policies of a trace that are in the state.
func policiesIn(traces []event.PolicyTrace, state event.Truth) []string {
	var names []string
	for i := range traces {
		if traces[i].State == state {
			names = append(names, traces[i].Policy)
		}
	}
	return names
}

// unknownConditions has the attributes that conditions were UNKNOWN for, and the
// policy that each condition is of.
func unknownConditions(traces []event.PolicyTrace) (attributes, policies []string) {
	for i := range traces {
		for j := range traces[i].Conditions {
			for _, name := range traces[i].Conditions[j].Unknown() {
				attributes = append(attributes, name)
				policies = append(policies, traces[i].Policy)
			}
		}
	}
	return attributes, policies
}

// skillColumns hold the live state as used, in the order of the names.
func skillColumns() []column[*decisionRow] {
	type r = *decisionRow
	return []column[r]{
		col("skill_names", func(d r) []string { return sortedKeys(d.Skills) }),
		col("skill_agents", func(d r) []int32 {
			return bySkill(d.Skills, func(s event.Skill) int32 { return narrow(s.AgentsOnline) })
		}),
		col("skill_queues", func(d r) []int32 {
			return bySkill(d.Skills, func(s event.Skill) int32 { return narrow(s.QueueSize) })
		}),
		col("skill_loads", func(d r) []float64 { return bySkill(d.Skills, func(s event.Skill) float64 { return s.Load }) }),
		col("skill_waits", func(d r) []float64 { return bySkill(d.Skills, func(s event.Skill) float64 { return s.WaitSeconds }) }),
	}
}

func outcomeTable(topic string) table[*outcomeRow] {
	type r = *outcomeRow
	return table[r]{
		name: "outcomes", identity: "concat(account, '\\0', source, '\\0', outcome_id)",
		columns: append([]column[r]{
			col("account", func(o r) string { return o.Account }),
			col("source", func(o r) string { return o.Source }),
			col("outcome_id", func(o r) string { return o.ID }),
			col("decision_id", func(o r) string { return o.DecisionID }),
			col("conversation_id", func(o r) string { return o.ConversationID }),
			col("kind", func(o r) string { return o.Kind }),
			col("value", func(o r) float64 { return o.Value }),
			col("label", func(o r) string { return o.Label }),
			col("time", func(o r) time.Time { return o.Time }),
		}, places[r](topic)...),
	}
}

func skillTable(topic string) table[*skillRow] {
	type r = *skillRow
	return table[r]{
		name: "skill_states", identity: "concat(account, '\\0', source, '\\0', state_id)",
		columns: append([]column[r]{
			col("account", func(s r) string { return s.Account }),
			col("source", func(s r) string { return s.Source }),
			col("state_id", func(s r) string { return s.ID }),
			col("skill", func(s r) string { return s.Skill }),
			col("time", func(s r) time.Time { return s.State.At }),
			col("agents_online", func(s r) int32 { return narrow(s.State.AgentsOnline) }),
			col("queue_size", func(s r) int32 { return narrow(s.State.QueueSize) }),
			col("load", func(s r) float64 { return s.State.Load }),
			col("wait_seconds", func(s r) float64 { return s.State.WaitSeconds }),
		}, places[r](topic)...),
	}
}

func configTable(topic string) table[*configRow] {
	type r = *configRow
	return table[r]{
		name: "config_log", identity: "concat(account, '\\0', kind, '\\0', change_id)",
		columns: append([]column[r]{
			col("account", func(c r) string { return c.Account }),
			col("kind", func(c r) string { return c.Kind }),
			col("name", func(c r) string { return c.Name }),
			col("change_id", func(c r) string { return c.ID }),
			col("base", func(c r) int64 { return c.Base }),
			col("value", func(c r) string { return string(c.Value) }),
			col("deleted", func(c r) bool { return c.Deleted }),
			col("author", func(c r) string { return c.Author }),
			col("reason", func(c r) string { return c.Reason }),
			col("time", func(c r) time.Time { return c.Time }),
		}, places[r](topic)...),
	}
}

func deadTable() table[*deadRow] {
	type r = *deadRow
	return table[r]{
		name: "dead_letters",
		identity: "concat(account, '\\0', topic, '\\0', toString(partition), '\\0', toString(offset), '\\0', " +
			"toString(toUnixTimestamp64Milli(time)))",
		columns: []column[r]{
			col("event_key", func(d r) uint64 { return d.key }),
			col("account", func(d r) string { return d.Account }),
			col("topic", func(d r) string { return d.Topic }),
			col("partition", func(d r) int32 { return narrow(d.Partition) }),
			col("offset", func(d r) int64 { return d.Offset }),
			col("time", func(d r) time.Time { return d.Time }),
			col("reason", func(d r) string { return d.Reason }),
			col("field", func(d r) string { return d.Field }),
			col("detail", func(d r) string { return d.Detail }),
			col("key", func(d r) string { return string(d.Key) }),
			col("value", func(d r) string { return string(d.Value) }),
			col("headers", func(d r) map[string]string { return d.Headers }),
			col("ingested_at", func(d r) time.Time { return d.ingestedAt }),
		},
	}
}
