package httpadapter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
)

// strategyBody has the members of a strategy that the document has. Others
// are kept as they are. Objects, rules and strategyInfo are texts of JSON;
// they may come as JSON too, and are answered as text.
type strategyBody struct {
	Objects      string                     `json:"objects" openapi:"needed"`
	Priority     string                     `json:"priority" openapi:"needed"`
	Rules        string                     `json:"rules" openapi:"needed"`
	SchemaID     string                     `json:"schemaId" openapi:"needed"`
	Stage        int                        `json:"stage" openapi:"needed"`
	Status       int                        `json:"status" openapi:"needed,enum=0|1"` // 1 is on
	StrategyInfo string                     `json:"strategyInfo" openapi:"needed"`
	Target       string                     `json:"target" openapi:"needed"`
	Title        string                     `json:"title" openapi:"needed"`
	Type         string                     `json:"type" openapi:"needed,const=row"`
	Others       map[string]json.RawMessage `json:"-"`
}

// strategyReply is a strategy.
type strategyReply struct {
	ID string `json:"strategyId"`
	strategyBody
}

// maxTries is how often something is tried anew that others overtake.
const maxTries = 10

// needed are the members without which a strategy is not created.
var needed = []string{
	"objects", "priority", "rules", "schemaId", "stage", "status", "strategyInfo", "target", "title", "type",
}

func (l *lvRoutes) strategies(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	all, err := t.Strategies(c.Context())
	if err != nil {
		return err
	}
	return wujiList(c, web.Map(web.All(all), func(s lv.Strategy, err error) (map[string]any, error) {
		return strategyOf(t, s), err
	}))
}

func (l *lvRoutes) createStrategy(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := c.Decode(&members); err != nil {
		return err
	}
	for _, name := range needed {
		if value := members[name]; len(value) == 0 || string(value) == "null" || string(value) == `""` {
			return web.BadBody.With(name + " is needed")
		}
	}
	var s lv.Strategy
	if err := assign(&s, members, t.ID.Schema); err != nil {
		return err
	}
	by, err := wujiBy(c, "")
	if err != nil {
		return err
	}
	if s, err = t.SaveStrategy(c.Context(), s, by); err != nil {
		return err
	}
	return wujiDone(c, strategyOf(t, s))
}

func (l *lvRoutes) patchStrategy(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := c.Decode(&members); err != nil {
		return err
	}
	by, err := wujiBy(c, "")
	if err != nil {
		return err
	}
	for range maxTries {
		var s lv.Strategy
		if s, err = strategy(c.Context(), t, c.ID("strategyId")); err != nil {
			return err
		}
		if s.Corrupt {
			return damagedStrategy.With("delete it, and make another")
		}
		if err = assign(&s, members, t.ID.Schema); err != nil {
			return err
		}
		if s, err = t.SaveStrategy(c.Context(), s, by); err == nil {
			return wujiDone(c, strategyOf(t, s))
		}
		if !errors.Is(err, lv.ErrStale) {
			return err
		}
	}
	return err
}

func (l *lvRoutes) deleteStrategy(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	by, err := wujiBy(c, "")
	if err != nil {
		return err
	}
	s, err := strategy(c.Context(), t, c.ID("strategyId"))
	if err != nil {
		return err
	}
	if err := t.DeleteStrategy(c.Context(), s.ID, by); err != nil {
		return err
	}
	return wujiDone(c, strategyOf(t, s))
}

// damagedStrategy refuses what needs to know a strategy that cannot be read.
var damagedStrategy = &web.Refusal{Status: http.StatusInternalServerError, Slug: "corrupt", Text: "The strategy is damaged"}

// strategy returns the strategy that text names, or lv.ErrNotFound.
func strategy(ctx context.Context, t *lv.Table, text string) (lv.Strategy, error) {
	id, err := decimalOf("strategy", text)
	if err != nil {
		return lv.Strategy{}, err
	}
	return t.StrategyByID(ctx, id)
}

// assign sets what members say of a strategy. A null leaves a member of the
// document alone, and drops another one.
func assign(s *lv.Strategy, members map[string]json.RawMessage, schema string) error {
	extra := map[string]json.RawMessage{}
	if len(s.Extra) > 0 {
		if err := json.Unmarshal(s.Extra, &extra); err != nil {
			return fmt.Errorf("reading the members of strategy %d: %w", s.ID, err)
		}
	}
	for name, value := range members {
		set, known := strategySetters[name]
		switch {
		case string(value) == "null":
			if !known {
				delete(extra, name)
			}
		case known:
			if err := set(s, extra, value); err != nil {
				return err
			}
		default:
			extra[name] = value
		}
	}
	if given, ok := members["schemaId"]; ok && string(given) != "null" {
		if text, err := textOf("schemaId", given); err != nil || text != schema {
			return web.BadBody.With("schemaId is not schemaid")
		}
	}
	s.Extra = json.RawMessage(web.Encode(extra))
	return nil
}

// setter sets a member of a strategy, whose value is not null. What the
// strategy has no field for goes into extra.
type setter func(s *lv.Strategy, extra map[string]json.RawMessage, value json.RawMessage) error

