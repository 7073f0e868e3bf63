// Package trainer keeps every account's model fresh: it reads joined rows as they
// were logged, fits, judges the result on held-out time and promotes it when the
// gate lets it pass.
//
// # One order
//
// A model is defined by its rows and nothing else. They are learned in the order
// of their decisions (time, then id), whatever the order in which outcomes came
// in, came late or came twice. So a trainer that was restarted, or another one on
// another machine, makes the same bytes from the same rows, and a clean stream
// and a messy one end in the same model.
//
// # Staying warm
//
// A fit that only adds rows after those already learned continues with the warm
// learner, which gives the same bytes as learning everything again. An outcome
// that changes a row already learned, or that comes for an older decision, breaks
// that: learners cannot forget. Then everything is learned again from the start,
// unless the last such full fit was so slow, and so recent, that full fits would
// take more than [Config.FullShare] of the time. In that case rows that are new
// are added at the end and corrections wait; the card says so (exact is false)
// and the next full fit sets it right. Small accounts are thus always exact, and
// large ones are exact again after a known time, at a bounded cost.
package trainer
