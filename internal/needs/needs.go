// Package needs is for tests that need a tool, a right, or anything else that
// not every machine has. Where UPKEEP_NEEDS=all is set, as .ci/run does, all of
// it has to be there, so that no test is skipped unseen.
package needs

import (
	"os"
	"testing"
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
