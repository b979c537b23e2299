package ignore_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/internal/ignore"
	"github.com/upkeep-go/upkeep/internal/needstest"
)

// question is of what lines say of paths, of which those of folders end in a
// slash.
type question struct {
	lines string
	paths []string
}

// ours returns for each path what Why says, whose lines are from source.
func (q question) ours(t *testing.T, source string) (all []string) {
	t.Helper()
	rules, err := ignore.Parse(source, []byte(q.lines))
	require.NoError(t, err)
	for _, path := range q.paths {
		path, folder := strings.CutSuffix(path, "/")
		all = append(all, said(rules.Why(path, folder)))
	}
	return all
}

// git runs git in dir, with no settings but its own.
func git(t *testing.T, dir, input string, args ...string) string {
	t.Helper()
	own := []string{"-c", "core.ignoreCase=false", "-c", "core.precomposeUnicode=false", "-c", "core.excludesFile=" + os.DevNull}
	cmd := exec.Command("git", append(own, args...)...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	cmd.Env = append(cmd.Env, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	require.Empty(t, stderr.String())
	return string(out)
}

// requireGitSaysTheSame asks git all questions at once, each in a folder of its
// own, in which there is nothing but folders: a path that does not exist is that
// of a file to git. It returns how many paths some line says something of.
func requireGitSaysTheSame(t *testing.T, questions []question) (matched int) {
	t.Helper()
	_, err := exec.LookPath("git")
	needstest.Tool(t, "git", err == nil)
	if runtime.GOOS == "windows" {
		t.Skip("git takes a backslash in a path for a slash")
	}
	root, err := os.MkdirTemp(t.TempDir(), "")
	require.NoError(t, err)
	git(t, root, "", "init", "--quiet", "--template=")
	var input strings.Builder
	for i, q := range questions {
		for _, path := range append(q.paths, "/") {
			path, folder := strings.CutSuffix(fmt.Sprintf("%d/%s", i, path), "/")
			if folder {
				require.NoError(t, os.MkdirAll(filepath.Join(root, path), 0o700))
			}
			if path != fmt.Sprintf("%d/", i) {
				input.WriteString(path + "\x00")
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(root, fmt.Sprint(i), ".gitignore"), []byte(q.lines), 0o600))
	}
	answers := strings.Split(git(t, root, input.String(), "check-ignore", "--no-index", "-v", "-n", "--stdin", "-z"), "\x00")
	for i, q := range questions {
		source := fmt.Sprintf("%d/.gitignore", i)
		for j, got := range q.ours(t, source) {
			require.Greater(t, len(answers), 4)
			require.Equal(t, fmt.Sprintf("%d/%s", i, strings.TrimSuffix(q.paths[j], "/")), answers[3])
			want := ""
			if answers[0] != "" {
				want = fmt.Sprintf("%s:%s: %s", answers[0], answers[1], answers[2])
				matched++
			}
			require.Equal(t, want, got, "question %d: %q of %q", i, q.paths[j], q.lines)
			answers = answers[4:]
		}
	}
	require.Equal(t, []string{""}, answers)
	return matched
}

func TestGitSaysWhatTheCasesSay(t *testing.T) {
	var all []question
	each(func(_, lines, path string, folder bool, _ int) {
		if folder {
			path += "/"
		}
		all = append(all, question{lines, []string{path}})
	})
	requireGitSaysTheSame(t, all)
}

// random makes lines and paths of few bytes, so that many match.
type random struct{ *rand.Rand }

func (r random) of(all ...string) string { return all[r.IntN(len(all))] }

// some is up to n of what one makes.
func (r random) some(n int, one func() string) string {
	var s strings.Builder
	for range 1 + r.IntN(n) {
		s.WriteString(one())
	}
	return s.String()
}

func (r random) bracket() string {
	return "[" + r.of("", "", "!", "^") + r.some(3, func() string {
		return r.of("a", "b", "c", "a-c", "b-", "-", "]", `\]`, `\`, "[", "!", "^", "-/", "/", r.class(), "[:space:]", "[:", "[a:]", ":]", " ", "\xff", "\x80-\xff", "*")
	}) + r.of("]", "]", "]", "]", "]", "")
}

// pattern is one of anything, or one that may match one of paths.
func (r random) pattern(paths []string) string {
	path := strings.TrimSuffix(paths[r.IntN(len(paths))], "/")
	switch r.IntN(6) {
	case 0, 1, 2:
		return r.near(path)
	case 3:
		return r.around(path)
	}
	return r.some(4, func() string {
		return r.of("a", "b", "c", "ab", ".c", "a", "*", "**", "***", "/", "/**/", "/*/", "**/", "/**", "?", `\`, `\a`, `\/`, " ", `\ `, "\xff", "\r", "#", "!", r.bracket())
	})
}

// near is a pattern that may match path: that, with other ways to say a byte, a
// folder, or the rest of a name.
func (r random) near(path string) string {
	var s strings.Builder
	for i := 0; i < len(path); i++ {
		name, _, more := strings.Cut(path[i:], "/")
		switch {
		case path[i] == '/':
			s.WriteString(r.of("/", "/", "/", `\/`, "/**/", "**/", `**\/`, "/**/*/", "***/", "/*/"))
		case r.IntN(3) > 0:
			s.WriteString(path[i : i+1])
		case more && r.IntN(4) == 0:
			s.WriteString(r.of("**/", "*/", `**\/`, "/"))
			i += len(name)
		default:
			s.WriteString(r.of("?", `\`+path[i:i+1], "*", "*"+path[i:i+1], "**", "["+r.of("", "c", "-", "]", "!c", "^a")+path[i:i+1]+"]", "["+r.of("[:space:]", r.class())+"]", r.bracket()))
			i += r.IntN(2) * r.IntN(len(name)) // which only a star, if anything, stands for
		}
	}
	return s.String()
}

// around is a pattern of the begin of path, as it is or quoted, of two stars, and
// of the end of path.
func (r random) around(path string) string {
	i := r.IntN(len(path))
	j := i + r.IntN(len(path)-i)
	return r.of("", "", `\`, "?"[:min(i, 1)]) + path[:i] + r.of("**", "**/", `**\/`, "/**") + path[j:]
}

func (r random) class() string {
	return "[:" + r.of("alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "upper", "xdigit", "no", "") + ":]"
}

func (r random) line(paths []string) string {
	begin := r.of("", "", "", "", "", "!", "!", "/", "!/", "#", " #", `\#`, `\!`, "**/", "/**/", "//")
	end := r.of("", "", "", "", "", "", "/", "/", " ", `\ `, `\\ `, "\r", " \r", "  ", "**", "/**", "*", "//", `\`)
	return begin + r.pattern(paths) + end
}

func (r random) lines(paths []string) string {
	s := r.of("", "", "", "", "", "\xef\xbb\xbf", "*\n", "/**\n", "*\n!*/\n")
	s += r.some(8, func() string { return r.line(paths) + r.of("\n", "\n", "\n", "\n", "\r\n", "\n\n") })
	return strings.TrimSuffix(s, r.of("\n", ""))
}

func (r random) name() string {
	return r.some(3, func() string {
		return r.of("a", "a", "b", "b", "c", "ab", r.of("*", "?", "[", "]", `\`, " ", "!", "#", "-", ":", ".c", "7", "Z", "\r", "\t", "\v", "\f", "\xff", "\u00e9", "a", "b"))
	})
}

// tree returns n paths that do not contradict each other, of files and of a few
// folders: what is in one tells of it too.
func (r random) tree(n int) (paths []string) {
	files := map[string]bool{}
	folders := map[string]bool{}
	for len(paths) < n {
		var names []string
		for range 1 + r.IntN(5) {
			names = append(names, r.name())
		}
		path := strings.Join(names, "/")
		fits := !files[path] && !folders[path] && !slices.Contains(names, "..") && !slices.Contains(names, ".")
		for i := 1; i < len(names); i++ {
			fits = fits && !files[strings.Join(names[:i], "/")]
		}
		if !fits {
			continue
		}
		for i := 1; i < len(names); i++ {
			folders[strings.Join(names[:i], "/")] = true
		}
		if r.IntN(12) == 0 {
			folders[path] = true
			paths = append(paths, path+"/")
		} else {
			files[path] = true
			paths = append(paths, path)
		}
	}
	return paths
}

// TestGitSaysTheSameOfRandomLines: of 400 texts of lines, or 10,000 with
// UPKEEP_FULL=1 and no race detector, each with a tree of its own.
func TestGitSaysTheSameOfRandomLines(t *testing.T) {
	const texts, paths = 400, 30
	rounds := 1
	if historytest.Full() {
		rounds = 10_000 / texts
	}
	matched := 0
	for seed := range uint64(rounds) {
		r := random{rand.New(rand.NewPCG(seed, 0))}
		questions := make([]question, texts)
		for i := range questions {
			tree := r.tree(paths)
			questions[i] = question{r.lines(tree), tree}
		}
		matched += requireGitSaysTheSame(t, questions)
	}
	all := rounds * texts * paths
	t.Logf("lines say something of %d of %d paths", matched, all)
	require.Greater(t, matched, all/4, "the lines are of these paths")
	require.Less(t, matched, all*3/4, "and not of all")
}
