// Package event is the vocabulary that travels between Usher's parts: plain
// structs, their validation, and the codec that puts them on Kafka.
//
// The structs are values: a function that receives one may read it for as long
// as it likes and must not change it. Times are UTC. JSON field names are the
// contract of the JSON payload (content type application/json); the protobuf
// payload (application/protobuf) is usher.v1.DecisionRecord and its siblings.
package event

import "time"

// Topics on the log. Every topic has a dead-letter sibling, see [DeadLetterTopic].
const (
	TopicDecisions = "usher.decisions"
	TopicOutcomes  = "usher.outcomes"
	TopicSkills    = "usher.skills"
	TopicConfig    = "usher.config"
)

// DeadLetterSuffix is what [DeadLetterTopic] appends.
const DeadLetterSuffix = ".dlq"

// DeadLetterTopic names the topic that holds what could not be read from topic.
func DeadLetterTopic(topic string) string { return topic + DeadLetterSuffix }

// CloudEvents types of the four payloads.
const (
	TypeDecision = "usher.decision.v1"
	TypeOutcome  = "usher.outcome.v1"
	TypeSkill    = "usher.skill.v1"
	TypeConfig   = "usher.config.v1"
)

// Action is one next step for a conversation. Key identifies it among the
// candidates of a decision: the target when there is one, else the type.
type Action struct {
	Type    string         `json:"type"`
	Target  string         `json:"target,omitempty"`
	Payload map[string]any `json:"payload,omitempty"`
}

// Key identifies the action among the candidates of one decision.
func (a Action) Key() string {
	if a.Target != "" {
		return a.Target
	}
	return a.Type
}

// DecidedBy says which part of Usher had the last word.
type DecidedBy string

// The parts that can decide.
const (
	DecidedByPolicy      DecidedBy = "policy"      // a matched policy's fixed actions
	DecidedByModel       DecidedBy = "model"       // the model's best eligible candidate
	DecidedByExploration DecidedBy = "exploration" // a draw that is not the model's best
	DecidedByBaseline    DecidedBy = "baseline"    // the caller's own choice, kept
	DecidedByDefault     DecidedBy = "default"     // the account's default actions or candidate order
)

// Candidate is one action that could have been taken, with all that was known
// about it.
type Candidate struct {
	Action
	Attributes  map[string]any `json:"attributes,omitempty"`
	Eligible    bool           `json:"eligible"`
	Verdict     string         `json:"verdict,omitempty"` // why it is not eligible, a reason code
	Score       float64        `json:"score"`             // expected reward; 0 without a model
	StdErr      float64        `json:"std_err,omitempty"`
	Known       bool           `json:"known"`               // the model has data on this arm
	Priority    float64        `json:"priority"`            // score x lever minus WaitCost: what ranks
	WaitCost    float64        `json:"wait_cost,omitempty"` // what the wait expected there takes off, in reward units
	Probability float64        `json:"probability"`         // of being drawn first
	ShareCap    float64        `json:"share_cap,omitempty"` // largest Probability that a new arm may have yet; 0: no bound
	Factors     []Factor       `json:"factors,omitempty"`
}

// Factor is one contribution to a candidate's score, in reward units.
type Factor struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Truth is the three-valued outcome of a condition or the state of a policy.
type Truth string

// The values of a condition and, with the last four, of a policy.
const (
	True       Truth = "TRUE"
	False      Truth = "FALSE"
	Unknown    Truth = "UNKNOWN"
	Disabled   Truth = "DISABLED"
	NotReached Truth = "NOT_REACHED" // an earlier policy had already decided
	Invalid    Truth = "INVALID"     // could not be compiled
	Errored    Truth = "ERROR"       // did not run: a function or an expression it needs failed
)

// PolicyTrace is what one policy said in one decision, in list order.
type PolicyTrace struct {
	Policy     string           `json:"policy"`
	Revision   int64            `json:"revision"`
	State      Truth            `json:"state"`
	Conditions []ConditionTrace `json:"conditions,omitempty"`
	Exception  bool             `json:"exception,omitempty"` // its exception block decided
	Cause      string           `json:"cause,omitempty"`     // root cause of ERROR and INVALID
}

// ConditionTrace is the value of one leaf condition. Path is its place in the
// policy document, for example when.all[0].
type ConditionTrace struct {
	Path      string `json:"path"`
	Attribute string `json:"attribute,omitempty"`
	Operator  string `json:"operator,omitempty"`
	Expected  any    `json:"expected,omitempty"`
	Actual    any    `json:"actual,omitempty"`
	Truth     Truth  `json:"truth"`
	Cause     string `json:"cause,omitempty"` // why it is UNKNOWN
	// Source says where Actual came from, as in Decision.Sources, "live" for skill
	// state; empty for what the request brought. Age is that of live state and of
	// cached function values.
	Source string        `json:"source,omitempty"`
	Age    time.Duration `json:"age_ns,omitempty"`
}

