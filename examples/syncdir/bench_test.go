//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
)

func full() bool { return os.Getenv("UPKEEP_FULL") != "" }

// benchmarkRounds is how often each program runs.
func benchmarkRounds() int {
	if full() {
		return 3
	}
	return 1
}

// benchmarkCorpus is 370 MB in 20,000 notes and 5 large files, or a twentieth of that.
func benchmarkCorpus(dir string) corpus {
	c := corpus{dir: dir, notes: 20_000, large: 5, largeSize: 40 << 20, seed: 1}
	if !full() {
		c.notes, c.largeSize = c.notes/20, c.largeSize/20
	}
	return c
}

// bench is a folder, and the programs that keep it somewhere else.
type bench struct {
	corpus
	root, program string
	uploaded      func(b *testing.B) // once, by ours and by restic
}

func newBench(b *testing.B) *bench {
	b.Helper()
	b.Setenv("UPKEEP_PASSPHRASE", passphrase)
	b.Setenv("RESTIC_PASSWORD", passphrase)
	b.Setenv("RCLONE_CONFIG", os.DevNull)
	root := b.TempDir()
	s := &bench{corpus: benchmarkCorpus(filepath.Join(root, "folder")), root: root, program: filepath.Join(root, "syncdir")}
	build(b, s.program)
	s.write(b)
	var once sync.Once
	s.uploaded = func(b *testing.B) {
		once.Do(func() {
			s.ours(b, "laptop")
			if installed("restic") {
				s.begin(b)
				s.backup(b)
			}
		})
	}
	return s
}

