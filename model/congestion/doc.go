// Package congestion puts a price on waiting and shows what it buys.
//
// [Cost], [Priority] and [State.ExpectedWait] are the arithmetic by which the engine ranks
// when an objective has a price on waiting. [Run] is a simulator of a contact centre:
// discrete events, seeded, in a world calibrated on a routing log ([Calibrate]), with
// the scores of our own learner. [Draw] runs it under many rules and draws how much
// waiting and how much resolution each gives. What comes out is simulated, not
// observed, and says so wherever it is shown.
package congestion
