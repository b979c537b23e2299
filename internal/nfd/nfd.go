// Package nfd has the canonical decomposition of Unicode, by which two spellings of
// a name are known to be the same text.
//
// Source: Unicode Standard Annex 15, "Unicode Normalization Forms", with the tables
// of Unicode 14; that of what later versions added is as it was given.
package nfd

import (
	_ "embed" // the tables
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

var (
	//go:embed decompositions.txt
	decompositions string // a line for each character, with all that it consists of
	//go:embed classes.txt
	classes string // first and last of marks, and their combining class
)

// table is what the files say.
type table struct {
	parts  map[rune]string
	ranges []marks
}

// marks are those of one combining class, one after the other.
type marks struct {
	first, last rune
	class       int
}

// tables are read when the first name needs them. A program that asks for none does
// not have them: nothing is made of them where it starts.
var tables struct {
	once sync.Once
	table
}

func read() table {
	tables.once.Do(func() { tables.table = parsed() })
	return tables.table
}

func parsed() table {
	t := table{parts: make(map[rune]string)}
	for line := range strings.Lines(decompositions) {
		whole, parts, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		r, _ := utf8.DecodeRuneInString(whole)
		t.parts[r] = parts
	}
	for line := range strings.Lines(classes) {
		var m marks
		if _, err := fmt.Sscanf(line, "%x %x %d", &m.first, &m.last, &m.class); err != nil {
			panic(err) // it is part of the program
		}
		t.ranges = append(t.ranges, m)
	}
	return t
}

// class is the combining class of a character, 0 for what is no mark.
func (t table) class(r rune) int {
	i, found := slices.BinarySearchFunc(t.ranges, r, func(m marks, r rune) int {
		switch {
		case m.last < r:
			return -1
		case m.first > r:
			return 1
		}
		return 0
	})
	if !found {
		return 0
	}
	return t.ranges[i].class
}

// Form returns a name decomposed, which is the same for all names of one text. A
// name that is not UTF-8 is as it was given.
func Form(name string) string {
	if isASCII(name) || !utf8.ValidString(name) {
		return name
	}
	t := read()
	var all []rune
	for _, r := range name {
		all = t.decompose(all, r)
	}
	for i := 0; i < len(all); i++ { // marks by their class, else as they came
		if t.class(all[i]) == 0 {
			continue
		}
		end := i + 1
		for end < len(all) && t.class(all[end]) != 0 {
			end++
		}
		slices.SortStableFunc(all[i:end], func(a, b rune) int { return t.class(a) - t.class(b) })
		i = end
	}
	return string(all)
}

func isASCII(name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// decompose appends what a character consists of.
func (t table) decompose(to []rune, r rune) []rune {
	const ( // of the syllables of Hangul, which have no table
		first, last      = 0xAC00, 0xD7A3
		lead, vowel      = 0x1100, 0x1161
		trail            = 0x11A7
		vowels, perVowel = 21, 28
	)
	if r < first || r > last {
		if parts, ok := t.parts[r]; ok {
			return append(to, []rune(parts)...)
		}
		return append(to, r)
	}
	s := r - first
	to = append(to, lead+s/(vowels*perVowel), vowel+s/perVowel%vowels)
	if s%perVowel > 0 {
		to = append(to, trail+s%perVowel)
	}
	return to
}
