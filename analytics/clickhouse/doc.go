// Package clickhouse keeps what the log brings and answers questions about it. It
// is the only package that knows the ClickHouse driver.
//
// [Open] connects and [DB.Migrate] lays out the tables of sql/migrations: plain
// ones on one machine, replicated and distributed ones when [Config.Cluster] is
// set, from the same files. [Writer] is the pipeline's sink and stores each event
// once; [Roller] keeps the roll-ups equal to a recount of the raw rows; the
// methods of [DB] read, every one by account, with server-side parameters and a
// deadline.
//
// # Promises about rows
//
// An event, which is its account, source and id, is one row, see [Writer].
// Readers and views read FINAL, so that even two processes that insert one event
// in the same instant do not make it count twice. Rows expire by the time they
// were stored.
//
// # Rewards
//
// An outcome belongs to the decision it names, or else to the latest decision of
// its conversation before it (view attributed_outcomes). A decision's reward under
// an objective (view decision_outcomes) is the objective's expression over the
// outcomes inside its window, or its default once the window has passed in
// silence. Objectives are read from the stored config log, folded as every replica
// folds it. The pieces of SQL are in sql/fragments.sql, shared by views, training
// rows and roll-ups, so the three cannot disagree.
package clickhouse
