package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
)

// lvVocabulary are the tokens that buildLV understands.
var lvVocabulary = []string{
	"auth:ID:KEY:APP:rw|ro", "schema:APP/SCHEMA", "row:ID:VERSIONS:prod=V", "row:ID:V:deleted:action=A",
	"gray:G:ID=V", "strategy:ID", "v1, v2, a1 ...", "content",
}

// lvState is what the tokens of a case ask for, and the ids that the
// placeholders of the case stand for.
type lvState struct {
	secrets httpadapter.Secrets // nil: no authenticator
	table   *lv.TableID
	rows    []string // row tokens, without their first word
	grays   []string // likewise
	named   []string // strategies
	ids     map[string]string
}

func readLVState(given []string) (lvState, error) {
	s := lvState{secrets: httpadapter.Secrets{}, ids: map[string]string{}}
	for _, token := range given {
		name, value, _ := strings.Cut(token, ":")
		parts := strings.Split(value, ":")
		switch {
		case name == "auth" && len(parts) == 4 && (parts[3] == "rw" || parts[3] == "ro") && parts[1] != "":
			role := httpadapter.Reader
			if parts[3] == "rw" {
				role = httpadapter.Editor
			}
			s.secrets[parts[1]] = httpadapter.Principal{ID: parts[0], Role: role, Scopes: []string{parts[2]}}
		case name == "schema" && strings.Count(value, "/") == 1:
			app, schema, _ := strings.Cut(value, "/")
			s.table = &lv.TableID{App: app, Schema: schema}
		case name == "row" && rowToken.MatchString(value):
			s.rows = append(s.rows, value)
		case name == "gray" && grayToken.MatchString(value):
			s.grays = append(s.grays, value)
		case name == "strategy" && value != "":
			s.named = append(s.named, value)
		case token == "authenticator:none":
			s.secrets = nil
		default:
			return s, fmt.Errorf("unknown token %q", token)
		}
	}
	if s.table == nil && len(s.rows)+len(s.grays)+len(s.named) > 0 {
		return s, fmt.Errorf("unknown token: rows of no schema: %q", given)
	}
	return s, nil
}

var (
	rowToken  = regexp.MustCompile(`^([^:]+):(v\d+(?:,v\d+)*)(?::prod=(v\d+)|(:deleted):action=(a\d+))?$`)
	grayToken = regexp.MustCompile(`^([^:]+):([^=]+)=(v\d+)$`)
)

// buildLV serves a real Service over the engine, in the state of a case.
func buildLV(t *testing.T, db storage.Backend, given []string) (fixture, error) {
	s, err := readLVState(given)
	if err != nil {
		return fixture{}, err
	}
	service, err := lv.New(lv.Config{Store: db, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close()) })
	c := httpadapter.Config{LV: service, Logger: quiet}
	if s.secrets != nil {
		c.Auth = s.secrets
	}
	if s.table != nil {
		c.Tables = []lv.TableID{*s.table}
		if err := s.fill(t, service.Table(s.table.App, s.table.Schema)); err != nil {
			return fixture{}, err
		}
	}
	adapter, err := httpadapter.New(c)
	require.NoError(t, err)
	mux := http.NewServeMux()
	adapter.Register(mux)
	return fixture{handler: mux, replace: s.replace}, nil
}

// fill writes the rows, grays and strategies of a case.
func (s lvState) fill(t *testing.T, table *lv.Table) error {
	ctx, by := t.Context(), lv.By{Actor: "setup"}
	for _, token := range s.rows {
		m := rowToken.FindStringSubmatch(token)
		row, names, shown, deleted, action := m[1], strings.Split(m[2], ","), m[3], m[4] != "", m[5]
		if deleted {
			shown = names[len(names)-1]
		}
		for _, name := range names {
			content, err := json.Marshal(map[string]string{"name": name})
			require.NoError(t, err)
			v, err := table.Save(ctx, row, content, by)
			require.NoError(t, err)
			s.ids[name] = fmt.Sprint(v.ID)
		}
		if shown != "" {
			if !slices.Contains(names, shown) {
				return fmt.Errorf("unknown token %q: %s is no version of the row", token, shown)
			}
			_, err := table.Release(ctx, lv.Production, by, s.version(shown))
			require.NoError(t, err)
		}
		if deleted {
			v, err := table.Delete(ctx, row, by)
			require.NoError(t, err)
			s.ids[action] = fmt.Sprint(v.ID)
		}
	}
	for _, token := range s.grays {
		m := grayToken.FindStringSubmatch(token)
		if s.ids[m[3]] == "" {
			return fmt.Errorf("unknown token %q: no version %s", token, m[3])
		}
		r, err := table.Release(ctx, lv.Env(m[1]), by, s.version(m[3]))
		require.NoError(t, err)
		require.Equal(t, m[2], r.Changes[0].Row)
	}
	for _, name := range s.named {
		target := s.ids["v1"]
		if target == "" {
			return fmt.Errorf("unknown token: strategy %q has no version v1 to show", name)
		}
		saved, err := table.SaveStrategy(ctx, lv.Strategy{
			Title: name, Target: s.version("v1"), Rules: lv.Rules{{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "Hello"}},
		}, by)
		require.NoError(t, err)
		s.ids[name] = fmt.Sprint(saved.ID)
	}
	return nil
}

func (s lvState) version(name string) lv.VersionID {
	var id lv.VersionID
	if _, err := fmt.Sscan(s.ids[name], &id); err != nil {
		panic(err)
	}
	return id
}

// replace puts the real ids in place of the placeholders: what stands alone
// as a segment of a path or as a string of JSON. A name in a content is no
// placeholder.
func (s lvState) replace(step contractStep) contractStep {
	request := *step.Request
	segments := strings.Split(request.Path, "/")
	for i, segment := range segments {
		if id, ok := s.ids[segment]; ok {
			segments[i] = id
		}
	}
	request.Path = strings.Join(segments, "/")
	request.Query = map[string]string{}
	for name, value := range step.Request.Query {
		if id, ok := s.ids[value]; ok {
			value = id
		}
		request.Query[name] = value
	}
	request.Body = s.replaceIn(request.Body)
	step.Request = &request
	expect := *step.Expect
	expect.JSONExact, expect.JSONSubset = s.replaceIn(expect.JSONExact), s.replaceIn(expect.JSONSubset)
	step.Expect = &expect
	return step
}

// replaceIn replaces every string but the name of a content.
func (s lvState) replaceIn(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return text
	}
	value, err := parse(text)
	if err != nil {
		return text
	}
	replaced, err := json.Marshal(s.replaceValue(value))
	if err != nil {
		return text
	}
	return replaced
}

func (s lvState) replaceValue(value any) any {
	switch value := value.(type) {
	case string:
		if id, ok := s.ids[value]; ok {
			return id
		}
	case []any:
		for i := range value {
			value[i] = s.replaceValue(value[i])
		}
	case map[string]any:
		for name := range value {
			if name != "name" {
				value[name] = s.replaceValue(value[name])
			}
		}
	}
	return value
}
