// Package arch holds the laws of this code base as ordinary Go tests: what may
// import what, where each vendor library lives, how long a function may be, what
// no package may do.
//
// [Laws] is the table; read it as documentation. Each [Law] looks at a [Tree],
// the parsed sources of one module, and answers with findings that say where the
// law is broken and what to do about it. testdata holds one small tree for every
// law that breaks it, so that a law which has stopped biting is noticed.
//
// Nothing here type-checks: the laws read syntax only, which keeps the whole
// check under a second and lets it run on a tree that does not compile.
package arch
