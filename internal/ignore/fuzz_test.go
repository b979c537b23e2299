package ignore_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/ignore"
)

func TestAMatchLooksAtNoPartTwiceAtOnePlace(t *testing.T) {
	const n = 2000
	for _, tt := range []struct{ line, path string }{
		{strings.Repeat("*a", 30) + "b", strings.Repeat("a", n)},
		{strings.Repeat("*a", n/2) + "b", strings.Repeat("a", n)},
		{strings.Repeat("a*", n/3) + "b", strings.Repeat("a", n)},
		{"*" + strings.Repeat("a", n/2) + "b", strings.Repeat("a", n)},
		{strings.Repeat("**/*a", 30) + "/b", strings.Repeat("a/", n/2) + "a"},
		{strings.Repeat("**/a/", 30) + "b", strings.Repeat("a/", n/2) + "a"},
		{"**/" + strings.Repeat("a/", n/4) + "b", strings.Repeat("a/", n/2) + "a"},
		{strings.Repeat("**/*/", n/4) + "b", strings.Repeat("a/", n/2) + "a"},
		{strings.Repeat("a/**/", n/5) + "b", strings.Repeat("a/", n/2) + "a"},
		{"**/" + strings.Repeat("*a*/", n/8) + "b", strings.Repeat("aaa/", n/4) + "a"},
		{"**/" + strings.Repeat("*a", 30) + "/b", strings.Repeat(strings.Repeat("a", 99)+"/", n/100) + "a"},
		{"a" + strings.Repeat(`**\/*`, 30) + "/b", strings.Repeat("a/", n/2) + "a"},
		{strings.Repeat("[!b]*", n/3) + "b", strings.Repeat("a", n)},
	} {
		rules, err := ignore.Parse("", []byte(tt.line))
		require.NoError(t, err)
		require.False(t, rules.MatchEntry(tt.path, false))
		taken, most := rules.Steps(tt.path)
		require.Greater(t, taken, n/3, "%.50s… does look at the path", tt.line)
		require.LessOrEqual(t, taken, most, "%.50s…", tt.line)
		require.LessOrEqual(t, most, 3*(len(tt.path)+1)*(len(tt.path)+1), "%.50s…", tt.line)
		t.Logf("%.20s…: %d steps, of %d that are allowed", tt.line, taken, most)
	}
	rules, err := ignore.Parse("", []byte(strings.Repeat("*a", n)))
	require.NoError(t, err)
	taken, _ := rules.Steps(strings.Repeat("a", n-1))
	require.Zero(t, taken, "the path is too short, whatever the stars are")
}

// FuzzIgnore asks for what holds of all rules; TestGitSaysTheSameOfRandomLines
// asks whether they are those of git.
func FuzzIgnore(f *testing.F) {
	each(func(_, lines, path string, _ bool, _ int) { f.Add([]byte(lines), path) })
	f.Add([]byte("a/**/b*c/**/*[!d]\n!a"), "a/b/bcc/bc/d")
	f.Fuzz(func(t *testing.T, lines []byte, path string) {
		elements := strings.Split(path, "/")
		odd := func(name string) bool { return name == "" || name == "." || name == ".." }
		if slices.ContainsFunc(elements, odd) || strings.Contains(path, "\x00") || len(path) > 200 || len(lines) > 4<<10 {
			return
		}
		rules, err := ignore.Parse("", lines)
		if err != nil {
			return
		}
		taken, most := rules.Steps(path)
		require.LessOrEqual(t, taken, most)

		above := false
		for i := range elements {
			parent, last := strings.Join(elements[:i+1], "/"), i == len(elements)-1
			for _, folder := range []bool{true, false} {
				ignored := rules.Match(parent, folder)
				require.Equal(t, above || rules.MatchEntry(parent, folder), ignored, "a path is ignored that is in an ignored folder, or by itself")
				by, ok := rules.Why(parent, folder)
				require.Equal(t, ok && !strings.HasPrefix(by.Text, "!"), ignored)
				require.Equal(t, ok, by.Line > 0 && by.Text != "")
				if !folder && !last {
					above = rules.Match(parent, true)
				}
			}
		}
		requireLast(t, rules, path)
		requireHalves(t, rules, lines, path)
	})
}

// requireLast checks that one line more decides, whatever was before.
func requireLast(t *testing.T, rules ignore.Rules, path string) {
	for line, want := range map[string]bool{"*": true, "!*": false, "/**": true, "!**/*": false, "/" + quoted(path): true} {
		more, err := rules.With("more", []byte(line))
		require.NoError(t, err)
		require.Equal(t, want, more.MatchEntry(path, false), line)
	}
}

// quoted returns the pattern that matches path only.
func quoted(path string) string {
	var s strings.Builder
	for i := range len(path) {
		if path[i] == '\n' {
			return "**" // no line has one
		}
		s.WriteString(`\` + path[i:i+1])
	}
	return s.String() + "\r" // or one of the path would be of the line
}

// requireHalves checks that the same lines, from two texts, say the same.
func requireHalves(t *testing.T, rules ignore.Rules, lines []byte, path string) {
	text := string(lines)
	at := strings.Index(text, "\n") + 1
	if strings.HasPrefix(text[at:], "\xef\xbb\xbf") {
		return // it would be the begin of the second
	}
	first, err := ignore.Parse("", []byte(text[:at]))
	require.NoError(t, err)
	both, err := first.With("", []byte(text[at:]))
	require.NoError(t, err)
	whole, _ := rules.Why(path, false)
	half, _ := both.Why(path, false)
	require.Equal(t, whole.Text, half.Text)
	require.Equal(t, rules.Match(path, true), both.Match(path, true))
}

// BenchmarkMatch asks for the files of a tree of source code by rules as a
// project has them, and for one that is made to be slow.
func BenchmarkMatch(b *testing.B) {
	usual := strings.Repeat("*.o\n*.[ao]\n*~\n.DS_Store\n/build/\nnode_modules/\n**/testdata/*.tmp\ndoc/**/*.html\n!keep.o\n*.log\n", 5)
	for _, bb := range []struct{ name, lines, path string }{
		{"usual/50 rules", usual, "internal/storage/sqlstore/migrations/0001_begin.sql"},
		{"stars/1 rule", "*" + strings.Repeat("a", 125) + "b", strings.Repeat("a", 250)},
		{"folders/1 rule", "**/" + strings.Repeat("a/", 500) + "b", strings.Repeat("a/", 1000) + "c"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			rules, err := ignore.Parse("", []byte(bb.lines))
			require.NoError(b, err)
			require.True(b, fs.ValidPath(bb.path))
			b.ReportAllocs()
			for b.Loop() {
				rules.MatchEntry(bb.path, false)
			}
		})
	}
}
