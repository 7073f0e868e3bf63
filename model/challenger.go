package model

import "time"

// ChallengerFit is how another family did that was fitted to a sample of the same
// rows, judged beside ours on the same newest rows, which neither had seen. It is told,
// never served: losses are mean squared errors on rewards scaled to 0..1.
type ChallengerFit struct {
	// Family says what it is, such as "golearn: 10 bagged trees".
	Family string    `json:"family"`
	Time   time.Time `json:"time"`
	// Rows were learned from by either family, HeldOutRows judged on.
	Rows        int64 `json:"rows"`
	HeldOutRows int64 `json:"held_out_rows"`
	Nodes       int   `json:"nodes,omitempty"`
	// Loss is the challenger's, Ours that of our family, Constant that of always
	// foretelling the mean.
	Loss     float64 `json:"loss"`
	Ours     float64 `json:"ours"`
	Constant float64 `json:"constant"`
	// Gain is Ours - Loss; GainLower and GainUpper bound it with a confidence of 0.95.
	Gain      float64 `json:"gain"`
	GainLower float64 `json:"gain_lower"`
	GainUpper float64 `json:"gain_upper"`
	// Better says that the gain is above 0 beyond doubt: our family misses something
	// that trees see.
	Better bool `json:"better"`
	// Seconds is what the child process took.
	Seconds float64 `json:"seconds"`
	// Fault is why there is no loss, as a class: "too few rows", "time limit", "memory
	// limit", "panic", "child failed" or "failed". It never quotes an error, which might
	// hold values of attributes.
	Fault string `json:"fault,omitempty"`
}
