// Package chaos_test is a storm: the built programs, two sources with a writer
// each, up to two replicators per source, a MariaDB and a proxy before it, all
// under load, while they are killed, frozen, doubled, cut off, moved and
// restored. Then everything drains, and every message that the sender had
// acknowledged is looked for by content.
//
// One seed is one schedule of faults and one set of conversations. Which
// statement a fault meets is a matter of real time and is not repeatable.
//
// The parts that are arithmetic (schedule, conversations, reconciliation) have
// ordinary tests; the storm itself has the build tag chaos (make chaos).
package chaos_test
