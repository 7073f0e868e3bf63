package model

import "time"

// Comparison sets a model against the one it would replace, on the same
// held-out rows and in the units of the objective.
type Comparison struct {
	ChampionVersion string  `json:"champion_version,omitempty"`
	Champion        float64 `json:"champion"`
	Challenger      float64 `json:"challenger"`
	// Gain is Challenger - Champion; GainLower and GainUpper bound it.
	Gain      float64 `json:"gain"`
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
	// and Champion are the losses on those alone.
	Shared     int64   `json:"shared"`
	Challenger float64 `json:"challenger"`
	Champion   float64 `json:"champion"`
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
	// ObjectiveRevision is the revision of the objective that rewards were
	// computed by. Losses under another revision cannot be compared.
	ObjectiveRevision int64 `json:"objective_revision"`
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
