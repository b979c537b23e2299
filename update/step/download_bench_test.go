//go:build unix

package step_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/update/step"
)

const (
	benchmarkRounds = 5
	benchmarkSize   = 200 << 20
)

func init() {
	// offer serves an artifact of benchmarkSize until its input ends.
	children["offer"] = func([]string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println("http://" + l.Addr().String())
		go func() { _ = http.Serve(l, fetchtest.Offer(noise(benchmarkSize), `"v1"`)) }()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// startOffer starts a child that serves an artifact, and returns its address.
func startOffer(b *testing.B) string {
	b.Helper()
	args := child("offer", "-")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close())
		require.NoError(b, cmd.Wait())
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(address)
}

// cpu is the time that processors have spent on this process, or on those of
// its children that have ended.
func cpu(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDownload measures the processor time of a download of 200 MiB from
// loopback, checked and durable, against a plain loop of 1 MiB reads that
// hashes, writes, syncs and renames, and against curl | tee | sha256sum, which
// syncs nothing, in interleaved rounds. The server is a process of its own.
func BenchmarkDownload(b *testing.B) {
	address := startOffer(b)
	release := releaseOf(noise(benchmarkSize))
	release.URL = address
	// Each begins with the memory that the same work has given back: pages
	// that the system has to find first cost more than all the rest.
	spent := func(who int, f func(dir string)) time.Duration {
		warm := b.TempDir()
		plainDownload(b, address, warm)
		require.NoError(b, os.RemoveAll(warm))
		dir := b.TempDir()
		before := cpu(who)
		f(dir)
		after := cpu(who)
		require.NoError(b, os.RemoveAll(dir))
		return after - before
	}
	_, noCurl := exec.LookPath("curl")
	needstest.Tool(b, "curl", noCurl == nil || os.Getenv("UPKEEP_NEEDS") != "all") // the rest does without
	for b.Loop() {
		var ours, loop, pipe []time.Duration
		for range benchmarkRounds {
			loop = append(loop, spent(syscall.RUSAGE_SELF, func(dir string) {
				require.Equal(b, release.Digest, plainDownload(b, address, dir))
			}))
			ours = append(ours, spent(syscall.RUSAGE_SELF, func(dir string) {
				require.NoError(b, step.Download(step.Artifact{Dir: dir}).Do(b.Context(), releaseTask(release)))
			}))
			if noCurl == nil {
				pipe = append(pipe, spent(syscall.RUSAGE_CHILDREN, func(dir string) {
					out, err := exec.Command("sh", "-c", `curl -s "$1" | tee "$2/pipe" | sha256sum`, "sh", address, dir).Output()
					require.NoError(b, err)
					require.Equal(b, fmt.Sprintf("%x  -\n", release.Digest), string(out))
				}))
			}
		}
		b.ReportMetric(float64(suitetest.Median(ours))/float64(suitetest.Median(loop)), "x-loop")
		b.ReportMetric(float64(suitetest.Median(ours).Milliseconds()), "cpu-ms/op")
		if noCurl == nil {
			b.ReportMetric(float64(suitetest.Median(ours))/float64(suitetest.Median(pipe)), "x-curl")
		} else {
			b.Log("there is no curl to compare with")
		}
	}
}

func plainDownload(b *testing.B, address, dir string) []byte {
	resp, err := http.Get(address)
	require.NoError(b, err)
	defer resp.Body.Close()
	f, err := os.Create(filepath.Join(dir, "new"))
	require.NoError(b, err)
	sum, buffer := sha256.New(), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(resp.Body, buffer)
		sum.Write(buffer[:n])
		_, e := f.Write(buffer[:n])
		require.NoError(b, e)
		if err != nil {
			require.Contains(b, []error{io.EOF, io.ErrUnexpectedEOF}, err)
			break
		}
	}
	require.NoError(b, f.Sync())
	require.NoError(b, f.Close())
	require.NoError(b, os.Rename(f.Name(), filepath.Join(dir, "plain")))
	return sum.Sum(nil)
}
