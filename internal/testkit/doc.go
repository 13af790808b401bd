// Package testkit holds what the tests of all rooms share: waiting for a
// condition with a deadline, a logger that ends up in the test's log, built
// binaries and the processes that run them. Its subpackages start a private
// MariaDB, a Galera cluster, and a proxy that breaks connections at exact
// moments.
//
// It is linked into tests only, never into a program. Nothing that it starts
// outlives the test binary, even where that is killed or panics: see Guard.
package testkit
