// Package policytest runs tests of policies: what a conversation is like goes in,
// the policy and the actions that must come out are compared. Cases are decided by
// the engine that answers bots, so a test that passes here holds there. A suite
// counts, for every condition of its policies, whether the cases saw it TRUE and
// FALSE. It reads no files by itself: [Parse] is given a reader.
package policytest
