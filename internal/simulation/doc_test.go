// Package simulation_test plays histories: the real replicator loop, its clock,
// randomness and wake-ups in the test's hands, between a source and a CRM that
// fail in every way that is drawn. One seed is one history. An oracle that
// knows nothing of the loop says what the CRM must hold at its end.
//
// The same histories run on a CRM in memory, by the thousands, and on a real
// server, by the dozen.
package simulation_test
