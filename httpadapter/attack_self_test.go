package httpadapter_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

// brokenRoute is a route with something wrong, and how the attack says so.
type brokenRoute struct {
	name    string
	methods string // default: GET
	changes bool
	// bare is true if do sees to all that comes after the credential; else it
	// is called when nothing is wrong with a request, before the reply.
	bare  bool
	do    func(s *site, w http.ResponseWriter, r *http.Request)
	found []string // parts of the findings; none: nothing is wrong
}

func act(s *site, _ http.ResponseWriter, _ *http.Request) { s.acted.Add(1) }

func answer(w http.ResponseWriter, status int, media, text string) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

func answerWell(_ *site, w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "application/json", "{}")
}

func refuse(w http.ResponseWriter) {
	answer(w, http.StatusBadRequest, "application/problem+json", `{"type":"urn:upkeep:problem:x","title":"x","status":400}`)
}

var brokenRoutes = []brokenRoute{
	{name: "a sound one that looks", methods: "GET HEAD", do: func(*site, http.ResponseWriter, *http.Request) {}},
	{name: "a sound one that acts", methods: "POST PUT", changes: true, do: act},
	{name: "a sound one that acts on GET", changes: true, do: act},
	{
		name: "panics on an id", found: []string{"the id batch: answers 500"},
		do: func(_ *site, _ http.ResponseWriter, r *http.Request) {
			if r.PathValue("id") == "batch" {
				panic("no such batch")
			}
		},
	},
	{
		name: "gives up the connection", found: []string{"the id 0: panics"},
		do: func(_ *site, _ http.ResponseWriter, r *http.Request) {
			if r.PathValue("id") == "0" {
				panic(http.ErrAbortHandler)
			}
		},
	},
	{
		name: "answers outside of any envelope", found: []string{"the id 0: answers 404 with a text/plain"}, bare: true,
		do: func(s *site, w http.ResponseWriter, r *http.Request) {
			if r.PathValue("id") == "0" {
				http.NotFound(w, r)
				return
			}
			answerWell(s, w, r)
		},
	},
	{
		name: "answers in the envelope of another API", found: []string{"answers 404 outside of its envelope"}, bare: true,
		do: func(_ *site, w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusNotFound, "application/problem+json", `{"code":404,"msg":"not found"}`)
		},
	},
	{
		name: "lets a browser guess", found: []string{"a good request: has the header"},
		do: func(_ *site, w http.ResponseWriter, _ *http.Request) { w.Header().Del("X-Content-Type-Options") },
	},
	{
		name: "does not end the line", found: []string{"a good request: does not end the line"}, bare: true,
		do: func(_ *site, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
		},
	},
	{
		name: "acts on HEAD", methods: "GET HEAD", changes: true, do: act,
		found: []string{"HEAD /upkeep/v1/added/{id}, a good request: changes something"},
	},
	{
		name: "acts on a cross-site GET", found: []string{`from "cross-site" of "https://evil.example": changes something`},
		do: func(s *site, _ http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
				s.acted.Add(1)
			}
		},
	},
	{
		name: "acts before it refuses", methods: "POST", changes: true, bare: true,
		found: []string{"truncated: changes something, though it answers 400"},
		do:    func(s *site, w http.ResponseWriter, _ *http.Request) { s.acted.Add(1); refuse(w) },
	},
	{
		name: "refuses what is good", methods: "POST", changes: true, bare: true, found: []string{"a good request: refuses with 400"},
		do: func(_ *site, w http.ResponseWriter, _ *http.Request) { refuse(w) },
	},
	{
		name: "believes forged headers", found: []string{"X-Original-URL", "X-Forwarded-For"}, bare: true,
		do: func(s *site, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Original-URL")+r.Header.Get("X-Forwarded-For") != "" {
				answer(w, http.StatusOK, "application/json", `{"hello":"root"}`)
				return
			}
			answerWell(s, w, r)
		},
	},
	{
		name: "reads bodies as encoding/json does", methods: "POST", changes: true, bare: true,
		found: []string{"a member twice: answers 200", "two values: answers 200", "invalid UTF-8: answers 200", "a byte more, in chunks: answers 200"},
		do: func(s *site, w http.ResponseWriter, r *http.Request) {
			var b struct{ Reason string }
			if json.NewDecoder(r.Body).Decode(&b) != nil {
				refuse(w)
				return
			}
			answerWell(s, w, r)
		},
	},
	{
		name: "takes anything", methods: "POST", changes: true, bare: true, do: answerWell,
		found: []string{"the id %00: answers 200", "the id %ff: answers 200", "the member reason: 1.5: answers 200", "10,001 levels: answers 200"},
	},
	{
		name: "reads a body that nobody documents", found: []string{"a body that nobody reads"}, bare: true,
		do: func(s *site, w http.ResponseWriter, r *http.Request) {
			if text, _ := io.ReadAll(r.Body); len(text) > 0 {
				refuse(w)
				return
			}
			answerWell(s, w, r)
		},
	},
	{
		name: "tells the token", found: []string{"a good request: tells a secret"}, bare: true,
		do: func(_ *site, w http.ResponseWriter, r *http.Request) {
			answer(w, http.StatusOK, "application/json", `{"you":"`+r.Header.Get("Authorization")+`"}`)
		},
	},
}

