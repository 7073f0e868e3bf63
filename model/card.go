package model

import "time"

// Comparison sets a model against the one it would replace, on the same
// held-out rows and in the units of the objective.
type Comparison struct {
	ChampionVersion string `json:"champion_version,omitempty"`
	// Champion and Challenger are the values of both, Gain is their difference; nil
	// unless Trusted, for the log cannot tell.
	Champion   *float64 `json:"champion,omitempty"`
	Challenger *float64 `json:"challenger,omitempty"`
	Gain       *float64 `json:"gain,omitempty"`
	// GainLower and
	// GainUpper bound it at any look, whatever the log does not show. Margin is what
	// the lower bound had to reach.
	Trusted   bool    `json:"trusted"`
	Margin    float64 `json:"margin"`
	GainLower float64 `json:"gain_lower"`
	GainUpper float64 `json:"gain_upper"`
	Rows      int64   `json:"rows"`
}

// HeldOut is how well rewards were foretold on the newest rows, each predicted
// before it was learned from. Losses are mean squared errors on the reward range
// scaled to 0..1.
type HeldOut struct {
	Rows     int64     `json:"rows"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Loss     float64   `json:"loss"`
	Constant float64   `json:"constant"` // of always predicting the mean so far
	// Shared counts the rows that the champion had not learned from; Challenger
	// and Champion are the losses on those alone, nil without any.
	Shared     int64    `json:"shared"`
	Challenger *float64 `json:"challenger,omitempty"`
	Champion   *float64 `json:"champion,omitempty"`
	// Differ is the share of rows in which it and the champion would act differently.
	Differ float64 `json:"differ"`
	// EdgeLower bounds from below, at any look, how much smaller its loss is than
	// the champion's, or than the constant's where there is no champion.
	EdgeLower float64 `json:"edge_lower"`
	// EffectiveRows is the weight of evidence behind the Comparison.
	EffectiveRows float64 `json:"effective_rows"`
}

// Card says where a model came from and why it is, or is not, live. It is
// stored and shown beside the artifact and holds no customer data.
type Card struct {
	Version     string    `json:"version"`
	Account     string    `json:"account"`
	Objective   string    `json:"objective"`
	CreatedTime time.Time `json:"created_time"`
	// TrainFrom and TrainTo span the decision times of the rows learned from.
	TrainFrom time.Time `json:"train_from"`
	TrainTo   time.Time `json:"train_to"`
	Rows      int64     `json:"rows"`
	Arms      int       `json:"arms"`
	Features  int       `json:"features"`
	// ProgressiveLoss is the mean squared error of predicting each row's reward
	// before learning from it; BaselineLoss that of the running mean reward.
	ProgressiveLoss float64    `json:"progressive_loss"`
	BaselineLoss    float64    `json:"baseline_loss"`
	Family          string     `json:"family"`
	Comparison      Comparison `json:"comparison"`
	HeldOut         HeldOut    `json:"held_out"`
	// Coverage is the share of rows that had each attribute, by its name.
	Coverage map[string]float64 `json:"coverage,omitempty"`
	// Attributes says of each attribute whether it was learned from, and if not, why.
	Attributes []AttributeUse `json:"attributes,omitempty"`
	// Window is how far back decisions were read.
	Window time.Duration `json:"window_ns,omitempty"`
	// Way is the ground on which the gate let it pass: gain, foretells or shadow.
	Way         string       `json:"way,omitempty"`
	Calibration *Calibration `json:"calibration,omitempty"`
	// Interval is a prediction interval for one reward, where rewards are more
	// than yes or no.
	Interval *RewardInterval `json:"interval,omitempty"`
	// Values are what policies would have brought in the held-out time, by name:
	// logged, model, champion, policy_only, baseline.
	Values   map[string]Value `json:"values,omitempty"`
	Segments []Segment        `json:"segments,omitempty"`
	// Drift is how far the newest rows are from those before them.
	Drift []Drift `json:"drift,omitempty"`
	// OpenRows is how decisions were treated whose outcomes may still come, and
	// Maturity the share of outcomes that had come by the age of the rows, on average.
	OpenRows string  `json:"open_rows,omitempty"`
	Maturity float64 `json:"maturity,omitempty"`
	// SchemaHash (hex) identifies the names and kinds of the features learned from.
	SchemaHash string `json:"schema_hash,omitempty"`
	// ObjectiveVersion counts the rewards that the objective has meant. Models of two
	// versions cannot be compared.
	ObjectiveVersion int64 `json:"objective_version,omitempty"`
	// RetrainBy is until when a model that learned from erased rows may be used.
	RetrainBy *time.Time `json:"retrain_by,omitempty"`
	// ObjectiveRevision is the revision of the objective as it was written last.
	ObjectiveRevision int64 `json:"objective_revision"`
	// Golearn is how another family did on the same rows, once that is known.
	Golearn *ChallengerFit `json:"golearn,omitempty"`
	// Exact says that the rows were learned in decision order, so that anyone
	// who fits the same rows gets the same bytes. Otherwise late rows were added
	// at the end, until the next full fit.
	Exact bool `json:"exact"`
	// DataHash identifies the exact rows; Watermark is the latest ingest time of
	// an outcome that was trained through.
	DataHash   string    `json:"data_hash"`
	Watermark  time.Time `json:"watermark"`
	Gate       string    `json:"gate"`
	GateReason string    `json:"gate_reason"`
	// SHA256 (hex) and Size (bytes) are those of the encoded artifact.
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}
