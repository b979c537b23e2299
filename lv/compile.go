package lv

import (
	"fmt"
	"strings"
)

// A matcher says whether a visitor matches.
type matcher func(Attributes) bool

// compile checks rules and turns them into closures that do not allocate.
// The id of the strategy seeds percentages that have no seed of their own.
func (r Rules) compile(seed string) (matcher, error) {
	c := compiler{seed: seed}
	return c.all(r, "rules", 1)
}

type compiler struct {
	seed        string
	leaves      int
	text        int
	expressions int // bytes of them
	steps       int // that they become
}

func (c *compiler) all(rules []Rule, path string, depth int) (matcher, error) {
	list, err := c.list(rules, path, depth)
	if err != nil {
		return nil, err
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return func(a Attributes) bool {
		for _, match := range list {
			if !match(a) {
				return false
			}
		}
		return true
	}, nil
}

func (c *compiler) any(rules []Rule, path string, depth int) (matcher, error) {
	list, err := c.list(rules, path, depth)
	if err != nil {
		return nil, err
	}
	return func(a Attributes) bool {
		for _, match := range list {
			if match(a) {
				return true
			}
		}
		return false
	}, nil
}

func (c *compiler) list(rules []Rule, path string, depth int) ([]matcher, error) {
	if depth > maxRulesDepth {
		return nil, invalidRule(path, "groups are more than %d deep", maxRulesDepth)
	}
	if len(rules) == 0 {
		return nil, invalidRule(path, "empty: it would match everybody or nobody")
	}
	list := make([]matcher, len(rules))
	for i, rule := range rules {
		var err error
		if list[i], err = c.rule(rule, fmt.Sprintf("%s[%d]", path, i), depth); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (c *compiler) rule(r Rule, path string, depth int) (matcher, error) {
	if r.Type == "" {
		return c.leaf(r, path)
	}
	if r.Object != "" || r.Field != "" || r.Relation != "" || r.Value != nil {
		return nil, invalidRule(path, "a group that also compares")
	}
	switch r.Type {
	case "and":
		return c.all(r.Rules, path+".rules", depth+1)
	case "or":
		return c.any(r.Rules, path+".rules", depth+1)
	}
	return nil, invalidRule(path+".type", "%q is neither and nor or", r.Type)
}

func (c *compiler) leaf(r Rule, path string) (matcher, error) {
	if len(r.Rules) > 0 {
		return nil, invalidRule(path, "rules without a type")
	}
	if c.leaves++; c.leaves > maxRulesLeaves {
		return nil, invalidRule(path, "more than %d comparisons", maxRulesLeaves)
	}
	if c.text += r.size(); c.text > maxRulesText {
		return nil, invalidRule(path, "more than %d bytes of text", maxRulesText)
	}
	relation := r.Relation.canonical()
	if relation == RelationPercent {
		return c.percentage(r, path)
	}
	if r.Field == "" {
		return nil, invalidRule(path+".field", "missing")
	}
	key := r.attribute()
	if relation == RelationNotExists {
		return func(a Attributes) bool { _, there := a[key]; return !there }, nil
	}
	holds, err := c.relation(relation, r.Value)
	if err != nil {
		return nil, invalidRule(path, "%s %s: %w", key, r.Relation, err)
	}
	if match := compileFrequent(relation, key, r.Value); match != nil {
		return match, nil
	}
	return func(a Attributes) bool {
		attribute, there := a[key]
		return there && holds(attribute)
	}, nil
}

// compileFrequent spares the comparisons that most rules consist of a closure.
func compileFrequent(r Relation, key string, value any) matcher {
	text, ok := value.(string)
	switch {
	case ok && r == RelationEquals:
		return func(a Attributes) bool { attribute, there := a[key]; return there && attribute == text }
	case ok && r == RelationIncludes:
		return func(a Attributes) bool { attribute, there := a[key]; return there && strings.Contains(attribute, text) }
	}
	return nil
}

// size is the text of a comparison, in bytes.
func (r Rule) size() int {
	size := len(r.Object) + len(r.Field) + len(r.Relation)
	switch value := r.Value.(type) {
	case string:
		size += len(value)
	case []string:
		for _, text := range value {
			size += len(text)
		}
	case []any:
		for _, item := range value {
			size += Rule{Value: item}.size()
		}
	case Percentage:
		size += len(value.By) + len(value.Seed)
	}
	return size
}
