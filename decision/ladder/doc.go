// Package ladder hands the decisions of a scope to the model step by step, OFF,
// SHADOW, COMPARE, HOLDOUT, ON, and takes them back. Each step up has an entry test;
// on every step on which the model decides guardrails are watched by a test that may
// be looked at any time, and a breach sets the scope back to SHADOW without anybody
// being asked.
//
// In COMPARE and HOLDOUT the two sides are conversations drawn by lot, so their
// difference is the model's doing. In ON there is no side of policy any more: the
// model is held against what policy brought in the HOLDOUT or COMPARE just before,
// which is a weaker comparison, for times change. Keep a HOLDOUT where that matters.
package ladder
