// Package replay decides again what was decided before: one decision, to prove
// that its record is true ([Verifier]), or many under other policies, to say what
// would have been ([Simulator]).
//
// Everything that the engine asks is answered from the record: attributes as they
// were found, live state as it was used, the clock, the request id that seeds every
// draw. What a record only names is fetched by its name: policies and settings from
// the history of the config log, the model from its artifact. Nothing is looked up
// that could have changed since.
package replay
