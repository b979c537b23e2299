package lv

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Limits of Rules.
const (
	maxRulesDepth  = 16
	maxRulesLeaves = 256
	maxRulesText   = 64 << 10 // bytes
)

// Rules are rules that all must match. Their JSON is the document's:
// [{"type":"and","rules":[{"object","field","relation","value"}]}].
type Rules []Rule

// Rule compares an attribute with a value, or combines rules.
type Rule struct {
	Type  string // "and", "or"; "" compares
	Rules []Rule // what Type combines, never empty

	Object, Field string // the attribute is "object.field", or the field if there is no object
	Relation      Relation
	// Value is a string, a number (a Go number or json.Number), a bool, a list
	// of those for RelationIn and RelationNotIn, or a Percentage.
	Value any
}

// Attributes describe a visitor: "object.field" to value.
type Attributes map[string]string

// ParseRules reads rules from their JSON, and checks them as Check does.
// Members it does not know, and text longer than 64 KiB, are ErrInvalid: a
// rule that is half understood would show content to the wrong people.
func ParseRules(text []byte) (Rules, error) {
	if len(text) > maxRulesText {
		return nil, fmt.Errorf("%w: rules: %d bytes, at most %d", ErrInvalid, len(text), maxRulesText)
	}
	if _, err := Canonical(text); err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	rules, err := decodeRules(text)
	if err != nil {
		return nil, err
	}
	if err := rules.Check(); err != nil {
		return nil, err
	}
	return rules, nil
}

// Check returns ErrInvalid and where, if the rules cannot be used: an empty
// group, an unknown relation, a value that does not fit, groups more than 16
// deep, more than 256 comparisons, more than 64 KiB of text, expressions of
// more than 2 KiB or 1,000 instructions together.
func (r Rules) Check() error {
	_, err := r.compile("")
	return err
}

// Compile returns the rules as a function that does not allocate, for programs
// that ask often; a Service does it by itself. Percentages without a seed use
// seed. It returns what Check does.
func (r Rules) Compile(seed string) (func(Attributes) bool, error) { return r.compile(seed) }

// Match reports whether a visitor matches; rules that Check refuses match
// nobody. Percentages without a seed use an empty one, where a Strategy uses
// its ID: see Strategy.Match. It compiles them anew each time.
func (r Rules) Match(a Attributes) bool {
	match, err := r.compile("")
	return err == nil && match(a)
}

// UnmarshalJSON reads rules without checking them.
func (r *Rules) UnmarshalJSON(text []byte) (err error) {
	*r, err = decodeRules(text)
	return err
}

// MarshalJSON writes the document's form.
func (r Rule) MarshalJSON() ([]byte, error) {
	w := ruleJSON{Type: r.Type, Object: r.Object, Field: r.Field, Relation: r.Relation}
	if r.Type != "" {
		w.Rules = make([]json.RawMessage, len(r.Rules))
		for i := range r.Rules {
			text, err := r.Rules[i].MarshalJSON()
			if err != nil {
				return nil, err
			}
			w.Rules[i] = text
		}
	}
	if r.Value != nil {
		text, err := plainJSON(r.Value)
		if err != nil {
			return nil, fmt.Errorf("%w: value of %s: %w", ErrInvalid, r.attribute(), err)
		}
		w.Value = text
	}
	return plainJSON(w)
}

// plainJSON leaves < and & as they are, for an encoder that does: escaped, the
// text of rules could grow beyond what ParseRules reads.
func plainJSON(v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// attribute is the name under which Attributes have what the rule looks at.
func (r Rule) attribute() string {
	if r.Object == "" {
		return r.Field
	}
	return r.Object + "." + r.Field
}

// ruleJSON is a Rule as the document spells it.
type ruleJSON struct {
	Type     string            `json:"type,omitempty"`
	Rules    []json.RawMessage `json:"rules,omitempty"`
	Object   string            `json:"object,omitempty"`
	Field    string            `json:"field,omitempty"`
	Relation Relation          `json:"relation,omitempty"`
	Value    json.RawMessage   `json:"value,omitempty"`
}

func decodeRules(text []byte) (Rules, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%w: rules: %w", ErrInvalid, err)
	}
	return decodeList(list, "rules", 1)
}

func decodeList(list []json.RawMessage, path string, depth int) (rules []Rule, err error) {
	if depth > maxRulesDepth && len(list) > 0 {
		return nil, invalidRule(path, "groups are more than %d deep", maxRulesDepth)
	}
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		var w ruleJSON
		if err := decodeStrict(text, &w); err != nil {
			return nil, invalidRule(at, "%w", err)
		}
		rule := Rule{Type: w.Type, Object: w.Object, Field: w.Field, Relation: w.Relation}
		if rule.Rules, err = decodeList(w.Rules, at+".rules", depth+1); err != nil {
			return nil, err
		}
		if rule.Value, err = decodeValue(rule.Relation, w.Value); err != nil {
			return nil, invalidRule(at+".value", "%w", err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func decodeValue(relation Relation, text json.RawMessage) (value any, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	if relation.canonical() == RelationPercent {
		var p Percentage
		if err := decodeStrict(text, &p); err != nil {
			return nil, err
		}
		return p, nil
	}
	if err := decodeStrict(text, &value); err != nil {
		return nil, err
	}
	list, isList := value.([]any)
	if !isList {
		return value, nil
	}
	texts := make([]string, 0, len(list))
	for _, item := range list {
		text, isText := item.(string)
		if !isText {
			return list, nil
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// decodeStrict decodes into v, keeps numbers as text and refuses members that
// v does not have.
func decodeStrict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func invalidRule(path, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrInvalid, path, fmt.Errorf(format, args...))
}
