// Package planted_test takes the defences of Sidestream away one by one and
// checks that the tests notice each time.
//
// A bug is a replacement of text in one file, compiled by `go test -overlay`:
// the file in the tree is never touched, and the programs carry no switches for
// it. That every replacement still fits its file is checked in every test run;
// the bugs themselves run with the build tag planted (make show-planted).
package planted_test
