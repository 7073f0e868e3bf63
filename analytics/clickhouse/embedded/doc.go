// Package embedded runs the real ClickHouse engine as a child process, so that
// one machine needs nothing installed but this program and one npm package.
//
// # How it works
//
// The npm package @chdb/lib-<platform> ships libchdb, which holds the whole
// server. [Server.Run] starts this very program again as a child whose body is
// [RunChild]; the child loads the library without cgo and calls its command-line
// entry with two query files: the first starts the listeners (SYSTEM START
// LISTEN), the second is /dev/stdin, which blocks until the parent closes it.
// From then on it is a ClickHouse server: native protocol, HTTP, data on disk.
//
// # The child never outlives its parent
//
// The child holds two pipes from the parent. End of its standard input makes the
// engine stop cleanly. A second pipe (file descriptor 3) is watched by a
// goroutine of the child: after its end the child has [Config.StopTimeout] to
// finish, then it kills itself. Both pipes end when the parent dies, however it
// dies. The child ignores SIGINT, SIGTERM and SIGHUP and sits in a process group
// of its own, so that Ctrl-C in a terminal or a supervisor's stop reaches the
// parent alone, which drains first. A lock file in the data folder keeps a second
// engine out until the first one is gone for good.
//
// # The doors
//
// In this build of the engine an exception that leaves a connection's thread ends
// the whole process (its error handler is the one of clickhouse-local, which
// kills). Measured on 26.7.2: a wrong password or an unknown database in a native
// greeting, a reset while the greeting is read, bytes that are no greeting and
// bytes that are no HTTP each do it. So the engine listens on two private ports,
// and clients come through two doors in the parent: the native one reads and
// checks the greeting itself and turns resets into orderly ends, the HTTP one is a
// reverse proxy that passes on well-formed requests only. The doors stay open
// while an engine is replaced: addresses never change, and new connections wait.
//
// # Who may do what
//
// Users come from a users.xml that is written anew at each start; the engine
// denies CREATE USER, and it reads the file once. Three users, all of this machine
// only:
//
//   - usher, random password (0600 file in the data folder): everything in the
//     databases usher and usher_*, reading system tables;
//   - usher_reader, random password too: SELECT on usher and on the system tables
//     that Grafana asks for, readonly, with limits;
//   - default, without a password and from this machine only: SELECT on usher,
//     with limits, so that a person here can ask at once with curl.
//
// Nobody has a source grant (file, url, s3, remote, executable), not even the
// session that runs the two query files: --queries-file is read by the client
// half of the engine, outside of the grants. That session is always user default,
// which costs one grant: SYSTEM LISTEN. A person on this machine can therefore
// close the listeners; the server notices and starts the engine again. For the
// same reason default cannot have a readonly profile, it merely has no right to
// write. Tests hold all of this against the running engine.
//
// Not possible in this engine: Replicated tables (no Keeper), CREATE USER, ROW
// POLICY and QUOTA statements, reloading users while running.
package embedded
