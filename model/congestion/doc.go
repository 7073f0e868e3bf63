// Package congestion puts a price on waiting: [Cost] and [Priority] are the
// arithmetic by which the engine ranks when an objective has such a price.
package congestion
