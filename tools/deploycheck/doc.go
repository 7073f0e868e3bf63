// Package deploycheck proves that what lies under deploy and dashboards fits the
// program: the compose file loads as docker compose would load it, every role
// accepts the configuration it is given there, the systemd unit starts a command
// that exists, and every query of every Grafana dashboard runs on the tables that
// the program's own migrations create.
//
// It is a module of its own so that the compose loader stays out of the product.
// The tests need PROGRAM, the path of a built usher.
package deploycheck
