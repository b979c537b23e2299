// Package ignore tells which files of a tree are ignored, by the rules that git
// has for .gitignore: the same lines give the same answers. Paths and rules are
// bytes, and upper case is not lower case, on every system.
//
// Read ignore.go for the lines and glob.go for the patterns.
//
// Source: gitignore(5), and where that is silent or wrong, what git check-ignore
// of git 2.39 answers: the tests ask it.
package ignore

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// The limits of rules. Stars need none: a match looks at each part of a pattern
// at most once for each byte of the path.
const (
	MaxLine  = 4 << 10 // bytes of a line: a path of Linux has no more
	MaxRules = 10_000  // of all sources; comments and empty lines are none
)

// Rule is a line that ignores paths, or keeps them if it begins with "!".
type Rule struct {
	Source string // as Parse was told
	Line   int    // from 1
	Text   string // without its end and the spaces before that
}

// String returns where the rule is from, and the rule.
func (r Rule) String() string { return fmt.Sprintf("%s:%d: %s", r.Source, r.Line, r.Text) }

// rule is a Rule as it is applied.
type rule struct {
	Rule
	keeps   bool // "!": what matches is not ignored
	folders bool // "/" at the end: nothing else matches
	rooted  bool // "/" elsewhere: the whole path has to match, not its last name
	glob    glob
}

// Rules tell which paths are ignored. The zero Rules ignore none. They do not
// change, and may be used by many goroutines.
//
// Paths are those of io/fs: relative to the folder that the rules are for, with
// slashes, and without ".." or a slash at an end. The folder itself, ".", is
// never ignored.
type Rules struct{ list []rule }

// Parse returns the rules of text, which is from source, such as ".syncignore".
// The error names the line that is beyond a limit or has a zero byte, as those of
// UTF-16 have; git would cut it there.
func Parse(source string, text []byte) (Rules, error) { return Rules{}.With(source, text) }

// With returns the rules of r and, after them and so stronger, those of text, as
// Parse reads them.
func (r Rules) With(source string, text []byte) (Rules, error) {
	list, number := slices.Clone(r.list), 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))) {
		number++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		refuse := func(why string) (Rules, error) {
			return Rules{}, fmt.Errorf("ignore: %s:%d: %s", source, number, why)
		}
		if len(line) > MaxLine {
			return refuse(fmt.Sprintf("a line of more than %d bytes", MaxLine))
		}
		if bytes.IndexByte(line, 0) >= 0 {
			return refuse("a zero byte: the text may be UTF-16, and has to be UTF-8")
		}
		if next, ok := parse(trim(string(line))); ok {
			next.Source, next.Line = source, number
			list = append(list, next)
		}
		if len(list) > MaxRules {
			return refuse(fmt.Sprintf("more than %d rules", MaxRules))
		}
	}
	return Rules{list}, nil
}

// trim returns line without the spaces at its end, but for one that a backslash
// quotes.
func trim(line string) string {
	short := strings.TrimRight(line, " ")
	backslashes := len(short) - len(strings.TrimRight(short, `\`))
	return line[:min(len(short)+backslashes%2, len(line))]
}

// parse returns the rule of a line, or false if that can match nothing.
func parse(line string) (r rule, ok bool) {
	r.Text = line
	if strings.HasPrefix(line, "#") {
		return r, false
	}
	line, r.keeps = strings.CutPrefix(line, "!")
	line, r.folders = strings.CutSuffix(line, "/")
	r.rooted = strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	r.glob, ok = compile(line)
	return r, ok && line != ""
}

// Match reports whether path, which is that of a folder or not, is ignored, as
// all is that is in an ignored folder. A link to a folder is none.
func (r Rules) Match(path string, folder bool) bool { return r.why(path, folder).ignores() }

// MatchEntry is Match for a path in folders of which none is ignored, as that of
// a walk that enters no others: it does not look at them.
func (r Rules) MatchEntry(path string, folder bool) bool { return r.last(path, folder).ignores() }

// Why returns the rule by which Match answers for path: the one that ignores it
// or the uppermost ignored folder that it is in, or the "!" by which it is kept.
// It returns false if path is kept because no rule matches it.
func (r Rules) Why(path string, folder bool) (Rule, bool) {
	if by := r.why(path, folder); by != nil {
		return by.Rule, true
	}
	return Rule{}, false
}

// why returns the rule that decides on path, or nil.
func (r Rules) why(path string, folder bool) *rule {
	for i := range len(path) {
		if path[i] != '/' {
			continue
		}
		if above := r.last(path[:i], true); above.ignores() {
			return above
		}
	}
	return r.last(path, folder)
}

// last returns the last rule that matches path itself, or nil.
func (r Rules) last(path string, folder bool) *rule {
	if path == "." {
		return nil
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	for i := len(r.list) - 1; i >= 0; i-- {
		rule := &r.list[i]
		if rule.folders && !folder {
			continue
		}
		text := name
		if rule.rooted {
			text = path
		}
		if matched, _ := rule.glob.match(text); matched {
			return rule
		}
	}
	return nil
}

func (r *rule) ignores() bool { return r != nil && !r.keeps }
