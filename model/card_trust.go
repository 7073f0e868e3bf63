package model

// AttributeUse says what became of one attribute.
type AttributeUse struct {
	Name string `json:"name"`
	// Share of rows that had it, and how many different values it had in the
	// newest rows looked at.
	Share  float64 `json:"share"`
	Values int     `json:"values,omitempty"` // 0: not counted
	// Used says that the model learned from it. Otherwise it was left out, and
	// Reason is why. A used attribute may have a Reason too: a remark.
	Used   bool   `json:"used"`
	Reason string `json:"reason,omitempty"`
}

// CalibrationBin is a group of rows with neighbouring predictions, in units of
// the objective.
type CalibrationBin struct {
	Predicted float64 `json:"predicted"`
	Reward    float64 `json:"reward"`
	Rows      int64   `json:"rows"`
}

// Calibration holds predictions of held-out rows against what came, in units of
// the objective.
type Calibration struct {
	Bins []CalibrationBin `json:"bins"`
	// Error is the mean distance between foretold and real reward over the bins.
	Error float64 `json:"error"`
	// Isotonic maps predictions to rewards and was fitted to the earlier half of
	// the held-out time; Before and After are the error on the later half without
	// and with it. It is a report: scores are served as the model gives them.
	Isotonic []CalibrationStep `json:"isotonic,omitempty"`
	Before   float64           `json:"before"`
	After    float64           `json:"after"`
}

// CalibrationStep says what predictions from From on, to the next step, meant.
type CalibrationStep struct {
	From   float64 `json:"from"`
	Reward float64 `json:"reward"`
}

// RewardInterval holds a reward between prediction - Below and prediction + Above
// with the given confidence. Coverage is how often that held in the later half of
// the held-out time with the interval of the earlier half.
type RewardInterval struct {
	Confidence float64 `json:"confidence"`
	Below      float64 `json:"below"`
	Above      float64 `json:"above"`
	Rows       int64   `json:"rows"`
	Coverage   float64 `json:"coverage"`
}

// Value is what a policy would have brought per decision, in units of the objective.
type Value struct {
	// Value is nil where the log cannot tell; the bounds then say what is possible.
	Value         *float64 `json:"value,omitempty"`
	Lower         float64  `json:"lower"`
	Upper         float64  `json:"upper"`
	Interval      string   `json:"interval"`
	Rows          int64    `json:"rows"`
	EffectiveRows float64  `json:"effective_rows"`
	Trusted       bool     `json:"trusted"`
}

// Segment is one part of the held-out rows: "intent=refund", "channel=web".
type Segment struct {
	Segment string  `json:"segment"`
	Rows    int64   `json:"rows"`
	Logged  float64 `json:"logged"` // mean reward of what was done
	// Predicted is the mean prediction for what was done, Model the value of the
	// model's own choices.
	Predicted float64 `json:"predicted"`
	Model     Value   `json:"model"`
}

// Drift compares one thing in the newest rows with the rows before.
type Drift struct {
	// What is reward, loss, calibration, coverage:<attribute> or arm:<arm>.
	What      string  `json:"what"`
	Reference float64 `json:"reference"`
	Recent    float64 `json:"recent"`
	// Distance is the population stability index for shares, less what chance alone
	// would make of it, and standard errors for means.
	Distance float64 `json:"distance"`
	Alarming bool    `json:"alarming"`
	Detail   string  `json:"detail,omitempty"`
}
