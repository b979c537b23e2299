package httpadapter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/rollout"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/update"
)

// An attack sends hostile inputs to a route, whatever the table says that
// could fit it, and collects what the route does wrong. A route that is added
// to the table is attacked without a further line.

// request is a request as it stands on the wire.
type request struct {
	method  string
	path    string // escaped
	query   string // raw
	header  http.Header
	body    string
	chunked bool // sent without a Content-Length
}

// with returns the request with another header.
func (r request) with(name string, values ...string) request {
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header[http.CanonicalHeaderKey(name)] = values
	return r
}

// asked returns the request with a text at the end of its query.
func (r request) asked(text string) request {
	r.query = strings.TrimPrefix(r.query+"&"+text, "&")
	return r
}

// built returns the request as a server would hand it to a handler.
func (r request) built() *http.Request {
	to, err := url.ParseRequestURI("http://site" + r.path)
	if err != nil {
		panic(err)
	}
	to.RawQuery = r.query
	built := httptest.NewRequest("POST", "http://site/", strings.NewReader(r.body))
	built.Method, built.URL, built.RequestURI, built.Header = r.method, to, to.RequestURI(), r.header.Clone()
	if r.chunked {
		built.ContentLength = -1
	}
	return built
}

// input is something hostile, or odd, to send to a route.
type input struct {
	name string
	request
	// want is the status of the refusal, or one of the following.
	want int
}

const (
	survived = iota // any answer but a failure of ours
	served          // as the good request is: it is not refused for its form
	ignored         // it makes no difference to the good request
)

// finding is what a route did wrong.
type finding struct{ route, input, wrong string }

func (f finding) String() string { return fmt.Sprintf("%s, %s: %s", f.route, f.input, f.wrong) }

// hostileSite is a site to attack: it has rows, a strategy and a changelist
// with the ids of rowIDs, a run, and a lock that somebody holds.
func hostileSite(t testing.TB, add func(*site)) *site { return narrowSite(t, add, 0) }

// narrowSite is a hostileSite that reads bodies of so many bytes at most; 0: of
// as many as by default.
func narrowSite(t testing.TB, add func(*site), body int64) *site {
	s := (&site{add: add, prepare: func(g *gadget) {
		g.config.Gate = func(context.Context, firmware.Run, firmware.Step) error { return errors.New("not now") } // it stays busy
	}, configure: func(c *httpadapter.Config) { c.Limits.Logins, c.Limits.Body, c.Limits.Image = -1, body, 64<<10 }}).open(t)
	strategy := s.documented("POST", "/lv/strategy", strategyBody("3")).data(t)
	require.Equal(t, "8", at(t, strategy, "strategyId"))
	planned, err := s.rows.Table("app", "table").Draft(context.Background(),
		lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}}, lv.By{Actor: "setup"})
	require.NoError(t, err)
	require.EqualValues(t, 9, planned.ID)
	_, err = s.db.Journal().Create(context.Background(), update.Run{
		ID: "run-1", Package: pkg, Item: update.DefaultLock, Version: "1.0.0", State: update.StateSucceeded,
		Steps: []update.StepRecord{{Name: "install", Phase: update.PhaseDone}},
	})
	require.NoError(t, err)
	_, err = s.db.Firmware("4711").Save(context.Background(), firmware.Record{Run: &firmware.Run{ID: "run-1", State: firmware.StateSucceeded}})
	require.NoError(t, err)
	s.hasRolled(t)
	s.papers.fill(t)
	_, err = s.notebook.Start(context.Background(), cloudsync.Request{})
	require.NoError(t, err)
	_, err = s.db.Locker().Acquire(context.Background(), heldLock, "somebody", time.Hour)
	require.NoError(t, err)
	return s
}

// limitOf is the limit of bodies at which a target is attacked: the default one in
// full, and where rules are taken, of which there are more than fit otherwise;
// else one at which it does not take long to read a body that is at the limit.
func (t target) limitOf() int64 {
	if _, rules := t.wire.Members["rules"]; rules || historytest.Full() {
		return 0
	}
	return 64 << 10
}

// eachLimited returns what there is to attack, each at its limit.
func eachLimited(t testing.TB) (all []target) {
	narrow := narrowSite(t, nil, 64<<10).attacked()
	for i, target := range hostileSite(t, nil).attacked() {
		if target.limitOf() > 0 {
			target = narrow[i]
		}
		all = append(all, target)
	}
	return all
}

const heldLock = "tools/a b"

// state is what no refused request may change.
func (s *site) state(t testing.TB) string {
	lease, err := s.db.Locker().Holder(context.Background(), heldLock)
	return fmt.Sprint(s.engine.writes.Load(), s.installs.Load(), s.acted.Load(), lease.Token, err)
}

