package sqlstore

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/upkeep-go/upkeep/lv"
)

type lvRuleRecord struct {
	Type     bytesText      `json:"type,omitempty"`
	Rules    []lvRuleRecord `json:"rules,omitempty"`
	Object   bytesText      `json:"object,omitempty"`
	Field    bytesText      `json:"field,omitempty"`
	Relation bytesText      `json:"relation,omitempty"`
	Value    *lvValueRecord `json:"value,omitempty"`
}

// lvValueRecord is a value with its Go type, which JSON does not keep.
type lvValueRecord struct {
	Type    string          `json:"type"`
	Text    bytesText       `json:"text,omitempty"`
	Texts   []bytesText     `json:"texts,omitempty"`
	List    []lvValueRecord `json:"list,omitempty"`
	Percent float64         `json:"percent,omitempty"`
	Seed    bytesText       `json:"seed,omitempty"`
}

func lvRulesOf(rules []lv.Rule) (records []lvRuleRecord, err error) {
	for _, r := range rules {
		record := lvRuleRecord{Type: bytesText(r.Type), Object: bytesText(r.Object), Field: bytesText(r.Field), Relation: bytesText(r.Relation)}
		if record.Rules, err = lvRulesOf(r.Rules); err != nil {
			return nil, err
		}
		if r.Value != nil {
			value, err := lvValueOf(r.Value)
			if err != nil {
				return nil, err
			}
			record.Value = &value
		}
		records = append(records, record)
	}
	return records, nil
}

func lvRules(records []lvRuleRecord) (rules []lv.Rule, err error) {
	for _, record := range records {
		r := lv.Rule{
			Type: string(record.Type), Object: string(record.Object), Field: string(record.Field),
			Relation: lv.Relation(record.Relation),
		}
		if r.Rules, err = lvRules(record.Rules); err != nil {
			return nil, err
		}
		if record.Value != nil {
			if r.Value, err = record.Value.value(); err != nil {
				return nil, err
			}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func lvValueOf(value any) (record lvValueRecord, err error) {
	switch v := value.(type) {
	case json.Number:
		return lvValueRecord{Type: "number", Text: bytesText(v)}, nil
	case string, bool, int, int64, float64:
		return lvValueRecord{Type: fmt.Sprintf("%T", v), Text: bytesText(fmt.Sprint(v))}, nil
	case lv.Percentage:
		return lvValueRecord{Type: "percentage", Percent: v.Percent, Text: bytesText(v.By), Seed: bytesText(v.Seed)}, nil
	case []string:
		record.Type = "strings"
		for _, s := range v {
			record.Texts = append(record.Texts, bytesText(s))
		}
		return record, nil
	case []any:
		record.Type = "list"
		for _, item := range v {
			itemRecord, err := lvValueOf(item)
			if err != nil {
				return record, err
			}
			record.List = append(record.List, itemRecord)
		}
		return record, nil
	}
	return record, fmt.Errorf("%w: a value of a rule is a %T", lv.ErrInvalid, value)
}

func (record lvValueRecord) value() (any, error) {
	s := string(record.Text)
	switch record.Type {
	case "string":
		return s, nil
	case "bool":
		return strconv.ParseBool(s)
	case "number":
		return json.Number(s), nil
	case "int":
		return strconv.Atoi(s)
	case "int64":
		return strconv.ParseInt(s, 10, 64)
	case "float64":
		return strconv.ParseFloat(s, 64)
	case "percentage":
		return lv.Percentage{Percent: record.Percent, By: s, Seed: string(record.Seed)}, nil
	case "strings":
		list := make([]string, len(record.Texts))
		for i, item := range record.Texts {
			list[i] = string(item)
		}
		return list, nil
	case "list":
		list := make([]any, len(record.List))
		for i, item := range record.List {
			var err error
			if list[i], err = item.value(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("sqlstore: a value of a rule is a %q", record.Type)
}
