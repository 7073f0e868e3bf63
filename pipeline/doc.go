// Package pipeline moves events from the log into a sink: it consumes,
// validates, gathers blocks, hands them over, and sets poison events aside.
//
// The promises: every event on the log is stored or kept as a dead letter, and
// stored once, whatever process dies at whatever moment. They rest on three
// rules. The sink owns the offsets, so reading starts where storing ended. A
// block is written again and again until the sink has it, and nothing behind it
// is written before. A partition is written only while this process holds it.
package pipeline
