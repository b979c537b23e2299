//go:build unix

package step_test

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/update/step"
)

// BenchmarkSwapBinary measures the memory that replacing a program of 200 MiB
// allocates in all, and how often the program's name changes, against what
// self-update libraries do: the whole file in memory, hashed, written without
// a sync, and two renames, between which there is no program.
func BenchmarkSwapBinary(b *testing.B) {
	content := noise(benchmarkSize)
	release := releaseOf(content)
	sum := sha256.Sum256(content)
	for b.Loop() {
		var ours, peer swapCost
		for range benchmarkRounds {
			dir := b.TempDir()
			path := filepath.Join(dir, "app")
			for _, name := range []string{"app", "peer"} {
				require.NoError(b, os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o755))
			}
			a := step.Artifact{Dir: b.TempDir()}
			require.NoError(b, os.Chmod(a.Dir, 0o700))
			tk := releaseTask(release)
			require.NoError(b, os.WriteFile(a.File(tk), content, 0o600))
			n := 0
			s := step.SwapOn(renames{durable.OS, path, &n}, false, step.Binary{Path: path, Artifact: a})
			peer.add(func() {
				require.Equal(b, sum[:], swapInMemory(b, a.File(tk), filepath.Join(dir, "peer")))
			})
			ours.add(func() { require.NoError(b, s.Do(b.Context(), tk)) })
			require.Equal(b, 1, n)
			require.NoError(b, os.RemoveAll(dir))
		}
		b.ReportMetric(float64(ours.memory)/benchmarkRounds/(1<<20), "MiB/swap")
		b.ReportMetric(float64(peer.memory)/benchmarkRounds/(1<<20), "peer-MiB/swap")
		b.ReportMetric(float64(suitetest.Median(ours.cpu).Milliseconds()), "cpu-ms/swap")
		b.ReportMetric(float64(suitetest.Median(peer.cpu).Milliseconds()), "peer-cpu-ms/swap")
		b.ReportMetric(1, "renames/swap")
	}
}

type swapCost struct {
	memory uint64 // bytes allocated
	cpu    []time.Duration
}

func (c *swapCost) add(swap func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpu(syscall.RUSAGE_SELF)
	swap()
	c.cpu = append(c.cpu, cpu(syscall.RUSAGE_SELF)-start)
	runtime.ReadMemStats(&after)
	c.memory += after.TotalAlloc - before.TotalAlloc
}

func swapInMemory(b *testing.B, artifact, path string) []byte {
	f, err := os.Open(artifact)
	require.NoError(b, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	require.NoError(b, err)
	sum := sha256.Sum256(data)
	require.NoError(b, os.WriteFile(path+".new", data, 0o755))
	require.NoError(b, os.Rename(path, path+".old"))
	require.NoError(b, os.Rename(path+".new", path))
	require.NoError(b, os.Remove(path+".old"))
	return sum[:]
}
