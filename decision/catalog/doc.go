// Package catalog keeps what an account's policies can speak of: attributes with
// their types, functions that fill them, calendars, and the skills, agents and
// bots that conversations go to. Each is a resource of the config log.
//
// What is read while a decision is made is compiled once per change into
// immutable views. What is written is checked whole: one error names every fault
// with its path. A change that would break a policy which works is refused, and
// the error says which policy.
package catalog
