package httpadapter_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// engines are what every case runs on.
var engines = []struct {
	name string
	open func(t *testing.T) storage.Backend
}{
	{"memory", func(t *testing.T) storage.Backend {
		db := memory.New()
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}},
	{"sqlite", func(t *testing.T) storage.Backend {
		// What the power takes is no matter here, and to wait for the disk takes long.
		db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "upkeep.db"), Relaxed: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}},
}

// contractSystem is how a documented API is put into the states of its cases.
type contractSystem struct {
	// vocabulary has the tokens that build understands, as the file lists them.
	vocabulary []string
	// build returns the real service over the engine, in the given state.
	build func(t *testing.T, db storage.Backend, given []string) (fixture, error)
	// at is what the clock of a bubble shows, in which the cases happen. Zero: they
	// happen outside of one.
	at time.Time
}

// inTime calls test where the cases of the system happen.
func (s contractSystem) inTime(t *testing.T, test func(t *testing.T)) {
	if s.at.IsZero() {
		test(t)
		return
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(s.at))
		test(t)
	})
}

// fixture is a served service in the state of a case.
type fixture struct {
	handler http.Handler
	observe func(text string) error // looks at the service, for the texts of observe
	// replace puts real ids in place of the placeholders of a step; nil: there
	// are none.
	replace func(contractStep) contractStep
}

// contractSystems are the systems that the adapter serves, by their names in
// the files.
var contractSystems = map[string]contractSystem{
	"wncms-update":      {vocabulary: updateVocabulary, build: buildUpdate},
	"wuji-row-versions": {vocabulary: lvVocabulary, build: buildLV},
	"magewell-firmware": {vocabulary: firmwareVocabulary, build: buildFirmware, at: checkedAt},
	"wechat-rollout":    {vocabulary: rolloutVocabulary, build: buildRollout, at: rolledAt},
	"siyuan-sync":       {vocabulary: syncVocabulary, build: buildSync, at: syncedAt},
}

// corpus is one file of cases, or several of one stem.
type corpus struct {
	System     string            `json:"system"`
	Vocabulary map[string]string `json:"vocabulary"`
	Cases      []json.RawMessage `json:"cases"`
}

// contractCase is one case. Every member is listed: a case that says
// something the test does not know must fail.
type contractCase struct {
	Name         string           `json:"name"`
	Origin       string           `json:"origin"`
	ExpectOrigin string           `json:"expect_origin"`
	Setup        string           `json:"setup"`
	Note         string           `json:"note"`
	Given        []string         `json:"given"`
	Request      *contractRequest `json:"request"`
	Expect       *contractExpect  `json:"expect"`
	Then         json.RawMessage  `json:"then"`
}

// contractStep is a further step: a request with its reply, or something to
// look at.
type contractStep struct {
	Request *contractRequest `json:"request"`
	Expect  *contractExpect  `json:"expect"`
	Observe string           `json:"observe"`
	Note    string           `json:"note"`
}

type contractRequest struct {
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Query      map[string]string `json:"query"`
	QueryRaw   *string           `json:"query_raw"`
	Headers    map[string]string `json:"headers"`
	Cookies    map[string]string `json:"cookies"`
	Body       json.RawMessage   `json:"body"`
	BodyRaw    *string           `json:"body_raw"`
	BodyRepeat *struct {
		Prefix string `json:"prefix"`
		Char   string `json:"char"`
		Count  int    `json:"count"`
		Suffix string `json:"suffix"`
	} `json:"body_repeat"`
}

func TestContract(t *testing.T) {
	t.Parallel() // it waits for disks
	stems := map[string]*corpus{}
	readCorpora(t, "testdata/contract", stems)
	if dir := os.Getenv("UPKEEP_CONTRACT_DIR"); dir != "" {
		readCorpora(t, dir, stems)
	}
	for _, stem := range slices.Sorted(maps.Keys(stems)) {
		t.Run(stem, func(t *testing.T) {
			c := stems[stem]
			system, ok := contractSystems[c.System]
			require.True(t, ok, "system %q of %s is not served", c.System, stem)
			require.NoError(t, system.understands(c.Vocabulary))
			for _, engine := range engines {
				t.Run(engine.name, func(t *testing.T) {
					for _, raw := range c.Cases {
						t.Run(nameOf(t, raw), func(t *testing.T) {
							t.Parallel()
							system.inTime(t, func(t *testing.T) {
								require.NoError(t, runCase(t, system, engine.open(t), raw))
							})
						})
					}
				})
			}
		})
	}
}

