package main

import (
	"path/filepath"

	"github.com/usherhq/usher/model/evaluate"
)

// Where the data lie, from the root of the repository.
const (
	tablesFolder      = "model/evaluate/testdata/multiclass"
	incidentsFile     = "cmd/usher/demo/incidents/incidents.csv.gz"
	openBanditFolder  = "model/evaluate/testdata/openbandit"
	conversionsFolder = "model/evaluate/testdata/conversions"
	peersFolder       = "bench/peers/ope/policies"
	learnersFolder    = "bench/peers/learners"
)

// set is one table that is played as a bandit, with what others got on it.
type set struct {
	name string
	file string
	cfg  evaluate.BanditConfig
	// seeds of the row order and the draws; with a time order only of the draws.
	seeds []uint64
	large bool // 5,000 rows or more: the bar of periodic refits applies
	gate  bool // played with the gate as it comes as well; letter takes longest and tells no more
	ref   reference
}

// reference is a line of the table of progressive errors that others got: Vowpal
// Wabbit 9.11.2 at its best of 72 settings and as it comes, disjoint LinUCB at alpha
// 0.3 and 1, and what is possible when every right answer is told. 0 is unknown.
type reference struct {
	best, setting      string
	plain, linUCB, all string
	bar                float64
}

func sets() []set {
	seeds := []uint64{1, 2, 3}
	table := func(file string) string { return filepath.Join(tablesFolder, file) }
	label := evaluate.BanditConfig{Label: "label"}
	return []set{
		{
			name: "vehicle", file: table("vehicle.csv.gz"), cfg: label, seeds: seeds,
			ref: reference{"0.580", "greedy mtr", "0.617", "0.403 / 0.377", "0.513", 0.38},
		},
		{
			name: "vowel", file: table("vowel.csv.gz"), cfg: label, seeds: seeds,
			ref: reference{"0.828", "cover 4 dr", "0.905", "0.783 / 0.720", "0.749", 0.72},
		},
		{
			name: "digits", file: table("digits.csv.gz"), cfg: label, seeds: seeds,
			ref: reference{"0.287", "epsilon 0.05 mtr, -1/0, rate 8", "0.584", "0.131 / 0.204", "0.107", 0.20},
		},
		{
			name: "satellite", file: table("satellite.csv.gz"), cfg: label, seeds: seeds, large: true, gate: true,
			ref: reference{"0.325", "regcbopt", "0.493", "0.200 / 0.189", "0.242", 0.19},
		},
		{
			name: "letter", file: table("letter.csv.gz"), cfg: label, seeds: seeds, large: true,
			ref: reference{"0.652", "regcbopt, -1/0, rate 8", "0.924", "0.534 / 0.423", "0.468", 0.42},
		},
		{
			name: "incidents", file: incidentsFile, seeds: seeds, large: true, gate: true,
			cfg: evaluate.BanditConfig{
				Label: "final_group", Time: "opened_at", Cross: [][2]string{{"category", "subcategory"}, {"subcategory", "symptom"}},
				Features: []string{"contact_type", "caller_id", "opened_by", "location", "category", "subcategory", "symptom", "impact", "urgency", "priority", "notify"},
			},
			ref: reference{"0.488", "squarecb 100, -1/0, rate 2", "0.558", "0.515 (hashed to 256)", "0.364", 0.48},
		},
		{
			name: "CLINC150", file: table("clinc150.tsv.gz"), seeds: seeds, large: true, gate: true,
			cfg: evaluate.BanditConfig{
				Label: "intent", Text: "text", Features: []string{"text"},
				Where: []evaluate.Filter{{Column: "intent", Value: "oos", Not: true}},
			},
			ref: reference{"0.801", "first 2000", "0.899", "0.834 (hashed to 256)", "0.119", 0.79},
		},
	}
}