// The attack is proved by routes that are broken on purpose. Each is added to
// the table, and nothing else is said of it.
func TestAttackFindsWhatIsWrongWithARoute(t *testing.T) {
	for _, broken := range brokenRoutes {
		t.Run(broken.name, func(t *testing.T) {
			t.Parallel()
			open := func(t testing.TB) *site { return hostileSite(t, broken.addTo) }
			var found []finding
			for _, target := range open(t).attacked() {
				if strings.HasPrefix(target.Pattern, added) {
					found = append(found, attack(t, target, open)...)
				}
			}
			broken.isFound(t, found)
		})
	}
}

// isFound requires that findings say what is wrong with a route, if anything is.
func (b brokenRoute) isFound(t *testing.T, findings []finding) {
	if b.found == nil {
		require.Empty(t, findings)
	}
	for _, want := range b.found {
		found := slices.ContainsFunc(findings, func(f finding) bool { return strings.Contains(f.String(), want) })
		require.True(t, found, "%s in %s", want, findings)
	}
}

// added is the path of routes that tests add.
const added = "/upkeep/v1/added"

// addTo adds the route to the table of a site.
func (b brokenRoute) addTo(s *site) {
	methods, needs := strings.Fields(b.methods), httpadapter.Reader
	if len(methods) == 0 {
		methods = []string{"GET"}
	}
	if b.changes {
		needs = httpadapter.Editor
	}
	route := httpadapter.Route{
		API: httpadapter.UpkeepAPI, Methods: methods, Pattern: added + "/{id}", Needs: needs, Changes: b.changes, Summary: b.name,
	}
	do := func(w http.ResponseWriter, r *http.Request) { b.do(s, w, r) }
	if b.bare {
		s.adapter.AddBare(route, do)
		return
	}
	s.adapter.Add(route, do)
}

func TestAttackSendsEverythingThatFits(t *testing.T) {
	s := hostileSite(t, brokenRoute{methods: "POST", changes: true, do: act}.addTo)
	kinds := []string{
		"the method ", "the path ", "the id ", "the query ", "Authorization ", "from ", "Cookie ", "a member twice", "65 levels",
		"a body of a byte more, in chunks", "Content-Encoding gzip", "Content-Type ", "the member reason: ",
	}
	for _, target := range s.attacked() {
		var sent []string
		for _, in := range target.inputs() {
			sent = append(sent, in.name)
		}
		if target.Pattern != added+"/{id}" {
			require.Greater(t, len(sent), 60, target.Pattern)
			continue
		}
		for _, kind := range kinds {
			require.True(t, slices.ContainsFunc(sent, func(name string) bool { return strings.HasPrefix(name, kind) }), kind)
		}
	}
}
