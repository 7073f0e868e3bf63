// Package attribute finds what policies need and requests do not bring: static and
// function-backed attributes of the catalogue, what bots saved in the context
// store, what was captured of a customer or a visitor.
//
// One decision asks once, with all its names. Context comes first and in one call
// to its store, because arguments of functions are made of it; functions are then
// asked all at once. Nothing takes longer than the caller's context. What fails is
// missing, with its root cause beside it.
package attribute
