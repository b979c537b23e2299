package ignore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/ignore"
)

// cases are lines, paths, of which those with a slash at the end are folders,
// and the number of the line by which git answers for each, or 0 where none says
// anything. TestGitSaysWhatTheCasesSay asks it.
var cases = []struct {
	name, lines, paths string
	by                 []int
}{
	{"a name matches at every depth, a file or a folder and what is in it", "a", "a b/a c/a/ ab ba a/b A", []int{1, 1, 1, 0, 0, 1, 0}},
	{"the last line wins", "*.o\n!a.o\na.*", "a.o b.o a", []int{3, 1, 0}},
	{"a line keeps what lines before it ignore", "*.o\n!a.o\n", "a.o b.o x/a.o", []int{2, 1, 2}},
	{"a line keeps what no line ignores", "!a", "a a/b", []int{1, 0}},
	{"nothing is kept in a folder that is ignored", "a/\n!a/b\n", "a/ a/b a/b/c", []int{1, 1, 1}},
	{"something is kept in a folder of which all is ignored", "a/*\n!a/b\n", "a/ a/b a/c a/b/c", []int{0, 2, 1, 0}},
	{"a folder of which all is ignored at every depth", "a/**\n!a/b\n", "a/b a/c a/b/c", []int{2, 1, 1}},
	{"everything but what is named", "*\n!*/\n!*.c\n", "a/ x/a.c x/a.h x/d.c/y", []int{2, 3, 1, 1}},
	{"one way down", "/*\n!/a\n/a/*\n!/a/b\n", "x a/x a/b a/b/c b/a", []int{1, 3, 4, 0, 1}},

	{"a comment", "#a\n\\#b\n #c", "#a #b #c \u00a0#c", []int{0, 2, 0, 3}},
	{"a comment is not kept", "*\n!#a", "#a", []int{2}},
	{"an exclamation mark that is quoted", "\\!a\n", "!a a", []int{1, 0}},
	{"two exclamation marks", "*\n!!a\n", "!a a", []int{2, 1}},
	{"an exclamation mark alone", "*\n!\n", "! a", []int{1, 1}},
	{"empty lines", "\n\n  \n\ta\n\n", "a \ta", []int{0, 4}},
	{"no end of the last line", "b\na", "a", []int{2}},

	{"spaces at the end", "a  ", "a a\u00a0", []int{1, 0}},
	{"spaces within", "a b", "a\u00a0b", []int{1}},
	{"spaces at the begin", "  a", "a \u00a0\u00a0a", []int{0, 1}},
	{"a quoted space at the end", "a\\   ", "a a\u00a0 a\u00a0\u00a0", []int{0, 1, 0}},
	{"two quoted spaces at the end", "a\\ \\ ", "a\u00a0 a\u00a0\u00a0", []int{0, 1}},
	{"a space before a quoted one", "a \\ ", "a\u00a0 a\u00a0\u00a0", []int{0, 1}},
	{"a quoted backslash before a space", "a\\\\ ", "a\\ a\\\u00a0", []int{1, 0}},
	{"a quoted backslash before a quoted space", "a\\\\\\ ", "a\\ a\\\u00a0", []int{0, 1}},
	{"a quoted space alone", "\\  ", "\u00a0 \u00a0\u00a0", []int{1, 0}},
	{"a tab at the end is of the name", "a\t", "a a\t", []int{0, 1}},

	{"lines of Windows", "a\r\nb/\r\n\r\n*.c\r\n", "a a\r b/ x.c \r", []int{1, 0, 2, 4, 0}},
	{"a carriage return at the end of the text", "a\r", "a a\r", []int{1, 0}},
	{"two carriage returns", "a\r\r\n", "a a\r a\r\r", []int{0, 1, 0}},
	{"a carriage return within", "a\rb\n", "a\rb", []int{1}},
	{"spaces before a carriage return", "a \r\nb\\ \r\n", "a a\u00a0 b b\u00a0", []int{1, 0, 0, 2}},
	{"a byte order mark", "\xef\xbb\xbfa\n", "a \xef\xbb\xbfa", []int{1, 0}},
	{"a byte order mark before a comment", "\xef\xbb\xbf#a\n", "a #a", []int{0, 0}},
	{"two byte order marks", "\xef\xbb\xbf\xef\xbb\xbfa\n", "a \xef\xbb\xbfa", []int{0, 1}},
	{"a byte order mark in the second line", "x\n\xef\xbb\xbfa\n", "a \xef\xbb\xbfa", []int{0, 2}},

	{"a slash at the end is for folders", "a/", "b/a c/a/ a/ d/a a/b", []int{0, 1, 1, 0, 1}},
	{"a slash at the begin is for the root", "/a", "a b/a a/b", []int{1, 0, 1}},
	{"a slash in the middle is for the root", "a/b", "a/b c/a/b a/b/c a/bc", []int{1, 0, 1, 0}},
	{"a slash at both ends", "/a/", "a/ b/a/ c/a", []int{1, 0, 0}},
	{"a slash alone", "/", "a b/", []int{0, 0}},
	{"two slashes", "//\na//\n//b\nc//d", "a/ b c/d", []int{0, 0, 0}},
	{"a slash after an exclamation mark", "a\n!/a", "a b/a", []int{2, 1}},

	{"a star is for one name", "a/*/b", "a/b a/x/b a/x/y/b", []int{0, 1, 0}},
	{"a star may be nothing", "a*\n*b", "a b", []int{1, 2}},
	{"a star and a point at the begin", "*", ".a", []int{1}},
	{"stars in a name", "a*b*c", "abc axbxc abcb abcbc", []int{1, 1, 0, 1}},
	{"a star goes on after what looked like the rest", "*ab*ac\n/*ab/*d", "ababac abababd xab/abcd", []int{1, 0, 2}},
	{"stars that are exponential to some", strings.Repeat("*a", 20) + "b", strings.Repeat("a", 200), []int{0}},
	{"a question mark is one byte", "?", "a ab \xff \u00e4", []int{1, 0, 1, 0}},
	{"a question mark is no slash", "/a?b", "a/b axb", []int{0, 1}},

	{"two stars before a slash", "**/a", "a x/a x/y/a xa x/xa", []int{1, 1, 1, 0, 0}},
	{"two stars before a path", "**/a/b", "a/b x/a/b x/y/a/b xa/b", []int{1, 1, 1, 0}},
	{"two stars after a slash", "a/**", "a/ a/b a/b/c x/a/b", []int{0, 1, 1, 0}},
	{"two stars between slashes", "a/**/b", "a/b a/x/b a/x/y/b ab a/xb x/a/b", []int{1, 1, 1, 0, 0, 0}},
	{"two stars twice", "a/**/b/**/c", "a/b/c a/x/b/y/z/c a/b/b/c a/c a/b/x", []int{1, 1, 1, 0, 0}},
	{"two stars twice in a row", "a/**/**/b\n**/**/c", "a/b a/x/b a/x/y/b c x/y/c", []int{1, 1, 1, 2, 2}},
	{"two stars go on after what looked like the rest", "a/**/b/*d/e", "a/b/cd/f/b/dd/e a/b/cd/f/b/dd/f", []int{1, 0}},
	{"two stars and a star", "a/**/*.c", "a/x.c a/b/x.c x.c", []int{1, 1, 0}},
	{"two stars are for folders before a slash at the end", "**/", "a b/ b/c", []int{0, 1, 1}},
	{"two stars alone", "**", "a b/c", []int{1, 1}},
	{"three stars", "a/***/b\n***/c", "a/b a/x/y/b c x/y/c", []int{1, 1, 2, 2}},
	{"two stars before a name are one", "a/**b\n**c/d", "a/b a/xb a/x/b c/d x/c/d", []int{1, 1, 0, 2, 0}},
	{"two stars after a name are two", "a**/b", "ab a/b ax/b a/x/b ax/y/b xab", []int{1, 1, 1, 1, 1, 0}},
	{"two stars at the end of a path are two", "a\n!a/b**", "a/ a/b", []int{1, 1}},
	{"two stars at the end of a path keep what is below", "*.c\n!a/b**", "a/b.c a/b/x.c a/bb/x.c a/x.c", []int{2, 2, 2, 1}},
	{"two stars after a mark are one", "a?**/b\n[c]**/b\n\\d**/b", "ax/b axy/b ax/y/b cx/b c/x/b dx/b d/x/b", []int{1, 1, 0, 2, 0, 3, 0}},
	{"two stars between names are one", "/a**b", "ab axb a/b", []int{1, 1, 0}},
	{"two stars before a quoted slash are a folder or more", "a/**\\/b", "a/b a/x/b a/x/y/b", []int{0, 1, 1}},
	{"two stars after a quoted slash", "a\\/**/b", "a/b a/x/y/b", []int{1, 1}},
	{"a star that is quoted before a star", "\\**/b", "*/b *a/b a/b */x/b", []int{1, 1, 0, 0}},

	{"a backslash quotes", "\\a\\*\\?\\[\\\\", "a*?[\\ ab?[\\", []int{1, 0}},
	{"a backslash quotes a slash", "a\\/b", "a/b x/a/b", []int{1, 0}},
	{"a backslash at the end", "a\\\n*\\", "a a\\", []int{0, 0}},
	{"a backslash before the slash at the end", "a\\/", "a/ a\\/", []int{0, 0}},
	{"two backslashes at the end", "a\\\\", "a a\\", []int{0, 1}},

	{"a bracket", "[abc]x", "ax bx dx x [abc]x", []int{1, 1, 0, 0, 0}},
	{"a range", "[b-d]", "a b c d e -", []int{0, 1, 1, 1, 0, 0}},
	{"a range that ends before it begins has its begin", "[d-b]", "b c d -", []int{0, 0, 1, 0}},
	{"a minus that is no range", "[-a]x\n[b-]y", "-x ax -y by cx", []int{1, 1, 2, 2, 0}},
	{"a minus after a range", "[a-c-e]", "b - d e", []int{1, 1, 0, 1}},
	{"a range from minus to minus", "[---]\n[+--]", "- + , .", []int{2, 2, 2, 0}},
	{"two ways to invert", "[!a]\n[^b]x", "a b ax bx", []int{0, 1, 2, 0}},
	{"marks that do not invert", "[a!]\n[b^]\n[!!]x\n[\\!c]y", "! ^ !x ax !y ay", []int{1, 2, 0, 3, 4, 0}},
	{"a bracket is no slash", "a[/]b\nc[^x]d\ne[.-0]f", "a/b c/d e/f e.f", []int{0, 0, 0, 3}},
	{"a bracket that closes is in it first", "[]]\n[!]]x\n[]-a]y", "] ]x ax ^y by", []int{1, 0, 2, 3, 0}},
	{"a bracket that is quoted in one", "[\\]]\n[a\\-c]x", "] \\ ax bx -x cx", []int{1, 0, 2, 0, 2, 2}},
	{"a quoted end of a range", "[a-\\c]\n[\\x-z]", "b y \\", []int{1, 2, 0}},
	{"a bracket that is not closed matches nothing", "[\na[\nb[c\n[]\n[!]\n[d-\n[e\\]", "[ a[ b[c bc [] ] d e", []int{0, 0, 0, 0, 0, 0, 0, 0}},
	{"a bracket opens in one", "[[]\n[[a]x", "[ [x ax", []int{1, 2, 2}},
	{"stars and marks in a bracket are themselves", "[*?]", "* ? a", []int{1, 1, 0}},
	{"bytes of a bracket", "[\u00e9]x\n[\x80-\xff]y", "\u00e9x \xc3x \x90y \x7fy", []int{0, 1, 2, 0}},
	{"a class", "[[:digit:]]", "5 a : d", []int{1, 0, 0, 0}},
	{"a class and more", "[x[:digit:]y]\n[![:alpha:]1]z", "x 5 y az 1z 2z", []int{1, 1, 1, 0, 0, 2}},
	{"classes", "[[:alnum:]]0\n[[:blank:]]1\n[[:cntrl:]]2\n[[:graph:]]3\n[[:lower:]]4\n[[:print:]]5\n[[:punct:]]6\n[[:upper:]]7\n[[:xdigit:]]8",
		"Z0 \t1 \x7f2 ~3 a4 A4 \u00a05 `6 a6 B7 b7 F8 g8", []int{1, 2, 3, 4, 5, 0, 6, 7, 0, 8, 0, 9, 0}},
	{"space has no vertical tab and no form feed", "[[:space:]]", "\u00a0 \t \r \v \f", []int{1, 1, 1, 0, 0}},
	{"a class that is none", "[[:word:]]\n[a[:DIGIT:]]\n[![:foo:]]\n[[::]]", "a 5 : [ :]", []int{0, 0, 0, 0, 0}},
	{"what looks like a class", "[:digit:]\n[[:]x\n[[:a]b:]\n[[.a.]]", "d 5 [x :x ab:] a", []int{1, 0, 2, 2, 3, 0}},
	{"a minus at a class is no range", "[[:digit:]-z]\n[a-[:digit:]", "- z m a", []int{1, 1, 0, 2}},
	{"the bytes of Unicode", "\u00e4*\n\xff", "\u00e4b \u00e4 \xff \u00c4b", []int{1, 1, 2, 0}},
	{"a name of many bytes", strings.Repeat("x", 250) + "*", strings.Repeat("x", 255) + " " + strings.Repeat("x", 249), []int{1, 0}},
}

