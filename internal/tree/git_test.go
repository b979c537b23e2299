package tree_test

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/tree"
)

// TestGitMergesAlike: where git finds no conflict, it makes the same tree. It
// knows no empty folders.
func TestGitMergesAlike(t *testing.T) {
	_, err := exec.LookPath("git")
	needstest.Tool(t, "git", err == nil)
	seeds := 100
	if historytest.Full() {
		seeds = 1000
	}
	repository := t.TempDir()
	git := func(in string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", repository, "-c", "merge.renames=false"}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		return string(out), err
	}
	_, err = git("", "init", "-q", "--bare")
	require.NoError(t, err)

	var stream strings.Builder
	wanted := make([]string, seeds)
	for seed := range seeds {
		base, ours, theirs := sides(historytest.Random(uint64(seed)))
		in, _ := fresh()
		id, err := tree.Merger{Trees: in}.Merge(t.Context(), write(t, in, base), write(t, in, ours), write(t, in, theirs))
		require.NoError(t, err)
		wanted[seed] = listing(read(t, in, id))
		commit(&stream, fmt.Sprint("refs/heads/base", seed), "", base)
		commit(&stream, fmt.Sprint("refs/heads/ours", seed), fmt.Sprint("refs/heads/base", seed), ours)
		commit(&stream, fmt.Sprint("refs/heads/theirs", seed), fmt.Sprint("refs/heads/base", seed), theirs)
	}
	_, err = git(stream.String(), "fast-import", "--quiet")
	require.NoError(t, err)
	agreed := 0
	for seed := range seeds {
		out, err := git("", "merge-tree", "--write-tree", fmt.Sprint("theirs", seed), fmt.Sprint("ours", seed))
		if err != nil {
			continue // a conflict
		}
		merged, err := git("", "ls-tree", "-r", "--format=%(objectmode) %(path)", strings.TrimSpace(out))
		require.NoError(t, err)
		var lines []string
		for line := range strings.Lines(merged) {
			mode, path, _ := strings.Cut(strings.TrimSpace(line), " ")
			content, err := git("", "cat-file", "blob", strings.TrimSpace(out)+":"+path)
			require.NoError(t, err)
			lines = append(lines, mode+" "+path+"="+content)
		}
		slices.Sort(lines)
		require.Equal(t, strings.Join(lines, "\n"), wanted[seed], "seed %d", seed)
		agreed++
	}
	t.Logf("git finds no conflict in %d of %d histories", agreed, seeds)
	require.Greater(t, agreed, seeds/10)
}

// sides are a base, and what came of it on each side. No two edits have one
// content, which git would take for a rename.
func sides(steps []historytest.Step) (base, ours, theirs paths) {
	base, third := make(paths), len(steps)/3
	one := func(p paths, i int) {
		edit(p, steps[i])
		path := names[int(steps[i][1])%len(names)]
		if e, ok := p[path]; ok && e.Kind == tree.File {
			fresh := parse(fmt.Sprint("x=edit", i))["x"]
			fresh.Mode = e.Mode
			p.put(path, fresh)
		} else if ok && e.Kind == tree.Link {
			e.Link = fmt.Sprint("edit", i)
			p[path] = e
		}
	}
	for i := range third {
		one(base, i)
	}
	ours, theirs = maps.Clone(base), maps.Clone(base)
	for i := third; i < min(third+4, len(steps)); i++ { // few meet
		one([]paths{ours, theirs}[i%2], i)
	}
	for _, p := range []paths{base, ours, theirs} {
		maps.DeleteFunc(p, func(path string, e tree.Entry) bool { return e.Kind == tree.Folder && !p.hasFiles(path) })
	}
	return base, ours, theirs
}

func (p paths) hasFiles(folder string) bool {
	for path, e := range p {
		if e.Kind != tree.Folder && strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}

// listing has a line for each file and link, by its mode in git.
func listing(p paths) string {
	var lines []string
	for path, e := range p {
		if e.Kind != tree.Folder {
			lines = append(lines, gitMode(e)+" "+path+"="+contentOf(e))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func gitMode(e tree.Entry) string {
	switch {
	case e.Kind == tree.Link:
		return "120000"
	case e.Mode&0o100 != 0:
		return "100755"
	}
	return "100644"
}

func contentOf(e tree.Entry) (content string) {
	if e.Kind == tree.Link {
		return e.Link
	}
	for _, id := range e.Chunks {
		content += texts[id]
	}
	return content
}

// commit writes a commit for git fast-import.
func commit(b *strings.Builder, ref, from string, p paths) {
	fmt.Fprintf(b, "commit %s\ncommitter a <a@example.com> 0 +0000\ndata 0\n\n", ref)
	if from != "" {
		fmt.Fprintf(b, "from %s\n", from)
	}
	fmt.Fprint(b, "deleteall\n")
	for _, path := range slices.Sorted(maps.Keys(p)) {
		if e := p[path]; e.Kind != tree.Folder {
			content := contentOf(e)
			fmt.Fprintf(b, "M %s inline %s\ndata %d\n%s\n", gitMode(e), path, len(content), content)
		}
	}
	fmt.Fprint(b, "\n")
}
