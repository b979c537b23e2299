package output_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/mounttest"
	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

// printing is how many lines a child prints.
const printing = "UPKEEP_TEST_PRINT"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(printing)); err == nil {
		for i := range n {
			fmt.Printf("line %07d of those that a child prints\n", i)
			if i%100 == 99 {
				time.Sleep(time.Millisecond)
			}
		}
		return
	}
	os.Exit(m.Run())
}

// child starts a process that prints.
func child(t *testing.T, l *output.Log, n int) (ended <-chan error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), printing+"="+strconv.Itoa(n))
	cmd.Stdout, cmd.Stderr = l.File(), l.File()
	require.NoError(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return done
}

// TestAChildsLinesAreThereOrSaidToBeLost rotates while a process prints, where
// files can be collapsed and where they cannot.
func TestAChildsLinesAreThereOrSaidToBeLost(t *testing.T) {
	for name, dir := range map[string]string{"on a disk": "/var/tmp", "in memory": "/dev/shm"} {
		for _, deleted := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", deleted ", deleted), func(t *testing.T) {
				dir, err := os.MkdirTemp(dir, "output")
				needstest.Tool(t, dir, err == nil)
				t.Cleanup(func() { os.RemoveAll(dir) })
				s := open(t, dir, output.Config{Size: 256 << 10, Files: 64})
				l := s.start("r-1")
				const n = 40_000
				ended := child(t, l, n)
				for round := 0; ; round++ {
					select {
					case err := <-ended:
						require.NoError(t, err)
						s.Tidy()
						checkLines(t, s, n)
						return
					case <-time.After(5 * time.Millisecond):
					}
					if deleted && round%10 == 5 {
						require.NoError(t, os.Remove(s.path(l)))
					}
					s.Tidy()
					require.LessOrEqual(t, size(t, dir), int64(64*256<<10))
				}
			})
		}
	}
}

// checkLines wants all lines in their order, and no more gaps than are said.
func checkLines(t *testing.T, s store, n int) {
	t.Helper()
	next, gaps, said := 0, 0, 0
	for line := range strings.Lines(s.read(rollout.LogQuery{Tail: 10 * n})) {
		if strings.HasPrefix(line, "upkeep: ") {
			said++
			continue
		}
		var i int
		_, err := fmt.Sscanf(line, "line %d of those that a child prints\n", &i)
		require.NoError(t, err, line)
		require.GreaterOrEqual(t, i, next, "in order, and none twice")
		if i > next {
			gaps++
		}
		next = i + 1
	}
	require.Equal(t, n, next, "to the last line")
	require.LessOrEqual(t, gaps, said)
	require.LessOrEqual(t, gaps, 5, "though there are hundreds of copies")
	t.Logf("%d gaps, %d notes", gaps, said)
}

// withoutOverride runs f without the right to write where modes forbid it.
func withoutOverride(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	// The thread ends with the goroutine, which keeps it locked.
	done := make(chan error)
	go func() {
		err := dropOverride()
		if err == nil {
			f()
		}
		done <- err
	}()
	needstest.Tool(t, "the right to change one's capabilities", <-done == nil)
}

func TestAFolderThatCannotBeWrittenHoldsNobodyUp(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 2})
	l := s.start("r-1")
	write(t, l, lines(0, 90)+strings.Repeat("x", 200)+"\n")
	s.Tidy()
	folder := s.folder(l)
	require.NoError(t, os.Chmod(folder, 0o500))
	t.Cleanup(func() { os.Chmod(folder, 0o700) })
	var during, end string
	var most int64
	withoutOverride(t, func() {
		for range 5 {
			_, _ = l.File().WriteString(lines(0, 250))
			s.Tidy()
			most = max(most, size(t, folder))
		}
		during, end = s.read(rollout.LogQuery{}), l.End()
	})
	require.LessOrEqual(t, most, int64(2000))
	require.Contains(t, during, "permission denied")
	require.Contains(t, end, "permission denied")
	require.NoError(t, os.Chmod(folder, 0o700))
	write(t, l, lines(300, 420))
	s.Tidy()
	require.Contains(t, printed(s.read(rollout.LogQuery{})), lines(330, 420))
}

func TestAFullDiskHoldsNobodyUp(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		dir := t.TempDir()
		mounttest.Mount(t, "tmpfs", dir, "tmpfs", 0, "size=1m")
		s := open(t, dir, output.Config{Size: 256 << 10, Files: 8})
		l := s.start("r-1")
		write(t, l, lines(0, 20_000))
		s.Tidy()
		write(t, l, lines(0, 9999))
		fill := filepath.Join(dir, "fill")
		f, err := os.Create(fill)
		require.NoError(t, err)
		defer f.Close()
		for {
			if _, err := f.Write(make([]byte, 4096)); err != nil {
				break
			}
		}
		for range 5 {
			_, _ = l.File().WriteString(lines(0, 9999) + lines(0, 9999) + lines(0, 9999))
			s.Tidy()
			require.LessOrEqual(t, size(t, filepath.Join(dir, output.RevisionsFolder)), int64(2<<20))
			info, err := l.File().Stat()
			require.NoError(t, err)
			require.LessOrEqual(t, info.Size(), int64(256<<10))
		}
		_, _ = s.start("r-2").File().WriteString("hello\n")
		require.NoError(t, os.Remove(fill))
		write(t, l, "after\n")
		s.Tidy()
		text := s.read(rollout.LogQuery{Tail: 200_000})
		require.Contains(t, text, "after\n")
		require.Contains(t, text, " bytes of the output are lost: ")
		var fs unix.Statfs_t
		require.NoError(t, unix.Statfs(dir, &fs))
		require.NotZero(t, fs.Bavail)
	})
}

func dropOverride() error {
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	return unix.Capset(&header, &data[0])
}