// each calls use for each path of the cases, in which a no-break space stands for
// a space.
func each(use func(name, lines, path string, folder bool, by int)) {
	for _, tt := range cases {
		for i, path := range strings.Split(tt.paths, " ") {
			path, folder := strings.CutSuffix(strings.ReplaceAll(path, "\u00a0", " "), "/")
			use(tt.name, strings.ReplaceAll(tt.lines, "\u00a0", " "), path, folder, tt.by[i])
		}
	}
}

// said is what a rule says: its line, or "" where none says anything.
func said(by ignore.Rule, ok bool) string {
	if !ok {
		return ""
	}
	return by.String()
}

func TestAPathIsIgnoredByTheLineThatGitNames(t *testing.T) {
	each(func(name, lines, path string, folder bool, by int) {
		rules, err := ignore.Parse("", []byte(lines))
		require.NoError(t, err)
		rule, ok := rules.Why(path, folder)
		require.Equal(t, by, rule.Line, "%s: %q of %q", name, path, lines)
		require.Equal(t, by > 0, ok)
		require.Equal(t, ok && !strings.HasPrefix(rule.Text, "!"), rules.Match(path, folder), "%s: %q of %q", name, path, lines)
	})
}

func TestAWalkThatEntersNoIgnoredFolderNeedsNotLookAtThem(t *testing.T) {
	rules, err := ignore.Parse("", []byte("a/\n!a/b\n*.c\n"))
	require.NoError(t, err)
	require.True(t, rules.MatchEntry("a", true))
	require.True(t, rules.Match("a/b", false))
	require.False(t, rules.MatchEntry("a/b", false), "nobody asks for what is in a")
	require.True(t, rules.MatchEntry("b/x.c", false))
}

