// Package foreign reads the routing rules of other systems and turns them into
// Usher's policies: LivePerson's policies in their JSON grammar, their form
// editor's fields and their expression language, Twilio TaskRouter's workflows
// and Amazon Connect's routing criteria. It reads Usher's own documents too, so
// that an import needs one door. It is pure: no clock, no store, no network.
//
// Nothing is dropped in silence. What can be said exactly is said; what can only
// be said nearly is a problem of severity WARNING that tells the difference; what
// cannot be said is an ERROR that names its place and what to do.
//
// LivePerson's CONTAINS keeps the meaning that LivePerson documents, which is the
// reverse of common use: the left side occurs within the right one. Every use of
// it is a WARNING that shows the condition to write when the other was meant.
package foreign
