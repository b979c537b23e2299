package sync_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/internal/needstest"
)

// peer is a way to make the folders a and b the same, which are below a folder.
type peer struct {
	begin func(t *testing.T, at string) // both are empty
	sync  func(t *testing.T, at string)
}

var ours = peer{
	begin: func(t *testing.T, at string) { require.NoError(t, os.Mkdir(filepath.Join(at, "cloud"), 0o700)) },
	sync: func(t *testing.T, at string) {
		for _, d := range []string{"a", "b", "a"} {
			require.NoError(t, syncOnce(t.Context(), at, d))
		}
	},
}

var bisync = peer{
	begin: func(t *testing.T, at string) {
		for _, d := range []string{"a", "b"} { // it takes no folder that is empty
			require.NoError(t, os.WriteFile(filepath.Join(at, d, "mark"), []byte("mark"), 0o644))
		}
		runTool(t, at, "rclone", "bisync", "a", "b", "--workdir", "notes", "--resync")
	},
	sync: func(t *testing.T, at string) {
		runTool(t, at, "rclone", "bisync", "a", "b", "--workdir", "notes", "--force")
	},
}

var pulls = peer{
	begin: func(t *testing.T, at string) {
		a, b := filepath.Join(at, "a"), filepath.Join(at, "b")
		runTool(t, a, "git", "init", "-q", "-b", "main")
		runTool(t, a, "git", "commit", "-q", "--allow-empty", "-m", "base")
		runTool(t, b, "git", "clone", "-q", a, ".")
	},
	sync: func(t *testing.T, at string) {
		for _, d := range []string{"a", "b"} {
			runTool(t, filepath.Join(at, d), "git", "add", "-A")
			runTool(t, filepath.Join(at, d), "git", "commit", "-q", "--allow-empty", "-m", "edits")
		}
		for d, other := range map[string]string{"a": "b", "b": "a"} {
			// Who renames a folder does not move what others put into it.
			runTool(t, filepath.Join(at, d), "git", "-c", "merge.directoryRenames=false", "pull", "-q", "--no-rebase", "--no-edit", filepath.Join(at, other), "main")
		}
	},
}

// runTool runs a program that knows nothing of the person at this machine.
func runTool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RCLONE_CONFIG="+os.DevNull, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %q: %s", name, args, out)
}

// change is what a person does on a device: a file has a content, or is not there.
type change struct{ device, path, content string }

// peaceful makes the changes of a round, of which no two are of one file, and
// tells in all what both devices have afterwards.
func peaceful(random *rand.Rand, round int, all map[string]string) (changes []change) {
	touched := make(map[string]bool)
	free := func(path string) bool { was := touched[path]; touched[path] = true; return !was }
	name := func() string {
		return fmt.Sprintf("%c/%d/%d.md", 'p'+rune(random.IntN(2)), random.IntN(3), random.IntN(5))
	}
	do := func(device, path, content string) {
		changes = append(changes, change{device, path, content})
		if all[path] = content; content == "" {
			delete(all, path)
		}
	}
	for i := range 12 {
		device, path := string(rune('a'+random.IntN(2))), name()
		content, there := all[path]
		switch kind := random.IntN(4); {
		case !free(path):
		case there && kind == 0:
			do(device, path, "")
		case there && kind == 1:
			if to := name(); all[to] == "" && free(to) { // it moves
				do(device, path, "")
				do(device, to, content)
			}
		default:
			do(device, path, strings.Repeat(fmt.Sprintf("round %d, line %d, %x\n", round, i, random.Uint64()), 1+random.IntN(40)))
		}
	}
	return changes
}

func (c change) do(t *testing.T, at string) {
	t.Helper()
	name := filepath.Join(at, c.device, filepath.FromSlash(c.path))
	if c.content == "" {
		require.NoError(t, os.Remove(name))
		return
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(c.content), 0o644))
}

// without are contents but for those of a peer's own.
func without(all map[string]string, own ...string) map[string]string {
	maps.DeleteFunc(all, func(path, _ string) bool {
		first, _, _ := strings.Cut(filepath.ToSlash(path), "/")
		return slices.Contains(own, first)
	})
	return all
}

// requireSameAs lets two people work in peace, and checks that they have by us and
// by a peer the same.
func requireSameAs(t *testing.T, other peer) {
	histories, rounds := 3, 2
	if historytest.Full() {
		histories, rounds = 10, 4
	}
	for seed := range histories {
		t.Run(fmt.Sprint("history ", seed), func(t *testing.T) {
			random, all := rand.New(rand.NewPCG(uint64(seed), 3)), make(map[string]string)
			at := map[string]string{"ours": t.TempDir(), "theirs": t.TempDir()}
			for who, p := range map[string]peer{"ours": ours, "theirs": other} {
				for _, d := range []string{"a", "b"} {
					require.NoError(t, os.Mkdir(filepath.Join(at[who], d), 0o755))
				}
				p.begin(t, at[who])
			}
			for round := range rounds {
				for _, c := range peaceful(random, round, all) {
					c.do(t, at["ours"])
					c.do(t, at["theirs"])
				}
				ours.sync(t, at["ours"])
				other.sync(t, at["theirs"])
				for _, d := range []string{"a", "b"} {
					theirs := without(contents(t, filepath.Join(at["theirs"], d)), ".git", "mark")
					require.Equal(t, all, theirs, "theirs, %s after round %d", d, round)
					require.Equal(t, theirs, contents(t, filepath.Join(at["ours"], d)), "%s after round %d", d, round)
				}
			}
		})
	}
}

func TestPeacefulHistoriesEndAsThoseOfRclone(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("rclone")
	needstest.Tool(t, "rclone bisync (rclone)", err == nil)
	requireSameAs(t, bisync)
}

func TestPeacefulHistoriesEndAsThoseOfGit(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("git")
	needstest.Tool(t, "git", err == nil)
	requireSameAs(t, pulls)
}
