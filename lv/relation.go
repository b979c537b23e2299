package lv

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Relation is how a Rule compares. An attribute that is missing matches
// RelationNotExists alone. Other spellings that Wuji's users know are read
// too: = == != ne > >= ge < <= le contains notContains nin matches percent.
type Relation string

// The relations. Value is text unless it says otherwise.
const (
	RelationEquals        Relation = "eq"  // as text, or as numbers if Value is a number
	RelationNotEquals     Relation = "neq" // likewise
	RelationGreater       Relation = "gt"  // as numbers if Value reads as one, then never of other text; else as text
	RelationAtLeast       Relation = "gte"
	RelationLess          Relation = "lt"
	RelationAtMost        Relation = "lte"
	RelationIn            Relation = "in"    // Value is a list, each compared as by eq
	RelationNotIn         Relation = "notIn" // likewise
	RelationIncludes      Relation = "includes"
	RelationNotIncludes   Relation = "notIncludes"
	RelationStartsWith    Relation = "startsWith"
	RelationEndsWith      Relation = "endsWith"
	RelationMatches       Relation = "regex"  // RE2, anywhere in the attribute; never one longer than 2 KiB
	RelationExists        Relation = "exists" // Value is not looked at
	RelationNotExists     Relation = "notExists"
	RelationVersionEquals Relation = "semverEq" // as versions, as github.com/hashicorp/go-version compares them
	RelationVersionAbove  Relation = "semverGt"
	RelationVersionFrom   Relation = "semverGte"
	RelationVersionBelow  Relation = "semverLt"
	RelationVersionUpTo   Relation = "semverLte"
	RelationBefore        Relation = "before"     // RFC 3339, or a date, which begins at midnight UTC
	RelationAfter         Relation = "after"      // likewise
	RelationPercent       Relation = "percentage" // Value is a Percentage; an empty attribute is a missing one
)

var relationAliases = map[Relation]Relation{
	"=": RelationEquals, "==": RelationEquals, "===": RelationEquals, "equals": RelationEquals,
	"!=": RelationNotEquals, "!==": RelationNotEquals, "ne": RelationNotEquals, "notEquals": RelationNotEquals,
	">": RelationGreater, ">=": RelationAtLeast, "ge": RelationAtLeast,
	"<": RelationLess, "<=": RelationAtMost, "le": RelationAtMost,
	"nin": RelationNotIn, "contains": RelationIncludes, "notContains": RelationNotIncludes,
	"matches": RelationMatches, "percent": RelationPercent,
}

func (r Relation) canonical() Relation {
	if c, ok := relationAliases[r]; ok {
		return c
	}
	return r
}

// holds says whether a relation holds for an attribute that is there.
type holds func(attribute string) bool

// relations compiles each relation that has one value.
var relations = map[Relation]func(v *operand) (holds, error){
	RelationEquals:    func(v *operand) (holds, error) { return v.equals, nil },
	RelationNotEquals: func(v *operand) (holds, error) { return not(v.equals), nil },

	RelationGreater: func(v *operand) (holds, error) { return v.ordered(above), nil },
	RelationAtLeast: func(v *operand) (holds, error) { return v.ordered(from), nil },
	RelationLess:    func(v *operand) (holds, error) { return v.ordered(below), nil },
	RelationAtMost:  func(v *operand) (holds, error) { return v.ordered(upTo), nil },

	RelationIncludes:    (*operand).includes,
	RelationNotIncludes: func(v *operand) (holds, error) { return v.part(lacks) },
	RelationStartsWith:  func(v *operand) (holds, error) { return v.part(strings.HasPrefix) },
	RelationEndsWith:    func(v *operand) (holds, error) { return v.part(strings.HasSuffix) },

	RelationVersionEquals: func(v *operand) (holds, error) { return v.version(same) },
	RelationVersionAbove:  func(v *operand) (holds, error) { return v.version(above) },
	RelationVersionFrom:   func(v *operand) (holds, error) { return v.version(from) },
	RelationVersionBelow:  func(v *operand) (holds, error) { return v.version(below) },
	RelationVersionUpTo:   func(v *operand) (holds, error) { return v.version(upTo) },

	RelationBefore: func(v *operand) (holds, error) { return v.time(below) },
	RelationAfter:  func(v *operand) (holds, error) { return v.time(above) },
}

// What an order of -1, 0 or 1 can be asked.
func same(order int) bool  { return order == 0 }
func above(order int) bool { return order > 0 }
func from(order int) bool  { return order >= 0 }
func below(order int) bool { return order < 0 }
func upTo(order int) bool  { return order <= 0 }

