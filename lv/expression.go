package lv

import (
	"fmt"
	"regexp"
	re2 "regexp/syntax"
)

// RE2 takes time in proportion to the expression and to what it looks at, so
// that both are bounded: together to a tenth of a second for the worst of all.
const (
	maxExpressions     = 2 << 10 // bytes of all expressions of some rules
	maxExpressionSteps = 1000    // instructions that they become: a{100} is a hundred
	maxExpressionInput = 2 << 10 // bytes of an attribute; a longer one does not match
)

// expression compiles the value of RelationMatches.
func (c *compiler) expression(value any) (holds, error) {
	v, err := readOperand(value)
	if err != nil {
		return nil, err
	}
	if v.text == "" {
		return nil, errEmpty
	}
	if err := c.afford(v.text); err != nil {
		return nil, err
	}
	expression, err := regexp.Compile(v.text)
	if err != nil {
		return nil, err
	}
	return func(a string) bool { return len(a) <= maxExpressionInput && expression.MatchString(a) }, nil
}

// afford counts an expression. It looks at the text first: a long one takes
// seconds to be read.
func (c *compiler) afford(text string) error {
	if c.expressions += len(text); c.expressions > maxExpressions {
		return fmt.Errorf("more than %d bytes of expressions", maxExpressions)
	}
	parsed, err := re2.Parse(text, re2.Perl)
	if err != nil {
		return err
	}
	program, err := re2.Compile(parsed.Simplify())
	if err != nil {
		return err
	}
	if c.steps += len(program.Inst); c.steps > maxExpressionSteps {
		return fmt.Errorf("more than %d instructions in expressions", maxExpressionSteps)
	}
	return nil
}
