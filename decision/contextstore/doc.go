// Package contextstore keeps what bots and people know of a conversation, a
// consumer, or everybody: JSON properties in documents, one document for each
// account, namespace and session. What one bot saves another reads, and policies
// read all of it as namespace.property.
//
// [Store] holds the rules: names, types, size, time to live, versions. An
// [Engine] below it keeps bytes and compares versions; decision/contextstore/pebble
// is one in a folder, decision/contextstore/redis one for a cluster. Both pass
// decision/contextstore/enginetest.
//
// Every write is optimistic: the store reads, computes, and commits on condition
// that nothing it read has changed, else it begins again. So a merge never loses
// what another one wrote, and many documents change together or not at all.
//
// Values never reach a log: documents and changes print as their namespace and
// the number of their properties.
package contextstore