// Call is one function asked for an attribute during a decision.
type Call struct {
	Function  string        `json:"function"`
	Attribute string        `json:"attribute"`
	Result    CallResult    `json:"result"`
	Latency   time.Duration `json:"latency_ns"`
	Detail    string        `json:"detail,omitempty"`   // root cause when it failed
	Fallback  bool          `json:"fallback,omitempty"` // the function's value on error was taken
	Age       time.Duration `json:"age_ns,omitempty"`   // of a cached value
}

// CallResult is how a call of a function ended.
type CallResult string

// How a call can end.
const (
	CallOK      CallResult = "OK"
	CallCached  CallResult = "CACHED"
	CallTimeout CallResult = "TIMEOUT"
	CallError   CallResult = "ERROR"
	CallRefused CallResult = "REFUSED" // over its concurrency, or its circuit is open
	CallBudget  CallResult = "BUDGET"  // the decision had no time left
)

// Decision is the whole record of one decision: what was asked, what was known,
// what every policy and the model said, what was done and why. Replaying it
// needs nothing but the policies and the model it names.
type Decision struct {
	ID             string            `json:"decision_id"`
	Account        string            `json:"account"`
	Time           time.Time         `json:"time"`
	RequestID      string            `json:"request_id,omitempty"`
	ConversationID string            `json:"conversation_id,omitempty"`
	ConsumerID     string            `json:"consumer_id,omitempty"`
	VisitorID      string            `json:"visitor_id,omitempty"`
	SessionID      string            `json:"session_id,omitempty"`
	Channel        string            `json:"channel,omitempty"`
	Intent         string            `json:"intent,omitempty"`
	Attributes     map[string]any    `json:"attributes,omitempty"` // string, float64, bool, []any, map[string]any
	Skills         map[string]Skill  `json:"skills,omitempty"`     // live state as used
	Policies       []PolicyTrace     `json:"policies,omitempty"`
	Candidates     []Candidate       `json:"candidates,omitempty"`
	Actions        []Action          `json:"actions"`            // the answer, best first
	Baseline       string            `json:"baseline,omitempty"` // key of the caller's own choice
	PolicyOnly     string            `json:"policy_only,omitempty"`
	ModelOnly      string            `json:"model_only,omitempty"`
	Drawn          string            `json:"drawn,omitempty"`  // key the exploration drew
	Chosen         string            `json:"chosen,omitempty"` // key of the first action
	Propensity     float64           `json:"propensity"`       // probability of Chosen under what was live
	Explored       bool              `json:"explored"`
	DecidedBy      DecidedBy         `json:"decided_by"`
	Policy         string            `json:"policy,omitempty"` // the policy that matched
	PolicyRevision int64             `json:"policy_revision"`  // revision of the whole policy list
	ModelVersion   string            `json:"model_version,omitempty"`
	Objective      string            `json:"objective,omitempty"`
	Mode           string            `json:"mode"`
	Seed           uint64            `json:"seed,string"`
	Reasons        []string          `json:"reasons,omitempty"`
	NoMatchReason  string            `json:"no_match_reason,omitempty"`
	MaxActions     int               `json:"max_actions,omitempty"`
	Latency        time.Duration     `json:"latency_ns"`
	Labels         map[string]string `json:"labels,omitempty"` // trace ids and other marks of the caller
	Calls          []Call            `json:"calls,omitempty"`
	Step           int               `json:"step,omitempty"`         // of the policy, from 1; 0 without steps
	ValidFor       time.Duration     `json:"valid_for_ns,omitempty"` // until the next step is due; 0: for good
	Waited         time.Duration     `json:"waited_ns,omitempty"`    // as the request had it
	OnlyPolicy     string            `json:"only_policy,omitempty"`  // the request limited itself to this one
	Redacted       []string          `json:"redacted,omitempty"`     // personal attributes kept out of the record
	// Sources says where attributes came from that the request did not bring:
	// context:conversation, context:consumer, context:global, custom, sde, function.
	Sources map[string]string `json:"sources,omitempty"`
	// Added is how many candidates, the last of the list, policies added to those
	// of the request: a replay with other policies must not offer them.
	Added int `json:"added,omitempty"`
}

