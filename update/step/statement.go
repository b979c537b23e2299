package step

import (
	"fmt"
	"regexp"
	"strings"
)

// statement is one statement of a migration file.
type statement struct {
	text   string // without its semicolon
	line   int    // where it begins, from 1
	tokens []token
	notes  []note // what comments say before and in it
	back   int    // the line of a comment before it by which tools know what takes a file back
}

// token is a word, a sign, or something in quotes, those included.
type token struct {
	text string
	word bool
}

// note is a comment for us: "-- upkeep: text".
type note struct {
	text string
	line int
}

// enoughTokens are kept of a statement: a COPY may name 1,600 columns.
const enoughTokens = 4000

func (t token) is(word string) bool { return t.word && strings.EqualFold(t.text, word) }

// name is the name that a token stands for, in lower case.
func (t token) name() string { return strings.ToLower(strings.Trim(t.text, "\"'`[]")) }

// begins tells whether a statement begins with words: "UNIQUE?" may be left
// out, "A|B" is either, "*" is any number of tokens, "(" is itself, "$" the end.
func (s statement) begins(words string) bool { return matches(s.tokens, strings.Fields(words)) }

func matches(tokens []token, words []string) bool {
	if len(words) == 0 {
		return true
	}
	if words[0] == "$" {
		return len(tokens) == 0
	}
	word, optional := strings.CutSuffix(words[0], "?")
	if word == "*" {
		return matches(tokens, words[1:]) || len(tokens) > 0 && matches(tokens[1:], words)
	}
	if len(tokens) > 0 {
		for w := range strings.SplitSeq(word, "|") {
			if (tokens[0].is(w) || tokens[0].text == w && !inWord(w[0])) && matches(tokens[1:], words[1:]) {
				return true
			}
		}
	}
	return optional && matches(tokens, words[1:])
}

