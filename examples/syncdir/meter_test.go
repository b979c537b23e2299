//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// meterVariable makes the test binary run the command of its arguments, and print
// what that has used. A program that is started has the largest memory of the one
// that starts it as its own, so this one is to be small.
const meterVariable = "UPKEEP_TEST_SYNCDIR_METER"

func init() { programs[meterVariable] = meter }

// used is what a program has used, with those that it has started.
type used struct {
	CPU  time.Duration
	Peak int64 // bytes of memory of the largest
}

// meter is what the test binary does for measure.
func meter() {
	c := exec.Command(os.Args[1], os.Args[2:]...)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	u := c.ProcessState.SysUsage().(*syscall.Rusage)
	peak := int64(u.Maxrss)
	if runtime.GOOS != "darwin" {
		peak <<= 10
	}
	_ = json.NewEncoder(os.Stdout).Encode(used{time.Duration(u.Utime.Nano() + u.Stime.Nano()), peak})
	os.Exit(0)
}

// measure runs a command, which has to succeed, and returns what it has used.
func measure(b *testing.B, command ...string) (u used) {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	c := exec.Command(self, command...)
	c.Env, c.Stderr = append(os.Environ(), meterVariable+"=1"), os.Stderr
	out, err := c.Output()
	require.NoError(b, err, command)
	require.NoError(b, json.Unmarshal(out, &u))
	return u
}

// total is what several commands have used one after the other.
func total(all ...used) (u used) {
	for _, one := range all {
		u.CPU, u.Peak = u.CPU+one.CPU, max(u.Peak, one.Peak)
	}
	return u
}

// medians are those of several rounds.
func medians(rounds []used) used {
	var cpu []time.Duration
	var peak []int64
	for _, u := range rounds {
		cpu, peak = append(cpu, u.CPU), append(peak, u.Peak)
	}
	slices.Sort(cpu)
	slices.Sort(peak)
	return used{cpu[len(cpu)/2], peak[len(peak)/2]}
}

// report says how ours did, and what that is of a peer's, which may be none.
func report(b *testing.B, ours, theirs []used, cpu, peak string) {
	own := medians(ours)
	b.ReportMetric(own.CPU.Seconds()*1000, "cpu-ms")
	b.ReportMetric(float64(own.Peak)/(1<<20), "MiB-peak")
	if len(theirs) > 0 {
		other := medians(theirs)
		b.ReportMetric(float64(own.CPU)/float64(other.CPU), cpu)
		b.ReportMetric(float64(own.Peak)/float64(other.Peak), peak)
	}
}

// bytesOf are those of the files below dir.
func bytesOf(b *testing.B, dir string) (n int64) {
	b.Helper()
	require.NoError(b, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	}))
	return n
}
