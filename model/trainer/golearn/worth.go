package golearn

import (
	"context"
	"fmt"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// confidence of the intervals of a rule's value.
const confidence = 0.95

// weigh estimates from the log what doing what each rule says would have been worth in
// the decisions that it is about. Rewards are foretold by a learner that goes through
// the decisions in their order and sees each only after foretelling it; the model
// itself has seen them all.
func (d *reading) weigh(ctx context.Context, rules []Rule, paths []path) error {
	learner, err := model.New(d.Learner)
	if err != nil {
		return fmt.Errorf("create a learner: %w", err)
	}
	estimates := make([]*evaluate.OPE, len(rules))
	for i := range estimates {
		estimates[i] = evaluate.NewOPE(d.Learner.RewardMin, d.Learner.RewardMax)
	}
	sums := make([]float64, len(rules))
	var e encoder
	for at := range d.rows {
		row := &d.rows[at]
		if at%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !row.Rewarded || row.Chosen == "" {
			continue
		}
		mine := -1 // no two rules are about the same decision
		for i := range paths {
			if paths[i].matches(d.table, at) {
				mine = i
				break
			}
		}
		var also []string
		if mine >= 0 {
			also = append(also, rules[mine].Arm)
		}
		x := e.example(&row.Facts, row.Options, row.Chosen, also...)
		if mine >= 0 {
			rules[mine].Rewarded++
			sums[mine] += row.Reward
			if row.Propensity > 0 {
				scores := e.score(learner, &x)
				estimates[mine].Add(observation(row, rules[mine].Arm, scores[x.Chosen].Value, scores[e.at(rules[mine].Arm)].Value))
			}
		}
		x.Reward, x.Propensity = row.Reward, row.Propensity
		if err := learner.Learn(x); err != nil {
			return fmt.Errorf("learn from a decision: %w", err)
		}
	}
	for i := range rules {
		rules[i].Value = estimates[i].Result(confidence)
		if rules[i].Rewarded > 0 {
			rules[i].Logged = sums[i] / float64(rules[i].Rewarded)
		}
	}
	return nil
}

// observation is a decision under the rule that always takes one arm.
func observation(row *Decision, arm string, predicted, target float64) evaluate.Observation {
	o := evaluate.Observation{
		Reward: row.Reward, Logged: min(row.Propensity, 1),
		Modelled: true, Predicted: predicted, TargetValue: target,
	}
	if row.Chosen == arm {
		o.Target = 1
	}
	return o
}