func build(b *testing.B, program string) {
	b.Helper()
	said, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(b, err, string(said))
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// beside reports whether a peer is there. The benchmark does without, and says so,
// unless all have to be there.
func beside(b *testing.B, peer string) bool {
	b.Helper()
	there := installed(peer)
	needstest.Tool(b, peer, there || os.Getenv("UPKEEP_NEEDS") != "all")
	if !there {
		b.Logf("there is no %s to compare with", peer)
	}
	return there
}

func (s *bench) path(name string) string { return filepath.Join(s.root, name) }

// ours syncs a device: the laptop has the folder, others have one of their own.
func (s *bench) ours(b *testing.B, device string) used {
	b.Helper()
	folder := s.dir
	if device != "laptop" {
		folder = s.path(device)
	}
	return measure(b, s.program, s.path(device+" state"), folder, s.path("cloud"), device, "sync")
}

func (s *bench) restic(b *testing.B, command ...string) used {
	b.Helper()
	return measure(b, append([]string{"restic", "-q", "--repo", s.path("restic"), "--cache-dir", s.path("restic cache")}, command...)...)
}

func (s *bench) begin(b *testing.B) used  { b.Helper(); return s.restic(b, "init") }
func (s *bench) backup(b *testing.B) used { b.Helper(); return s.restic(b, "backup", s.dir) }

// forget removes what was made, so that a round can begin again.
func (s *bench) forget(b *testing.B, names ...string) {
	b.Helper()
	for _, name := range names {
		require.NoError(b, os.RemoveAll(s.path(name)))
	}
}

// BenchmarkFolder measures the processor time and the largest memory of this
// program as a process, with a folder of notes and a few large files, beside other
// programs as processes, which take turns with it on the same folder.
func BenchmarkFolder(b *testing.B) {
	s := newBench(b)
	b.Run("upload", s.upload)
	b.Run("no change", s.noChange)
	b.Run("pull", s.pull)
	b.Run("changed", s.changed) // the last: it changes the folder
}

// upload has nothing in the remote yet, beside restic init and restic backup.
func (s *bench) upload(b *testing.B) {
	peer := beside(b, "restic")
	for b.Loop() {
		var ours, theirs []used
		var stored float64
		for range benchmarkRounds() {
			s.forget(b, "laptop state", "cloud", "folder/.upkeep", "restic", "restic cache")
			if peer {
				theirs = append(theirs, total(s.begin(b), s.backup(b)))
			}
			ours = append(ours, s.ours(b, "laptop"))
			stored = float64(bytesOf(b, s.path("cloud")))
		}
		report(b, ours, theirs, "cpu-x-restic", "peak-x-restic")
		b.ReportMetric(stored/1e6, "MB-stored")
		if peer {
			b.ReportMetric(stored/float64(bytesOf(b, s.path("restic"))), "stored-x-restic")
		}
	}
	s.uploaded = func(*testing.B) {}
}

// noChange finds nothing to do, beside a find that looks at the time of each file.
func (s *bench) noChange(b *testing.B) {
	peer := beside(b, "find")
	s.uploaded(b)
	s.ours(b, "laptop")
	for b.Loop() {
		var ours, theirs []used
		for range 5 * benchmarkRounds() {
			if peer {
				theirs = append(theirs, measure(b, "find", s.dir, "-type", "f", "-newer", s.program))
			}
			ours = append(ours, s.ours(b, "laptop"))
		}
		report(b, ours, theirs, "cpu-x-find", "peak-x-find")
	}
}

// pull fetches all into an empty folder, beside an rclone sync of the folder as it
// is, which neither decrypts nor waits for the disk.
func (s *bench) pull(b *testing.B) {
	peer := beside(b, "rclone")
	s.uploaded(b)
	for b.Loop() {
		var ours, theirs []used
		for range benchmarkRounds() {
			s.forget(b, "phone state", "phone", "copy")
			if peer {
				theirs = append(theirs, measure(b, "rclone", "sync", "--transfers", "8", "--checkers", "8", "--exclude", "/.upkeep/**", s.dir, s.path("copy")))
			}
			ours = append(ours, s.ours(b, "phone"))
		}
		require.Equal(b, digest(b, s.dir), digest(b, s.path("phone")))
		report(b, ours, theirs, "cpu-x-rclone", "peak-x-rclone")
	}
}

// changed uploads what is new once a file in a hundred has changed, beside restic
// backup.
func (s *bench) changed(b *testing.B) {
	peer := beside(b, "restic")
	s.uploaded(b)
	seed := uint64(2)
	for b.Loop() {
		var ours, theirs []used
		for range benchmarkRounds() {
			s.change(b, seed)
			seed++
			if peer {
				theirs = append(theirs, s.backup(b))
			}
			ours = append(ours, s.ours(b, "laptop"))
		}
		report(b, ours, theirs, "cpu-x-restic", "peak-x-restic")
	}
}

// BenchmarkMemory measures how much more memory this program takes for each file
// of a folder that has ten times as many.
func BenchmarkMemory(b *testing.B) {
	b.Setenv("UPKEEP_PASSPHRASE", passphrase)
	files := [2]int{500, 5_000}
	if full() {
		files = [2]int{20_000, 200_000}
	}
	program := filepath.Join(b.TempDir(), "syncdir")
	build(b, program)
	dirs := [2]string{b.TempDir(), b.TempDir()}
	for i, dir := range dirs {
		small(b, filepath.Join(dir, "laptop"), files[i])
		corpus{dir: filepath.Join(dir, "laptop"), large: 10, largeSize: 16 << 20, seed: 1}.write(b) // so that all buffers are in use
	}
	for b.Loop() {
		var upload, noChange, pull [2][]used // of few and of many
		for range benchmarkRounds() {
			for i, dir := range dirs {
				for _, name := range []string{"laptop state", "laptop/.upkeep", "cloud", "phone", "phone state"} {
					require.NoError(b, os.RemoveAll(filepath.Join(dir, name)))
				}
				ours := func(device string) used {
					return measure(b, program, filepath.Join(dir, device+" state"), filepath.Join(dir, device), filepath.Join(dir, "cloud"), device, "sync")
				}
				upload[i] = append(upload[i], ours("laptop"))
				noChange[i] = append(noChange[i], ours("laptop"))
				pull[i] = append(pull[i], ours("phone"))
			}
		}
		perFile := func(all [2][]used) float64 {
			return float64(medians(all[1]).Peak-medians(all[0]).Peak) / float64(files[1]-files[0])
		}
		b.ReportMetric(perFile(upload), "upload-B/file")
		b.ReportMetric(perFile(noChange), "no-change-B/file")
		b.ReportMetric(perFile(pull), "pull-B/file")
		b.ReportMetric(float64(medians(pull[1]).Peak)/(1<<20), "MiB-peak")
	}
}

// small makes a folder of n files of a few bytes each.
func small(b *testing.B, dir string, n int) {
	b.Helper()
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("%04d", i/100), fmt.Sprintf("note-%07d.md", i))
		if i%100 == 0 {
			require.NoError(b, os.MkdirAll(filepath.Dir(path), 0o755))
		}
		require.NoError(b, os.WriteFile(path, []byte(newProse(1, uint64(i)).sentence(20, 20)), 0o644))
	}
}
