package httpadapter_test

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage grow, but for benchmarks: most tests open sites by the
// hundred, of which next to nothing lives on, and a sixth of their time went into
// looking for that.
func TestMain(m *testing.M) {
	if flag.Parse(); flag.Lookup("test.bench").Value.String() == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}
