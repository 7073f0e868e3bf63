package model

// Arm is one candidate action of a decision.
type Arm struct {
	// ID names the arm; statistics are kept per ID.
	ID string
	// Features describe the arm itself, so that arms that are alike share what
	// is learned about them. It may be nil.
	Features *Features
	// Baseline marks the action that the caller would take without a model. At
	// most one arm of a decision has it. The learner uses it as a feature: how
	// far the caller can be trusted, and where.
	Baseline bool
}

// Score is what a model says of one arm.
type Score struct {
	// Value is the expected reward, in the units of the objective.
	Value float64
	// StdErr is the standard error of Value as the model estimates it.
	StdErr float64
	// Known is false when the model has never learned from this arm.
	Known bool
}

// Example is one learned decision.
type Example struct {
	// Context is what was known when deciding.
	Context *Features
	// Arms are the candidates; when the others were not recorded, the chosen
	// arm alone.
	Arms []Arm
	// Chosen is the index in Arms of the arm that was played.
	Chosen int
	// Reward is what it brought, within the learner's reward range.
	Reward float64
	// Propensity is the probability with which Chosen was played; 0 or less
	// means it was not recorded and is taken as 1.
	Propensity float64
	// Weight counts the example this many times; 0 means 1.
	Weight float64
}

// Factor is one contribution to a score, for explanations.
type Factor struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}
