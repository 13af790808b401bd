// Package e2e holds the tests that use nothing but what a user has: the two
// built programs, a config file, HTTP, a SQLite file and a real server.
package e2e