func TestTheRootIsNeverIgnored(t *testing.T) {
	rules, err := ignore.Parse("", []byte("*\n.*\n/**\n"))
	require.NoError(t, err)
	require.False(t, rules.Match(".", true))
	require.False(t, rules.MatchEntry(".", true))
	require.True(t, rules.Match(".a", true))
}

func TestNoRulesIgnoreNothing(t *testing.T) {
	require.False(t, ignore.Rules{}.Match("a/b", false))
	_, ok := ignore.Rules{}.Why("a/b", false)
	require.False(t, ok)
}

func TestLaterRulesAreStrongerAndLeaveTheEarlierAlone(t *testing.T) {
	first, err := ignore.Parse("Config.Ignore", []byte("*.o\n*.c"))
	require.NoError(t, err)
	second, err := first.With(".syncignore", []byte("\xef\xbb\xbf# what people want\n!a.o  \r\n"))
	require.NoError(t, err)
	other, err := first.With("other", []byte("!b.o"))
	require.NoError(t, err)
	for _, tt := range []struct {
		rules ignore.Rules
		path  string
		want  string
	}{
		{first, "a.o", "Config.Ignore:1: *.o"},
		{second, "a.o", ".syncignore:2: !a.o"},
		{second, "b.o", "Config.Ignore:1: *.o"},
		{second, "x/a.c/b", "Config.Ignore:2: *.c"},
		{second, "a", ""},
		{other, "a.o", "Config.Ignore:1: *.o"},
		{other, "b.o", "other:1: !b.o"},
	} {
		require.Equal(t, tt.want, said(tt.rules.Why(tt.path, false)), tt.path)
	}
}

