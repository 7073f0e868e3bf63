// Package policy is the language in which people tell Usher what may and what
// must happen: parse, check, compile, evaluate, trace. It is pure: no clock, no
// store, no network.
//
// [Parse] reads one policy and names every fault of it at once. [Compile] turns
// an ordered list into a [Set]: immutable, safe for concurrent use, attribute
// names resolved to slots, structured conditions turned into closures, and an
// inverted index over equalities so that a thousand policies cost little more
// than one. An [Input] holds the facts of one decision; [Set.Next] walks the
// matching policies in order and allocates nothing, [Set.Trace] says what every
// condition was worth.
//
// Conditions have three values: TRUE, FALSE and UNKNOWN (an attribute is
// missing or has the wrong type, a CEL expression failed or cost too much), and
// combine by Kleene's rules. Only TRUE is a match.
//
// docs/policies.md describes the language.
package policy
