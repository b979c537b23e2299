package ignore

import "strings"

// glob is a pattern.
type glob struct {
	parts []part // the last is its end
	least int    // bytes that what matches has at least
}

// part is a part of a pattern.
type part struct {
	kind kind
	byte byte
	set  *[256]bool // a slash is in none
}

type kind uint8

const (
	literal kind = iota // this byte
	oneOf               // a byte of the set
	star                // bytes of a name
	tree                // "**": bytes of names, and slashes
	folders             // "**/": no folder, or some and the slash after them
	end
)

var anyByte, _, _ = bracket("!/]") // what "?" stands for

// compile returns the parts of a pattern, or false if no path can match it.
func compile(pattern string) (g glob, ok bool) {
	slash := part{byte: '/'}
	plain := true // whether all that was read stands for itself
	ok = true
	for last := slash; ok && pattern != ""; {
		var next part
		switch pattern[0] {
		case '*':
			next.kind, pattern = stars(pattern, plain || last == slash || last.kind == folders)
		case '?':
			next, pattern = part{kind: oneOf, set: anyByte}, pattern[1:]
		case '[':
			next.kind = oneOf
			next.set, pattern, ok = bracket(pattern[1:])
		default:
			plain = plain && pattern[0] != '\\'
			next.byte, pattern, ok = unquote(pattern)
		}
		plain = plain && next.kind == literal
		if next.kind == folders && last.kind == folders {
			continue // twice is once
		}
		if next.kind == literal || next.kind == oneOf {
			g.least++
		}
		g.parts, last = append(g.parts, next), next
	}
	g.parts = append(g.parts, part{kind: end})
	return g, ok
}

// stars returns what the stars at the begin of a pattern are, and what follows
// them. Two or more cross slashes where both ends are those of a name. Git takes
// for the begin of a name, too, what follows nothing but plain bytes: "a**/b" is
// the a of a name and then "**/b", while "a?**/b" is "a?*/b".
func stars(pattern string, begins bool) (kind, string) {
	rest := strings.TrimLeft(pattern, "*")
	switch {
	case len(pattern)-len(rest) == 1 || !begins:
		return star, rest
	case strings.HasPrefix(rest, "/"):
		return folders, rest[1:]
	case rest == "" || strings.HasPrefix(rest, `\/`):
		return tree, rest
	}
	return star, rest
}

// unquote returns the byte that a pattern begins with, or that its backslash
// quotes, and what follows.
func unquote(pattern string) (b byte, rest string, ok bool) {
	pattern = strings.TrimPrefix(pattern, `\`)
	if pattern == "" {
		return 0, "", false
	}
	return pattern[0], pattern[1:], true
}

// classes are what may be between "[:" and ":]", and the first and the last byte
// of each of its ranges. What is space is what is space to git.
var classes = map[string]string{
	"alnum": "09AZaz", "alpha": "AZaz", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x7f",
	"digit": "09", "graph": "!~", "lower": "az", "print": " ~", "punct": "!/:@[`{~",
	"space": "\t\n\r\r  ", "upper": "AZ", "xdigit": "09AFaf",
}

// bracket returns the set that is written in pattern up to a "]", and what follows
// that. What is not closed, or has a class that git does not know, is no set.
func bracket(pattern string) (set *[256]bool, rest string, ok bool) {
	set, rest = new([256]bool), pattern
	inverted := rest != "" && (rest[0] == '!' || rest[0] == '^')
	if inverted {
		rest = rest[1:]
	}
	low, ranged := byte(0), false // whether a "-" is of a range, which begins at low
	for first := true; first || !strings.HasPrefix(rest, "]"); first = false {
		ranges, after, named := class(rest)
		switch {
		case ranged && len(rest) > 1 && rest[0] == '-' && rest[1] != ']':
			var high byte
			high, rest, ok = unquote(rest[1:])
			ranges, ranged = string([]byte{low, high}), false
		case named:
			rest, ranged, ok = after, false, ranges != ""
		default:
			low, rest, ok = unquote(rest)
			ranges, ranged = string([]byte{low, low}), true
		}
		if !ok {
			return nil, "", false
		}
		for ; ranges != ""; ranges = ranges[2:] {
			for b := int(ranges[0]); b <= int(ranges[1]); b++ {
				set[b] = true
			}
		}
	}
	set['/'] = inverted
	for b := range set {
		set[b] = set[b] != inverted
	}
	return set, rest[1:], true
}

// class returns the ranges of the class that the inside of a bracket begins with,
// of which one that git does not know has none, and what follows it.
func class(pattern string) (ranges, rest string, found bool) {
	name, rest, _ := strings.Cut(pattern, "]")
	name, begins := strings.CutPrefix(name, "[:")
	name, ends := strings.CutSuffix(name, ":")
	return classes[name], rest, begins && ends
}

// takes reports whether p stands for b.
func (p *part) takes(b byte) bool {
	return p.kind == literal && p.byte == b || p.kind == oneOf && p.set[b]
}

// match reports whether all of text matches. After a star it goes on as soon as
// it can, and where that fails, one byte later, or one folder. Only the last star
// and the last "**" need that: of all ways to get past one, the first leaves the
// most to the next. Where the slash after a star is met is the same for all ways
// past the star, which ends there at the latest. So no part meets a place in text
// twice, and steps, which counts these meetings, is at most
// len(parts)*(len(text)+1).
func (g *glob) match(text string) (matched bool, steps int) {
	if len(text) < g.least {
		return false, 0
	}
	// What the last star and the last "**" are, if there is one, and from where
	// they go on.
	type retry struct {
		kind     kind
		part, at int
	}
	var name, deep retry
	for p, at := 0, 0; ; {
		steps++
		switch next := &g.parts[p]; {
		case next.kind == end && at == len(text):
			return true, steps
		case next.kind == star:
			p++
			name = retry{star, p, at}
			continue
		case next.kind == tree || next.kind == folders:
			p++
			deep = retry{next.kind, p, at}
			continue
		case at < len(text) && next.takes(text[at]):
			p, at = p+1, at+1
			continue
		case name.kind == star && name.at < len(text) && text[name.at] != '/':
			name.at++
			p, at = name.part, name.at
			continue
		case deep.kind == tree:
			deep.at++
		case deep.kind == folders && strings.Contains(text[deep.at:], "/"):
			deep.at += strings.IndexByte(text[deep.at:], '/') + 1
		default:
			return false, steps
		}
		if deep.at > len(text) {
			return false, steps
		}
		p, at = deep.part, deep.at
	}
}