// settle waits until no run is under way.
func (s *site) settle(t testing.TB) {
	for run, err := range s.updater.History(context.Background(), update.Query{Live: true}) {
		require.NoError(t, err)
		_, _ = s.updater.Wait(context.Background(), run.ID)
	}
	for run, err := range s.firmware.History(context.Background(), firmware.Query{Live: true}) {
		require.NoError(t, err)
		for e, err := range s.firmware.Watch(context.Background(), run.Seq-1) {
			require.NoError(t, err)
			if e.Kind == firmware.EventEnded || e.Device == firmware.DeviceRestarting || e.State == firmware.StateWaiting {
				break
			}
		}
	}
	for run, err := range s.port.History(context.Background(), rollout.Query{Live: true}) { // which would take its time
		require.NoError(t, err)
		require.NoError(t, s.port.Cancel(context.Background(), run.ID, rollout.By{}))
		_, _ = s.port.Wait(context.Background(), run.ID)
	}
	s.papers.settle(t)
	for range 10_000 { // at most so many milliseconds, by the clock of a bubble
		if s.told(t) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("what ended is not told")
}

// told reports whether nothing is written any more of runs that have ended: of
// whom was told of them, and of what they leave behind.
func (s *site) told(t testing.TB) bool {
	ctx := context.Background()
	rec, err := s.db.Firmware("4711").Load(ctx)
	require.NoError(t, err)
	if rec.Run != nil && rec.Run.ID != "run-1" && rec.Run.State.Done() && !bytes.Contains(rec.Progress, []byte(`"told":true`)) {
		return false
	}
	for svc, err := range s.db.Rollouts().Services(ctx, rollout.ServiceQuery{}) {
		require.NoError(t, err)
		_, err = s.db.Locker().Holder(ctx, lease.Item("rollout", svc.ID.Env, svc.ID.Name))
		if len(svc.Untold) > 0 || !errors.Is(err, lease.ErrFree) {
			return false
		}
	}
	return true
}

// recorder records a reply, and ends the request of a stream once that is written
// to.
type recorder struct {
	*httptest.ResponseRecorder
	end func()
}

func (w *recorder) Write(text []byte) (int, error) {
	if w.Header().Get("Content-Type") == "text/event-stream" {
		defer w.end()
	}
	return w.ResponseRecorder.Write(text)
}

// answer serves a request. A handler that panics is an error.
func (s *site) answer(r request) (got reply, err error) {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	w := &recorder{httptest.NewRecorder(), end}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panics: %v", p)
		}
	}()
	sent := r.built().WithContext(ctx)
	s.adapter.ServeHTTP(w, sent)
	got = reply{w.Result(), w.Body.String(), r.method}
	err = described(s.t).check(sent, got.Response, got.text)
	return got.meant(), err
}

// strike sends an input to a target, and returns what the target does wrong.
func (s *site) strike(t testing.TB, target target, in input, good reply) error {
	before := s.state(t)
	got, err := s.answer(in.request)
	if err != nil {
		return err
	}
	if got.StatusCode < 300 && target.Changes {
		s.settle(t)
	}
	changed := s.state(t) != before
	switch {
	case got.StatusCode >= 500:
		return fmt.Errorf("answers %d: %.200s", got.StatusCode, got.text)
	case in.want >= 400 && got.StatusCode != in.want:
		return fmt.Errorf("answers %d, want %d: %.200s", got.StatusCode, in.want, got.text)
	case in.want == served && target.isGood() && isRefusal(got.StatusCode):
		return fmt.Errorf("refuses with %d what is good: %.200s", got.StatusCode, got.text)
	case in.want == ignored && !target.Changes && (got.StatusCode != good.StatusCode || got.text != good.text):
		return fmt.Errorf("answers %d %.200s, want %d %.200s", got.StatusCode, got.text, good.StatusCode, good.text)
	case changed && got.StatusCode >= 400:
		return fmt.Errorf("changes something, though it answers %d", got.StatusCode)
	case changed && (!target.Changes || in.method == http.MethodHead):
		return fmt.Errorf("changes something, as %s does not", in.method)
	}
	for _, secret := range []string{admin, reader, appKey} {
		if strings.Contains(got.text+s.log.String(), secret) {
			return fmt.Errorf("tells a secret: %.200s", got.text)
		}
	}
	return envelope(target, got)
}

// isRefusal reports whether a status says that a request has a bad form, or
// comes to the wrong place or from the wrong side.
func isRefusal(status int) bool {
	switch status {
	case 400, 401, 403, 404, 405, 413, 414, 415:
		return true
	}
	return false
}