func not(h holds) holds            { return func(a string) bool { return !h(a) } }
func lacks(text, part string) bool { return !strings.Contains(text, part) }

func (c *compiler) relation(r Relation, value any) (holds, error) {
	switch r {
	case RelationExists:
		return func(string) bool { return true }, nil
	case RelationIn, RelationNotIn:
		return compileList(value, r == RelationIn)
	case RelationMatches:
		return c.expression(value)
	}
	compile, known := relations[r]
	if !known {
		return nil, errors.New("unknown relation")
	}
	v, err := readOperand(value)
	if err != nil {
		return nil, err
	}
	return compile(v)
}

// An operand is the value of a rule, read once.
type operand struct {
	text      string
	number    decimal
	isNumber  bool // the text reads as a number
	isNumeric bool // and the rule gives it as one
}

func readOperand(value any) (*operand, error) {
	v := new(operand)
	switch value := value.(type) {
	case string:
		v.text = value
	case bool:
		v.text = strconv.FormatBool(value)
	case json.Number:
		v.text, v.isNumeric = value.String(), true
	case int:
		v.text, v.isNumeric = strconv.Itoa(value), true
	case int64:
		v.text, v.isNumeric = strconv.FormatInt(value, 10), true
	case float64:
		v.text, v.isNumeric = strconv.FormatFloat(value, 'f', -1, 64), true
	case nil:
		return nil, errors.New("a value is needed")
	default:
		return nil, fmt.Errorf("%T is no value of this relation", value)
	}
	v.number, v.isNumber = readDecimal(v.text)
	if v.isNumeric && !v.isNumber { // an exponent
		f, err := strconv.ParseFloat(v.text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%q is no number", v.text)
		}
		v.number, v.isNumber = readDecimal(strconv.FormatFloat(f, 'f', -1, 64))
	}
	return v, nil
}

func (v *operand) equals(attribute string) bool {
	if !v.isNumeric {
		return attribute == v.text
	}
	number, ok := readDecimal(attribute)
	return ok && number.compare(&v.number) == 0
}

// ordered compares the attribute with v: as numbers if v is one, and an
// attribute that is none then does not match; as text otherwise.
func (v *operand) ordered(want func(order int) bool) holds {
	if !v.isNumber {
		return func(a string) bool { return want(strings.Compare(a, v.text)) }
	}
	small, isSmall := readSmall(v.text)
	return func(a string) bool {
		if n, ok := readSmall(a); ok && isSmall {
			return want(cmp.Compare(n, small))
		}
		number, ok := readDecimal(a)
		return ok && want(number.compare(&v.number))
	}
}

var errEmpty = errors.New("the value is empty: it would match everybody or nobody")

func (v *operand) includes() (holds, error) {
	if v.text == "" {
		return nil, errEmpty
	}
	return func(a string) bool { return strings.Contains(a, v.text) }, nil
}

func (v *operand) part(found func(text, part string) bool) (holds, error) {
	if v.text == "" {
		return nil, errEmpty
	}
	return func(a string) bool { return found(a, v.text) }, nil
}

func (v *operand) time(want func(order int) bool) (holds, error) {
	limit, ok := readTime(v.text)
	if !ok {
		return nil, fmt.Errorf("%q is neither RFC 3339 nor a date", v.text)
	}
	return func(a string) bool {
		at, ok := readTime(a)
		return ok && want(at.Compare(limit))
	}, nil
}

// readTime looks at the shape first: an error of time.Parse allocates.
func readTime(s string) (time.Time, bool) {
	if len(s) < len(time.DateOnly) || s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	layout := time.RFC3339
	if len(s) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	at, err := time.Parse(layout, s)
	return at, err == nil
}

func compileList(value any, want bool) (holds, error) {
	var list []any
	switch value := value.(type) {
	case []string:
		for _, text := range value {
			list = append(list, text)
		}
	case []any:
		list = value
	default:
		return nil, fmt.Errorf("a list is needed, not %T", value)
	}
	if len(list) == 0 {
		return nil, errors.New("the list is empty")
	}
	texts, numbers := map[string]struct{}{}, map[decimal]struct{}{}
	for i, item := range list {
		v, err := readOperand(item)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		if v.isNumeric {
			numbers[v.number] = struct{}{}
		} else {
			texts[v.text] = struct{}{}
		}
	}
	return func(a string) bool {
		_, found := texts[a]
		if !found && len(numbers) > 0 {
			if number, ok := readDecimal(a); ok {
				_, found = numbers[number]
			}
		}
		return found == want
	}, nil
}
