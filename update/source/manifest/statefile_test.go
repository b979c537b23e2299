package manifest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// TestMain makes this test a program that changes a state file for ever.
func TestMain(m *testing.M) {
	path := os.Getenv("UPKEEP_TEST_STATE")
	if path == "" {
		os.Exit(m.Run())
	}
	_ = manifest.StateFile(path).Update(context.Background(), func([]byte) ([]byte, error) {
		_, _ = os.Stdout.WriteString("locked\n")
		_, err := io.Copy(io.Discard, os.Stdin) // until the test that has started it ends
		return nil, err
	})
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// count adds one to the number that is kept.
func count(kept []byte) ([]byte, error) {
	n := 0
	if kept != nil {
		var err error
		if n, err = strconv.Atoi(string(kept)); err != nil {
			return nil, err
		}
	}
	return []byte(strconv.Itoa(n + 1)), nil
}

func TestAStateFileIsChangedByOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				if err := manifest.StateFile(path).Update(t.Context(), count); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "20", string(kept))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestAStateFileStaysAsItWasIfTheChangeFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s := manifest.StateFile(path)
	require.NoError(t, s.Update(t.Context(), count))
	before, err := os.Stat(path)
	require.NoError(t, err)
	broken := errors.New("broken")
	require.Equal(t, broken, s.Update(t.Context(), func(kept []byte) ([]byte, error) {
		kept[0] = 'x'
		return kept, broken
	}))
	require.NoError(t, s.Update(t.Context(), func(kept []byte) ([]byte, error) {
		require.Equal(t, "1", string(kept))
		return kept, nil
	}))
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "what is the same is not written")

	require.NoError(t, s.Update(t.Context(), func(kept []byte) ([]byte, error) {
		kept[0] = '2'
		return kept, nil
	}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "2", string(text), "a change may work on what it was given")
}

func TestAStateFileThatCannotBeKeptIsAnError(t *testing.T) {
	dir := t.TempDir()
	require.ErrorIs(t, manifest.StateFile(filepath.Join(dir, "missing", "state")).Update(t.Context(), count), os.ErrNotExist)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	require.ErrorContains(t, manifest.StateFile(filepath.Join(dir, "folder")).Update(t.Context(), count), "state of a manifest")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "long"), make([]byte, 1<<20+1), 0o600))
	require.ErrorContains(t, manifest.StateFile(filepath.Join(dir, "long")).Update(t.Context(), count), "more than")
}

func TestNothingIsOfferedThatCannotBeRemembered(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""))))
	full := errors.New("no space left")
	releases, err := sourcetest.Collect(t.Context(), newSource(s.URL, &shelf{err: full}), "demo/app")
	require.ErrorIs(t, err, full)
	require.Empty(t, releases)

	releases, err = sourcetest.Collect(t.Context(), newSource(s.URL, &shelf{kept: []byte("{")}), "demo/app")
	require.ErrorContains(t, err, "the state is damaged")
	require.Empty(t, releases)
}

func TestAProcessThatDiesHoldsUpNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "UPKEEP_TEST_STATE="+path)
	in, err := child.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, manifest.StateFile(path).Update(ctx, count), context.DeadlineExceeded)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait() // it was killed
	require.NoError(t, manifest.StateFile(path).Update(t.Context(), count))
}