// rawMedia is the Content-Type of bytes.
const rawMedia = "application/octet-stream"

// enveloped has the replies that were found to be in their envelopes.
var enveloped verdicts

// envelope returns in what a reply is not in the envelope of the target's API.
func envelope(t target, r reply) error {
	header := r.Header
	if header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" {
		return fmt.Errorf("has the header %v", header)
	}
	if r.method == http.MethodHead || r.StatusCode == http.StatusNoContent || r.StatusCode == http.StatusNotModified {
		if r.text != "" {
			return fmt.Errorf("has a body after %s, with %d", r.method, r.StatusCode)
		}
		return nil
	}
	if documentsSync(t.Pattern) && r.StatusCode == http.StatusForbidden && r.text == "" {
		return nil // to somebody who may not
	}
	media := "application/json"
	switch {
	case documentsFirmware(t.Pattern):
		media = "application/json; charset=UTF-8"
	case t.own && r.StatusCode >= 400:
		media = "application/problem+json"
	case t.wire.Stream && r.StatusCode < 400:
		if media = "text/event-stream"; header.Get("Content-Type") == media {
			return nil
		}
	case t.wire.Raw && r.StatusCode < 400 && header.Get("Content-Type") == rawMedia:
		return nil
	}
	got := header.Get("Content-Type")
	return enveloped.judge(fmt.Sprint(t.Pattern, r.StatusCode, got, media), r.text, func() error {
		var object map[string]any
		if got != media || json.Unmarshal([]byte(r.text), &object) != nil {
			return fmt.Errorf("answers %d with a %s: %.200s", r.StatusCode, got, r.text)
		}
		if !strings.HasSuffix(r.text, "}\n") {
			return fmt.Errorf("does not end the line: %.200s", r.text)
		}
		if !t.holds(object, r.StatusCode) {
			return fmt.Errorf("answers %d outside of its envelope: %.200s", r.StatusCode, r.text)
		}
		return nil
	})
}

// holds reports whether the object of a reply is in the envelope of the target's
// API.
func (t target) holds(object map[string]any, code int) bool {
	status, fails := float64(code), code >= 400
	switch {
	case t.own && fails:
		slug, found := strings.CutPrefix(fmt.Sprint(object["type"]), "urn:upkeep:problem:")
		return found && slug != "" && object["status"] == status && object["title"] != ""
	case t.own:
		return true
	case documentsSync(t.Pattern):
		return object["code"] == 0.0 && object["msg"] == "" && !fails || object["code"] == -1.0 && object["msg"] != "" && fails
	case documentsRollouts(t.Pattern):
		return len(object) == 4 && object["errcode"] == 0.0 && !fails || len(object) == 2 && object["errcode"] != 0.0 && object["errmsg"] != "" && fails
	case documentsFirmware(t.Pattern):
		return object["status"] != nil && object["result"] == 0.0 && !fails || len(object) == 1 && object["result"] != 0.0 && fails
	case documentsRows(t.Pattern):
		return len(object) == 3 && object["code"] == status && (object["msg"] == "") != fails && (!fails || object["data"] == nil)
	case fails || object["status"] == "fail":
		return len(object) == 2 && object["status"] == "fail" && object["message"] != ""
	}
	return len(object) == 3 && object["status"] == "success" && object["message"] != ""
}

// attack strikes a target with everything that fits it. What is served acts
// on a site of its own; what only has to be survived comes last, since it may
// change what the target is about.
func attack(t testing.TB, target target, open func(testing.TB) *site) (findings []finding) {
	s := open(t)
	found := func(in input, err error) {
		if err != nil {
			findings = append(findings, finding{target.method + " " + target.Pattern, in.name, err.Error()})
		}
	}
	var good reply
	if !target.Changes {
		var err error
		good, err = s.answer(target.good())
		found(input{name: "a good request"}, err)
	}
	inputs := target.sent()
	for _, in := range inputs {
		switch {
		case in.want >= 400 || in.want == ignored:
			found(in, s.strike(t, target, in, good))
		case in.want == served:
			found(in, open(t).strike(t, target, in, good))
		}
	}
	for _, in := range inputs {
		if in.want == survived && !target.twin {
			found(in, s.strike(t, target, in, good))
		}
	}
	return findings
}

func TestNoRouteFallsForHostileInput(t *testing.T) {
	for _, target := range eachLimited(t) {
		open := func(t testing.TB) *site { return narrowSite(t, nil, target.limitOf()) }
		target.every = historytest.Every(3)
		t.Run(target.method+" "+target.Pattern, func(t *testing.T) {
			t.Parallel()
			for _, f := range attack(t, target, open) {
				t.Error(f)
			}
		})
	}
}
