// Package simulate speaks for Instagram in the demo, the tests, the chaos runs
// and the benchmark.
//
// A Generator makes up conversations and writes them down as webhook bodies, a
// Sender signs and delivers them as Instagram would, and a Graph answers for
// the profile API. Expected says which rows the CRM must hold once deliveries
// have been acknowledged, by a rule of its own that shares no code with the
// replicator's, and Compare counts how the rows that are there differ.
//
// The same seed gives the same bodies. All people, names and texts are made up.
package simulate
