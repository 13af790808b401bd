package sqlite_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also plays the other process of tests that need one: another user,
// or a writer that is killed.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role, os.Args[len(os.Args)-1]))
	}
	goleak.VerifyTestMain(m)
}
