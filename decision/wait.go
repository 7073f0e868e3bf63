package decision

import "github.com/usherhq/usher/model/congestion"

// factorWait names what the expected wait takes off a candidate, beside what the
// model makes its score of.
const factorWait = "wait"

// price makes a candidate's priority of its value and of the wait expected there,
// where the objective has a price for waiting and the live state is known. Where it
// is not there is no price: nothing is known against the candidate.
func (t *turn) price(i int, value float64) {
	c := &t.d.Candidates[i]
	t.scratch.unpriced[i] = value
	price := t.account.WaitPrices[t.d.Objective]
	if price > 0 && t.knowsSkills() {
		if s, ok := t.skill(c.Key()); ok {
			state := congestion.State{Queue: s.QueueSize, Agents: s.AgentsOnline, Load: s.Load, Mean: s.WaitSeconds, Handle: s.HandleSeconds}
			c.WaitCost = congestion.Cost(price, state.ExpectedWait()/60)
		}
	}
	c.Priority = congestion.Priority(value, c.WaitCost)
}

// waitReasons says whether the wait made another candidate the best one, and
// whether some candidate went unpriced because its state is not known.
func (t *turn) waitReasons(reasons []string) []string {
	if !t.scored || t.modelOnly < 0 || t.account.WaitPrices[t.d.Objective] == 0 {
		return reasons
	}
	best, unknown := -1, false
	for i := range t.d.Candidates {
		c := &t.d.Candidates[i]
		if !c.Eligible {
			continue
		}
		if best < 0 || t.scratch.unpriced[i] > t.scratch.unpriced[best] {
			best = i
		}
		if _, ok := t.d.Skills[c.Key()]; !ok {
			unknown = true
		}
	}
	if best != t.modelOnly {
		reasons = append(reasons, ReasonWaitPriced)
	}
	if unknown {
		reasons = append(reasons, ReasonWaitUnknown)
	}
	return reasons
}
