package arch

import (
	"cmp"
	"fmt"
	"slices"
)

// Law is one rule of the house.
type Law struct {
	Name string // short, stable: the name of the sub-test
	Text string // what holds
	Why  string // what it buys
	find func(*Tree) []Finding
}

// Finding is one place where a law is broken.
type Finding struct {
	Path string // file, or folder for a law about packages
	Line int    // 0 when the whole file or folder is meant
	Msg  string // what is wrong and what to do
}

// String formats the finding as path:line: message, clickable in editors.
func (f Finding) String() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.Path, f.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Msg)
}

// Check applies the law to a tree and returns its findings in file order.
func (l Law) Check(t *Tree) []Finding {
	found := l.find(t)
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return found
}

// Laws returns every law of the house, in reading order.
func Laws() []Law {
	return []Law{
		{
			"imports-point-left", "proto, internal | pipeline | analytics | model | decision | cmd: a folder imports only itself and what stands left of it",
			"folders, data and imports have one order, so there are no cycles and a role can be cut off anywhere", importsPointLeft,
		},
		{
			"out-of-reach", "decision reaches neither analytics, model/trainer nor pipeline/kafka, by any path of imports; model imports nothing of ours; embedded engines are reached from cmd alone",
			"a decision can never wait for a warehouse, and training and serving share one encoder", outOfReach,
		},
		{
			"vendor-homes", "one vendor library has one home package; a library without a home is not imported at all",
			"a library can be replaced by editing one folder", vendorHomes,
		},
		{
			"metrics-in-one-file", "a metric is made in the metrics.go of its package or in internal/telemetry",
			"what a package tells operators is seen in one place", metricsInOneFile,
		},
		{
			"metrics-documented", "every metric is explained in docs/operations.md",
			"who is woken at night knows what the number means", metricsDocumented,
		},
		{
			"generated-code", "proto/gen is seen by codecs, servers, internal/rpc and cmd alone",
			"the contract on the wire can grow without touching an engine", generatedCode,
		},
		{
			"package-names", "no package is called util, common, helpers, base, types and the like",
			"a package named after what it is for does not become a drawer", packageNames,
		},
		{
			"function-size", "a function has at most 80 lines and 5 parameters beside the context; 95 of 100 functions have at most 40 lines",
			"a function fits on a screen", functionSize,
		},
		{
			"file-size", "a file has at most 600 lines; 95 of 100 files have at most 350",
			"a file is read in one sitting", fileSize,
		},
		{
			"interface-size", "an interface declares at most 5 methods",
			"small interfaces are easy to fake, and live beside their caller", interfaceSize,
		},
		{
			"no-init", "no init function",
			"importing a package has no effect", noInit,
		},
		{
			"no-mutable-globals", "a package variable is an error sentinel, a compiled expression, an embedded file, an interface assertion or a table that nobody writes to",
			"two engines in one process do not share state", noMutableGlobals,
		},
		{
			"no-panic", "no panic, log.Fatal or os.Exit outside tests and main.go",
			"one bad request does not end a process", noPanic,
		},
		{
			"environment-in-cmd", "only cmd reads the environment",
			"what a part does is decided by its Config", environmentInCmd,
		},
		{
			"pure-packages", "policy language, scorer and exploration read no clock, no file, no network and no global randomness",
			"a decision replays exactly from its record", purePackages,
		},
		{
			"documented", "every package and every exported name has a comment",
			"the contract is written where it is used", documented,
		},
		{
			"tested", "every package has a test file",
			"nothing is believed without a test", tested,
		},
		{
			"no-skipped-tests", "no test skips itself, asks for testing.Short or hides behind a build tag of ours",
			"green means that everything ran", noSkippedTests,
		},
		{
			"links-lead", "every relative link of a page leads to a file or folder of the repository",
			"a reader never ends at a missing page", linksLead,
		},
		{
			"finished-words", "no words of unfinished work, no path of one machine, no package registry's host",
			"what is in the tree is done and works anywhere", finishedWords,
		},
	}
}
