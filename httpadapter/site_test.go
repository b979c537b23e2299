package httpadapter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

const (
	admin  = "the-token-of-ann" // whose role is Admin
	reader = "the-token-of-rob" // whose role is Reader
	appKey = "the-key-of-kit"   // whose role is Editor, in the app app
	pkg    = "demo/site"
)

// site is a served Updater of one package, over the engine in memory.
type site struct {
	t        testing.TB
	db       storage.Backend // default: in memory
	journal  *touchyJournal
	updater  *update.Updater
	rows     *lv.Service
	gadget   *gadget // that runs 1.0.0, and is offered 1.1.0
	firmware *firmware.Service
	port     *port // of services that are rolled: none yet
	notebook *notebook
	papers   *papers // a Folder
	adapter  *httpadapter.Adapter
	mux      *http.ServeMux
	log      *safeBuffer
	installs atomic.Int64
	engine   engine
	acted    atomic.Int64 // for what the handlers of added routes do

	// install is what the package's step does. Default: nothing.
	install func(context.Context, *update.Task) error
	// source has the versions. Default: 1.0.0, 1.1.0 and 2.0.0-rc.1.
	source update.Source
	// http2 serves HTTP/2 in a bubble. Default: HTTP/1.
	http2 bool
	// retention says which events are kept. Default: the engine's.
	retention storage.Retention
	// check is the step's pre-flight. Default: none.
	check func(context.Context, *update.Task) error
	// prepare changes the device. Default: not at all.
	prepare func(*gadget)
	// prepareRollout changes the Config of the Controller. Default: not at all.
	prepareRollout func(*rollout.Config)
	// configure changes the adapter's Config. Default: not at all.
	configure func(*httpadapter.Config)
	// add adds routes to the table. Default: none.
	add func(*site)
}

// open builds the site. It is closed with the test.
func (s *site) open(t testing.TB) *site {
	s.t = t
	if s.db == nil {
		s.db = memory.Open(memory.Config{Retention: s.retention})
	}
	db := s.db
	s.log = new(safeBuffer)
	s.journal = &touchyJournal{Journal: &engineJournal{db.Journal(), &s.engine}}
	if s.source == nil {
		s.source = source.Static("1.0.0", "1.1.0", "2.0.0-rc.1")
	}
	var err error
	s.updater, err = update.New(update.Config{
		Locker: &engineLocker{db.Locker(), &s.engine}, Journal: s.journal, Logger: quiet,
		Packages: []update.Package{{
			Name: pkg, Source: s.source,
			Steps: []update.Step{{Name: "install", Check: s.check, Undo: func(context.Context, *update.Task) error { return nil },
				Do: func(ctx context.Context, task *update.Task) error {
					s.installs.Add(1)
					if s.install == nil {
						return nil
					}
					return s.install(ctx, task)
				}}},
		}, {
			Name: "demo/tool", Source: source.Static("0.1.0"), Lock: "tools/a b",
			Steps: []update.Step{{Name: "install", Do: func(context.Context, *update.Task) error { return nil }}},
		}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.updater.Close()) })
	s.rows = newRows(t, &engineVersions{db.Versions(), &s.engine})
	s.gadget = newGadget(&engineDevices{db, &s.engine}, "1.0.0")
	s.gadget.shelf.add(t, firmware.Release{Version: "1.1.0"}, imageOf(1, 10))
	if s.prepare != nil {
		s.prepare(s.gadget)
	}
	s.firmware = s.gadget.start(t)
	s.port = newPort(t, &engineRollouts{db, &s.engine}, s.prepareRollout)
	s.notebook = newNotebook(&s.engine, s.db.SyncState("notes"))
	s.papers = newPapers(t, s.db, &s.engine)
	c := httpadapter.Config{
		Update: s.updater, LV: s.rows, Firmware: s.firmware, Rollout: s.port.Controller, Tables: []lv.TableID{{App: "app", Schema: "empty"}},
		Sync: s.notebook, Folder: s.papers.Folder, Remotes: &engineRemotes{s.papers.cloud.Remotes(), &s.engine},
		Auth: httpadapter.Secrets{
			admin:  {ID: "ann", Role: httpadapter.Admin},
			reader: {ID: "rob", Role: httpadapter.Reader},
			appKey: {ID: "kit", Role: httpadapter.Editor, Scopes: []string{"app"}},
		},
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if s.configure != nil {
		s.configure(&c)
	}
	s.adapter, err = httpadapter.New(c)
	require.NoError(t, err)
	if s.add != nil {
		s.add(s)
	}
	s.mux = http.NewServeMux()
	s.adapter.Register(s.mux)
	return s
}

// reply is a whole reply.
type reply struct {
	*http.Response
	text   string
	method string
}

// meant returns the reply with the status that it is meant to have.
func (r reply) meant() reply {
	if status, err := strconv.Atoi(r.Header.Get(httpadapter.Meant)); err == nil && status > 0 {
		r.StatusCode = status
		r.Header.Del(httpadapter.Meant)
	}
	return r
}

// json returns the reply's object.
func (r reply) json(t testing.TB) map[string]any {
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.text), &object), r.text)
	return object
}

// problem returns the slug of an RFC 9457 problem.
func (r reply) problem(t testing.TB) string {
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"), r.text)
	object := r.json(t)
	require.EqualValues(t, r.StatusCode, object["status"])
	require.NotEmpty(t, object["title"])
	slug, ok := strings.CutPrefix(object["type"].(string), "urn:upkeep:problem:")
	require.True(t, ok, object["type"])
	return slug
}

// send sends a request to the mux, with what prepare adds to it.
func (s *site) send(method, path, body string, prepare ...func(*http.Request)) reply {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, content)
	for _, f := range prepare {
		f(r)
	}
	return s.serve(r)
}

func (s *site) serve(r *http.Request) reply {
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	got := reply{w.Result(), w.Body.String(), r.Method}
	assert.NoError(s.t, described(s.t).check(r, got.Response, got.text))
	return got.meant()
}

// get and post send what an administrator sends to our own routes.
func (s *site) get(path string) reply        { return s.send("GET", path, "", as(admin)) }
func (s *site) post(path, body string) reply { return s.send("POST", path, body, as(admin)) }

// as sends a bearer token.
func as(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// updateBody is the body of the documented update.
func updateBody(token string) string {
	return `{"api_token":"` + token + `","package":"` + pkg + `"}`
}

// history returns every run there is.
func (s *site) history(t testing.TB) []update.Run {
	var runs []update.Run
	for run, err := range s.updater.History(context.Background(), update.Query{}) {
		require.NoError(t, err)
		runs = append(runs, run)
	}
	return runs
}

// touchyJournal is a journal that does what a test wants before it reads or
// saves, and after it watched.
type touchyJournal struct {
	update.Journal
	before, save   func() error
	watch, watched func()
}

func (j *touchyJournal) Get(ctx context.Context, id string) (update.Run, error) {
	if j.before != nil {
		if err := j.before(); err != nil {
			return update.Run{}, err
		}
	}
	return j.Journal.Get(ctx, id)
}

func (j *touchyJournal) Save(ctx context.Context, run update.Run, events ...update.Event) (update.Run, error) {
	if j.save != nil {
		if err := j.save(); err != nil {
			return update.Run{}, err
		}
	}
	return j.Journal.Save(ctx, run, events...)
}

// safeBuffer is a buffer for many goroutines.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
