// Package app assembles the parts into roles: all in one, ingest, train, decide.
// It holds the wiring and the small adapters between packages that must not know
// each other, and nothing else.
//
// Every role is a list of phases (see internal/run). They start upward and stop
// downward, so a stop is: not ready, no new requests, spool flushed, trainer
// cancelled, last batches written, connections closed, embedded engines stopped.
package app
