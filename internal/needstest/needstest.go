// Package needstest is for tests that need a tool, a right, or time, which not every
// machine has. Where UPKEEP_NEEDS=all is set, as .ci/run does, all tools
// and rights have to be there, so that no test is skipped unseen.
package needstest

import (
	"os"
	"testing"
	"time"
)

// Tool skips the test unless ok, and names what it needs: a program and, in
// brackets, who brings it; "root"; "another file system in /dev/shm". With
// UPKEEP_NEEDS=all the test fails instead.
func Tool(t testing.TB, name string, ok bool) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("UPKEEP_NEEDS") == "all":
		t.Fatalf("this test needs %s, and UPKEEP_NEEDS=all does not let it be skipped", name)
	default:
		t.Skipf("this test needs %s", name)
	}
}

// Pace is for a test of real programs, whose time cannot be faked. It calls try
// with a pace that a machine keeps that has nothing else to do, and, as long as
// try reports that it was too busy for that, with one of half the speed. The
// test fails if it was too busy for all of them, down to a minute.
func Pace(t testing.TB, pace time.Duration, try func(pace time.Duration) bool) {
	t.Helper()
	for !try(pace) {
		if pace *= 2; pace > time.Minute {
			t.Fatalf("no pace is slow enough")
		}
	}
}