// Skill is the live state of one skill.
type Skill struct {
	AgentsOnline int     `json:"agents_online"`
	QueueSize    int     `json:"queue_size"`
	Load         float64 `json:"load"`             // 0..1
	WaitSeconds  float64 `json:"wait_avg_seconds"` // mean assignment wait of the last 60 minutes
	// HandleSeconds is how long an agent works on one conversation; 0 when not known.
	HandleSeconds float64   `json:"handle_avg_seconds,omitempty"`
	At            time.Time `json:"at"`
}

// SkillState is a report of one skill's live state.
type SkillState struct {
	ID      string `json:"id"`
	Source  string `json:"source"`
	Account string `json:"account"`
	Skill   string `json:"skill"`
	State   Skill  `json:"state"`
}

// Outcome is something that happened to a conversation after a decision. It
// names the decision, or the conversation whose latest decision it belongs to.
// (Source, ID) identifies it: sending it twice stores it once.
type Outcome struct {
	ID             string    `json:"id"`
	Source         string    `json:"source"`
	Account        string    `json:"account"`
	DecisionID     string    `json:"decision_id,omitempty"`
	ConversationID string    `json:"conversation_id,omitempty"`
	Kind           string    `json:"kind"` // resolved, csat, sale, transfers, reopened, ...
	Value          float64   `json:"value"`
	Label          string    `json:"label,omitempty"` // a word beside the number, such as the skill that resolved it
	Time           time.Time `json:"time"`            // when it happened
}

// ConfigChange is one record of the config log: a new version of one resource,
// or its deletion. Value is the resource's JSON document, nil when deleted.
// Base is the resource's revision the writer saw (0: it must not exist yet);
// the fold refuses the change when Base is no longer the current revision.
type ConfigChange struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	Kind    string    `json:"kind"` // policy, objective, mode, token, model, account and so on
	Name    string    `json:"name"`
	Base    int64     `json:"base"`
	Value   []byte    `json:"value,omitempty"` // JSON
	Deleted bool      `json:"deleted,omitempty"`
	Author  string    `json:"author"`
	Reason  string    `json:"reason,omitempty"`
	Time    time.Time `json:"time"`
	// Parts make it a change of several resources of the account at once, all or
	// none; then Kind, Name, Base, Value and Deleted are empty.
	Parts []ConfigPart `json:"parts,omitempty"`
}

// ConfigPart is one resource's share of a change. One without a name is a guard:
// it changes nothing, and the whole change counts only while Base is the revision
// of the last change among the account's resources of the kind, 0 for none yet.
type ConfigPart struct {
	Kind    string `json:"kind"`
	Name    string `json:"name,omitempty"`
	Base    int64  `json:"base"`
	Value   []byte `json:"value,omitempty"` // JSON
	Deleted bool   `json:"deleted,omitempty"`
}

// IsGuard reports whether the part only guards the others.
func (p *ConfigPart) IsGuard() bool { return p.Name == "" }

// DeadLetter is an event that could not be understood, with where it stood when
// that was first found and why. Replaying it writes Key, Value and Headers back to
// Topic; Topic, Partition, Offset and Time stay those of the first time.
type DeadLetter struct {
	Account   string            `json:"account,omitempty"`
	Topic     string            `json:"topic"`
	Partition int               `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      time.Time         `json:"time"`              // broker time of the original
	Attempt   int               `json:"attempt,omitempty"` // how often it was put back before
	Reason    string            `json:"reason"`
	Field     string            `json:"field,omitempty"`
	Detail    string            `json:"detail"`
	Key       []byte            `json:"key,omitempty"`
	Value     []byte            `json:"value,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
}

// Objective is a versioned reward: a linear expression over the outcomes of one
// decision that arrive inside the attribution window. reward =
// clamp(bias + sum(weight x aggregate of the kind's values), min, max). A
// decision without any outcome earns DefaultReward once the window has passed,
// and is not counted before.
type Objective struct {
	Terms         []Term        `json:"terms"`
	Bias          float64       `json:"bias"`
	Min           float64       `json:"min"`
	Max           float64       `json:"max"`
	Window        time.Duration `json:"window_ns"`
	DefaultReward *float64      `json:"default_reward,omitempty"` // nil: silence teaches nothing
	Margin        float64       `json:"margin"`                   // what the lower bound of a challenger's gain must reach; below 0 a loss that is risked, 0 the default
	OpenRows      string        `json:"open_rows,omitempty"`      // WAIT (or nothing) or WEIGH: what rows teach whose outcomes may still come
	WaitPrice     float64       `json:"wait_price,omitempty"`     // reward that a minute of expected wait costs when candidates are ranked
}

// Term is one outcome kind's part in an objective.
type Term struct {
	Kind      string  `json:"kind"`
	Weight    float64 `json:"weight"`
	Aggregate string  `json:"aggregate"` // last (default), first, sum, max
}