func TestWhatIsRefusedNamesItsLine(t *testing.T) {
	longest := strings.Repeat("a", ignore.MaxLine)
	most := strings.Repeat("a\n", ignore.MaxRules)
	for lines, want := range map[string]string{
		longest + "\r\n" + longest:       "",
		"a\n" + longest + "a\n":          fmt.Sprintf("ignore: here:2: a line of more than %d bytes", ignore.MaxLine),
		"a\n\n#" + longest:               fmt.Sprintf("ignore: here:3: a line of more than %d bytes", ignore.MaxLine),
		most + "\n#\n[\n":                "",
		"#\n" + most + "\nb":             fmt.Sprintf("ignore: here:%d: more than %d rules", ignore.MaxRules+3, ignore.MaxRules),
		"\xff\xfea\x00\n\x00b\x00\n\x00": "ignore: here:1: a zero byte: the text may be UTF-16, and has to be UTF-8",
		"a\nb\x00c":                      "ignore: here:2: a zero byte: the text may be UTF-16, and has to be UTF-8",
	} {
		_, err := ignore.Parse("here", []byte(lines))
		if want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, want)
		}
	}
	full, err := ignore.Parse("", []byte(most))
	require.NoError(t, err)
	_, err = full.With("more", []byte("#\nb"))
	require.EqualError(t, err, fmt.Sprintf("ignore: more:2: more than %d rules", ignore.MaxRules))
	require.True(t, full.Match("a", false), "what is refused changes nothing")
}
