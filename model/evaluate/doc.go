// Package evaluate says how good a policy or a model is, and how sure one can be
// of that.
//
// Progressive validation ([RunBandit]) plays a table with known answers as a
// stream of decisions. Off-policy estimation ([OPE], [RunOPE]) values a policy
// from decisions that another policy made and logged with their propensities.
// The [Gate] holds a challenger against the champion on held-out rows. Every
// number comes with an interval, or with a sentence on why it should not be
// trusted.
package evaluate