// readCorpora adds every file of a folder. A case of a stem that is there
// already comes beside the others, or in place of the one of its name.
func readCorpora(t *testing.T, dir string, stems map[string]*corpus) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no cases in %s", dir)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var c corpus
		require.NoError(t, json.Unmarshal(text, &c), file)
		require.NotEmpty(t, c.Cases, file)
		stem := strings.TrimSuffix(filepath.Base(file), ".json")
		if stems[stem] == nil {
			stems[stem] = &c
			continue
		}
		require.Equal(t, stems[stem].System, c.System, file)
		stems[stem].merge(t, c)
	}
}

func (c *corpus) merge(t *testing.T, more corpus) {
	if c.Vocabulary == nil {
		c.Vocabulary = map[string]string{}
	}
	maps.Copy(c.Vocabulary, more.Vocabulary)
	for _, raw := range more.Cases {
		same := func(other json.RawMessage) bool { return nameOf(t, other) == nameOf(t, raw) }
		if i := slices.IndexFunc(c.Cases, same); i >= 0 {
			c.Cases[i] = raw
		} else {
			c.Cases = append(c.Cases, raw)
		}
	}
}

func nameOf(t *testing.T, raw json.RawMessage) string {
	var c struct {
		Name string `json:"name"`
	}
	require.NoError(t, json.Unmarshal(raw, &c))
	require.NotEmpty(t, c.Name)
	return c.Name
}

// understands reports a token that the test has no meaning for.
func (s contractSystem) understands(vocabulary map[string]string) error {
	for _, token := range slices.Sorted(maps.Keys(vocabulary)) {
		if !slices.Contains(s.vocabulary, token) {
			return fmt.Errorf("unknown token %q in the vocabulary", token)
		}
	}
	return nil
}

// runCase puts the service in the case's state and takes its steps.
func runCase(t *testing.T, system contractSystem, db storage.Backend, raw json.RawMessage) error {
	var c contractCase
	if err := strictly(raw, &c); err != nil {
		return err
	}
	steps, err := c.steps()
	if err != nil {
		return err
	}
	f, err := system.build(t, db, c.Given)
	if err != nil {
		return err
	}
	for i, step := range steps {
		if err := step.take(t, f); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func strictly(raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// steps returns the request of the case and what is done then.
func (c contractCase) steps() ([]contractStep, error) {
	steps := []contractStep{{Request: c.Request, Expect: c.Expect}}
	switch then := bytes.TrimSpace(c.Then); {
	case len(then) == 0 || string(then) == "null":
		return steps, nil
	case then[0] == '[':
		var more []contractStep
		err := strictly(c.Then, &more)
		return append(steps, more...), err
	default:
		var more contractStep
		err := strictly(c.Then, &more)
		return append(steps, more), err
	}
}

func (s contractStep) take(t *testing.T, f fixture) error {
	if s.Observe != "" {
		if s.Request != nil || s.Expect != nil || f.observe == nil {
			return fmt.Errorf("cannot observe %q", s.Observe)
		}
		return f.observe(s.Observe)
	}
	if s.Request == nil || s.Expect == nil {
		return errors.New("a request and what to expect are needed")
	}
	if f.replace != nil {
		s = f.replace(s)
	}
	r, err := s.Request.build()
	if err != nil {
		return err
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r.WithContext(t.Context()))
	if err := described(t).check(r, w.Result(), w.Body.String()); err != nil {
		return err
	}
	return s.Expect.check(w.Result())
}

func (c *contractRequest) build() (*http.Request, error) {
	target := c.Path
	switch {
	case c.QueryRaw != nil:
		target += "?" + *c.QueryRaw
	case len(c.Query) > 0:
		values := url.Values{}
		for name, value := range c.Query {
			values.Set(name, value)
		}
		target += "?" + values.Encode()
	}
	content, err := c.content()
	if err != nil {
		return nil, err
	}
	r := httptest.NewRequest(c.Method, target, content)
	for name, value := range c.Headers {
		r.Header.Set(name, value)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Cookies)) {
		r.AddCookie(&http.Cookie{Name: name, Value: c.Cookies[name]})
	}
	return r, nil
}

func (c *contractRequest) content() (io.Reader, error) {
	hasBody := len(c.Body) > 0 && string(c.Body) != "null"
	hasRaw := c.BodyRaw != nil && *c.BodyRaw != ""
	if hasBody && (hasRaw || c.BodyRepeat != nil) || hasRaw && c.BodyRepeat != nil {
		return nil, errors.New("more than one body")
	}
	switch {
	case hasBody:
		return bytes.NewReader(c.Body), nil
	case c.BodyRepeat != nil:
		b := c.BodyRepeat
		return strings.NewReader(b.Prefix + strings.Repeat(b.Char, b.Count) + b.Suffix), nil
	case hasRaw:
		return strings.NewReader(*c.BodyRaw), nil
	}
	return nil, nil
}

// quiet is a logger for what tests provoke.
var quiet = slog.New(slog.DiscardHandler)
