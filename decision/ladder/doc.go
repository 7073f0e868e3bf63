// Package ladder hands the decisions of a scope to the model step by step, OFF,
// SHADOW, COMPARE, HOLDOUT, ON, and takes them back. Each step up has an entry test;
// on every step on which the model decides guardrails are watched by a test that is
// made to be looked at often, and a breach sets the scope back to SHADOW without anybody
// being asked.
//
// In COMPARE and HOLDOUT the two sides are conversations drawn by lot, so their
// difference is the model's doing. The test takes one value of each conversation. That
// looking costs nothing is proved for values that are alike over time, as far as
// Config.MaxRows reach back; when times change for both sides alike it has held in
// simulations. In ON there is no side of policy any more: the
// model is held against what policy brought in the HOLDOUT or COMPARE just before,
// which is a weaker comparison, for times change. Keep a HOLDOUT where that matters.
package ladder
