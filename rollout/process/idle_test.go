//go:build linux

package process_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/process"
)

// BenchmarkIdleReplicas has 200 of them, for a second each time, and says how much
// of a core they cost this process.
func BenchmarkIdleReplicas(b *testing.B) {
	m, v1 := open(b, process.Config{}), revision("v1")
	m.ensure(v1, spec("passed"), 200)
	m.eventually(func() bool {
		n := 0
		for _, r := range m.all() {
			if ready(r) {
				n++
			}
		}
		return n == 200
	}, func() any { return m.all() })
	before, begun := burnt(b), time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	b.ReportMetric(100*float64(burnt(b)-before)/float64(time.Since(begun)), "%core")
	b.ReportMetric(0, "ns/op")
}

func burnt(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
