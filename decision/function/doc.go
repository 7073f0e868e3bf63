// Package function asks functions for values while a decision is made: services
// over HTTP, and JavaScript that runs in this process in a sandbox.
//
// A function can be slow, broken or hostile, and a decision must not suffer from
// it. So a call never takes longer than its time-out and the caller's context,
// answers are cached, calls at the same time are bounded, a function that keeps
// failing is left alone for a while, and every call is described by an
// event.Call. What a function answers is data: it is never run and never taken
// for a template.
package function