// split calls f with the statements of a file, one by one, until it fails. It
// knows comments, quotes and the bodies of triggers, functions and rules, and
// nothing else of SQL. Notes after the last statement are those of an empty one.
func split(text string, db engine, f func(statement) error) error {
	r := &reader{text: text, line: 1, pg: db == postgreSQL}
	for {
		s, more, err := r.statement()
		if err != nil {
			return err
		}
		if len(s.tokens) > 0 || len(s.notes) > 0 {
			if err := f(s); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// reader reads a file token by token.
type reader struct {
	text string
	pos  int
	line int
	pg   bool

	// Of the statement that is being read.
	notes []note
	back  int
	begun bool
}

// statement reads up to a semicolon that ends a statement, or the end.
func (r *reader) statement() (s statement, more bool, err error) {
	var body body
	start, end := 0, 0
	for {
		r.begun = len(s.tokens) > 0
		t, err := r.token()
		if err != nil {
			return s, false, err
		}
		if len(s.tokens) == 0 {
			start, s.line = r.pos-len(t.text), r.line-strings.Count(t.text, "\n")
		}
		if t.text == "" || t.text == ";" && body.ended(s, r.pg) {
			if len(s.tokens) > 0 {
				s.text = r.text[start:end]
			}
			s.notes, s.back, r.notes, r.back = r.notes, r.back, nil, 0
			return s, t.text != "", nil
		}
		body.add(t, s, r.pg)
		end = r.pos
		if len(s.tokens) < enoughTokens {
			s.tokens = append(s.tokens, t)
		}
	}
}

// body knows which semicolons are inside a statement.
type body struct {
	last, before token
	parens       int // how many are open
	blocks       int // BEGIN ATOMIC and CASE
}

func (b *body) add(t token, s statement, pg bool) {
	switch {
	case !pg:
	case t.text == "(":
		b.parens++
	case t.text == ")":
		b.parens = max(b.parens-1, 0)
	case b.last.text == "." || b.last.is("AS"): // a name
	case t.is("ATOMIC") && b.last.is("BEGIN") && s.begins("CREATE OR? REPLACE? FUNCTION|PROCEDURE"):
		b.blocks++
	case b.blocks > 0 && t.is("CASE"):
		b.blocks++
	case b.blocks > 0 && t.is("END"):
		b.blocks--
	}
	b.before, b.last = b.last, t
}

// ended tells whether a semicolon ends the statement. If not, it is noted.
func (b *body) ended(s statement, pg bool) bool {
	if pg {
		return b.parens == 0 && b.blocks == 0
	}
	return !s.begins("CREATE TEMP|TEMPORARY? TRIGGER") || b.before.text == ";" && b.last.is("END")
}

// token returns the next token, an empty one at the end.
func (r *reader) token() (token, error) {
	if err := r.skip(); err != nil || r.pos == len(r.text) {
		return token{}, err
	}
	start := r.pos
	c := r.text[start]
	switch {
	case c == '\'' || c == '"' || c == '`' && !r.pg:
		return r.quoted(start, string(c), string(c), false)
	case c == '[' && !r.pg:
		return r.quoted(start, "[", "]", false)
	case c == '$' && r.pg:
		if tag := dollarTag(r.text[start:]); tag != "" {
			return r.quoted(start, tag, tag, false)
		}
	case inWord(c):
		for r.pos < len(r.text) && (inWord(r.text[r.pos]) || r.text[r.pos] == '$') {
			r.pos++
		}
		t := token{r.text[start:r.pos], true}
		if r.pg && t.is("E") && strings.HasPrefix(r.text[r.pos:], "'") {
			return r.quoted(start, "'", "'", true)
		}
		return t, nil
	}
	r.pos++
	return token{r.text[start:r.pos], false}, nil
}

// quoted reads from an opening quote at r.pos to the closing one. A doubled
// quote closes and opens again, which comes to the same for one character.
func (r *reader) quoted(start int, open, closing string, backslash bool) (token, error) {
	from := r.pos + len(open)
	for i := from; i < len(r.text); i++ {
		if backslash && r.text[i] == '\\' {
			i++
			continue
		}
		if !strings.HasPrefix(r.text[i:], closing) {
			continue
		}
		i += len(closing)
		if open == closing && len(closing) == 1 && strings.HasPrefix(r.text[i:], closing) {
			continue // doubled
		}
		r.line += strings.Count(r.text[start:i], "\n")
		r.pos = i
		return token{r.text[start:i], false}, nil
	}
	return token{}, fmt.Errorf("line %d: %s is never closed", r.line, open)
}

// skip reads what is between tokens.
func (r *reader) skip() error {
	for r.pos < len(r.text) {
		rest := r.text[r.pos:]
		switch {
		case rest[0] == '\n':
			r.line++
			r.pos++
		case strings.IndexByte(" \t\r\f\v", rest[0]) >= 0:
			r.pos++
		case !r.pg && strings.HasPrefix(rest, byteOrderMark):
			r.pos += len(byteOrderMark)
		case strings.HasPrefix(rest, "--"):
			r.comment(rest)
		case strings.HasPrefix(rest, "/*"):
			if err := r.block(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// comment reads one up to the end of the line.
func (r *reader) comment(rest string) {
	ends := "\n"
	if r.pg {
		ends = "\r\n"
	}
	n := strings.IndexAny(rest, ends)
	if n < 0 {
		n = len(rest)
	}
	r.pos += n
	const ours = "upkeep:"
	text := strings.TrimSpace(strings.TrimLeft(rest[:n], "-"))
	if len(text) >= len(ours) && strings.EqualFold(text[:len(ours)], ours) {
		text = strings.Join(strings.Fields(strings.ToLower(text[len(ours):])), " ")
		r.notes = append(r.notes, note{text, r.line})
	}
	line := r.text[strings.LastIndexByte(r.text[:r.pos-n], '\n')+1 : r.pos]
	if !r.begun && r.back == 0 && takesBack.MatchString(line) {
		r.back = r.line
	}
}

// takesBack is the line after which files of goose, sql-migrate, dbmate, tern,
// MyBatis and others have what takes the rest back. Each has its own.
var takesBack = regexp.MustCompile(`(?i)^\s*-{2,}[\s=/@!]*(\+?(goose|migrate|micrate|rambler)[\s:]+(down|rollback)(\s+transaction:\w+)?|downs?|undo|create above / drop below)[\s=-]*$`)

// block reads a comment between /* and */, in which PostgreSQL allows others.
func (r *reader) block() error {
	depth, i := 1, r.pos+2
	for ; depth > 0; i++ {
		rest := r.text[i:]
		switch {
		case rest == "":
			return fmt.Errorf("line %d: /* is never closed", r.line)
		case strings.HasPrefix(rest, "*/"):
			depth--
			i++
		case r.pg && strings.HasPrefix(rest, "/*"):
			depth++
			i++
		}
	}
	r.line += strings.Count(r.text[r.pos:i], "\n")
	r.pos = i
	return nil
}

func inWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// dollarTag is the $tag$ that text begins with, or "".
func dollarTag(text string) string {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '$':
			return text[:i+1]
		case !inWord(c) || i == 1 && c >= '0' && c <= '9':
			return ""
		}
	}
	return ""
}
