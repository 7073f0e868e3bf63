// Package golearn is the one place where github.com/sjwhitworth/golearn is used. It
// has two jobs there: a challenger, bagged trees fitted to a bounded sample and
// judged beside our own family on the same held-out rows, and a shallow tree fitted
// to what a model chooses, read back as rules that people can check.
//
// # In a process of its own
//
// golearn panics on input that it does not like, prints to standard output, reads
// rows in the order of a Go map and can take minutes and gigabytes. So nothing of it
// runs in the caller's process: [Runner] starts a child (the hidden command "usher
// challenger", whose body is [RunChild]) with a limit of time and of memory, hands it
// a [Table] over standard input and reads trees in our own form from its standard
// output. Whatever ends the child, a panic, a limit, a signal, is an error here.
//
// # Same rows, same tree
//
// golearn's entropies sum up maps, whose order changes from run to run, and its views
// of rows do not keep their order, so attributes that are equally good are told apart
// by rounding. Here golearn grows the tree and finds the thresholds, but asks a
// generator of ours which attribute to split on: it puts the rows back into their
// order, sums in the order of classes and takes the first among equals. Classes of
// leaves are the most frequent, and the first among equally frequent ones.
package golearn