// strategySetters are the members of the document.
var strategySetters = map[string]setter{
	"strategyId":   func(*lv.Strategy, map[string]json.RawMessage, json.RawMessage) error { return nil },
	"schemaId":     func(*lv.Strategy, map[string]json.RawMessage, json.RawMessage) error { return nil },
	"objects":      keepText("objects"),
	"strategyInfo": keepText("strategyInfo"),
	"title": func(s *lv.Strategy, _ map[string]json.RawMessage, value json.RawMessage) (err error) {
		s.Title, err = textOf("title", value)
		return err
	},
	"type": func(_ *lv.Strategy, _ map[string]json.RawMessage, value json.RawMessage) error {
		if text, err := textOf("type", value); err != nil || text != "row" {
			return web.BadBody.With(`type: want "row"`)
		}
		return nil
	},
	"stage": func(_ *lv.Strategy, extra map[string]json.RawMessage, value json.RawMessage) error {
		if _, err := strconv.ParseInt(string(value), 10, 64); err != nil {
			return web.BadBody.With("stage: want an integer")
		}
		extra["stage"] = value
		return nil
	},
	"status": func(s *lv.Strategy, _ map[string]json.RawMessage, value json.RawMessage) error {
		if text := string(value); text != "0" && text != "1" {
			return web.BadBody.With("status: want 0 or 1")
		}
		s.Disabled = string(value) == "0"
		return nil
	},
	"priority": func(s *lv.Strategy, _ map[string]json.RawMessage, value json.RawMessage) (err error) {
		if s.Priority, err = strconv.ParseInt(bare(value), 10, 64); err != nil {
			return web.BadBody.With("priority: want an integer")
		}
		return nil
	},
	"target": func(s *lv.Strategy, _ map[string]json.RawMessage, value json.RawMessage) (err error) {
		s.Target, err = versionOf(bare(value))
		return err
	},
	"rules": func(s *lv.Strategy, _ map[string]json.RawMessage, value json.RawMessage) (err error) {
		s.Rules, err = rulesOf(value)
		return err
	},
}

// rulesOf reads rules that are JSON, or a text of JSON.
func rulesOf(value json.RawMessage) (lv.Rules, error) {
	rules, err := lv.ParseRules([]byte(bare(value)))
	if err == nil && haveNoObject(rules) {
		err = web.BadBody.With("rules: an object is needed beside each field: a visitor's attributes are object.field here")
	}
	return rules, err
}

// haveNoObject reports whether rules compare an attribute that nobody can have
// over HTTP.
func haveNoObject(rules []lv.Rule) bool {
	return slices.ContainsFunc(rules, func(r lv.Rule) bool {
		return r.Type == "" && r.Object == "" || haveNoObject(r.Rules)
	})
}

// keepText keeps a member that is a text of JSON, or JSON.
func keepText(name string) setter {
	return func(_ *lv.Strategy, extra map[string]json.RawMessage, value json.RawMessage) error {
		text := []byte(bare(value))
		if err := web.Scan(text); err != nil {
			return web.BadBody.With(fmt.Sprintf("%s: %s", name, err))
		}
		if value[0] != '"' {
			var compact bytes.Buffer
			if err := json.Compact(&compact, text); err != nil {
				return web.BadBody.With(fmt.Sprintf("%s: %s", name, err))
			}
			text = compact.Bytes()
		}
		extra[name] = json.RawMessage(web.Encode(string(text)))
		return nil
	}
}

// bare returns the text of a string, or a value that is none as it stands.
func bare(value json.RawMessage) string {
	if value[0] == '"' {
		return string(web.Unquote(value))
	}
	return string(value)
}

func textOf(name string, value json.RawMessage) (string, error) {
	if value[0] != '"' {
		return "", web.BadBody.With(name + ": want a string")
	}
	return string(web.Unquote(value)), nil
}

// strategyOf returns the members of a strategy, as the document spells them.
// Those that were never given, because a program made the strategy, are what
// the document says to copy.
func strategyOf(t *lv.Table, s lv.Strategy) map[string]any {
	members := map[string]any{"objects": "[]", "stage": 0, "strategyInfo": `{"type":"grayScaleRelease"}`}
	var extra map[string]json.RawMessage
	if json.Unmarshal(s.Extra, &extra) == nil { // a program may keep something else there
		for name, value := range extra {
			members[name] = value
		}
	}
	status := 1
	if s.Disabled || s.Corrupt { // not applied
		status = 0
	}
	maps.Copy(members, map[string]any{
		"strategyId": decimal(s.ID), "priority": decimal(s.Priority), "rules": textOfRules(s.Rules),
		"schemaId": t.ID.Schema, "status": status, "target": decimal(s.Target), "title": s.Title, "type": "row",
	})
	return members
}

// textOfRules returns what rulesOf reads: no longer than it may be, because <
// and & are not escaped.
func textOfRules(rules lv.Rules) string {
	if len(rules) == 0 { // of a strategy that is damaged
		return "[]"
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(rules); err != nil {
		panic(fmt.Errorf("encoding rules: %w", err))
	}
	return strings.TrimSuffix(text.String(), "\n")
}
