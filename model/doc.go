// Package model is the learned half of a decision: what reward each candidate
// action (an arm) can be expected to bring in a given context, and how sure the
// model is of it.
//
// The package has two sides. [Learner] takes examples (context, arm, reward,
// propensity) one by one and is used by trainers and by progressive validation.
// [Learner.Snapshot] freezes it into a [Model]: immutable, versioned,
// checksummed, safe for concurrent scoring without locks or allocation. A
// [Registry] holds the live model of each account behind an atomic pointer.
//
// The package knows nothing of policies, events or stores, and imports none of
// them.
package model
