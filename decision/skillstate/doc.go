// Package skillstate keeps the live state of skills, agents and bots in memory: the
// newest report of each, for as long as it is fresh.
//
// Reports arrive in two ways. One that this process is given counts at once and is
// written to the log through the write-ahead spool; and every process follows the
// log, so it learns of what others were given and of what producers wrote there
// themselves. After a start the last hours of the log are read again.
//
// Reading takes no lock, waits for nobody and allocates nothing.
package skillstate
