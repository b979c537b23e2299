package httpadapter_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/internal/historytest"
)

// target is a route under attack, with one of its methods.
type target struct {
	httpadapter.Route
	wire    httpadapter.Wire
	method  string
	path    string   // with good ids
	body    string   // of a good request, an object; "" if the route reads none
	own     bool     // one of our own routes, with a bearer token
	allowed []string // the methods of the pattern
	// twin is true if another target has the same handler and everything else
	// but its name: what only has to be survived is sent to that one, unless
	// historytest.Full.
	twin  bool
	every int // one of so many inputs is sent; 0 for each
}

// wildcard is an id in a pattern.
var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// goodIDs are good ids for the wildcards of patterns, where those of rowIDs do
// not do.
var goodIDs = strings.NewReplacer(
	"/runs/{id}", "/runs/run-1", "{item}", url.PathEscape(heldLock), "releases/{id}", "releases/3", "/revisions/{run}", "/revisions/run-1",
)

// goodQueries are those of routes that need one, by pattern.
var goodQueries = map[string]string{
	"/upkeep/v1/updates/plan": "package=demo/site", ownRollouts + "/services/{name}": "whole=true", rollPath: "access_token=" + admin,
	ownSync + "/files": "path=diary.md",
}

// goodBodies are those for which {} does not do, by pattern without /api.
var goodBodies = map[string]string{
	"/v1/update":                            updateBody(admin),
	"/v1/update/progress":                   `{"api_token":"` + admin + `","itemId":"core"}`,
	runs:                                    `{"package":"demo/site"}`,
	"/upkeep/v1/updates/locks/{item}/break": `{"token":1}`,
	"/lv/check":                             `{"ids":["a"]}`,
	"/lv/prod":                              `{"query":{}}`,
	"/lv/gray/{grayId}":                     `{"query":{}}`,
	"/lv/rollback2gray/batch/{grayId}":      `{"objectIds":["a"]}`,
	"/lv/record/publish":                    `{"actionId":"5"}`,
	"/lv/strategy":                          strategyBody("3"),
	"/upkeep/v1/lv/changelists":             `{"changes":[{"object_id":"a","to":"working"}]}`,
	"/upkeep/v1/lv/changelists/{id}/schedule": `{"at":"2030-01-02T03:04:05Z"}`,
	"/upkeep/v1/lv/rows/{objectId}":           `{"content":{"name":"attack"}}`,
	"/upkeep/v1/lv/strategies/test":           `{"rules":` + helloRules + `}`,
	"/upkeep/v1/firmware/settings":            `{"enable":true}`,
	rollPath:                                  rolledBody,
	"/sync/performSync":                       `{"app":"attack"}`,
	"/sync/setSyncEnable":                     `{"enabled":true}`,
	"/sync/setCloudSyncDir":                   `{"name":"main"}`,
	"/sync/createCloudSyncDir":                `{"name":"attack"}`,
	"/sync/removeCloudSyncDir":                `{"name":"attack"}`,
	ownSync + "/settings":                     `{"enabled":true}`,
	ownSync + "/restore":                      `{"commit":"{commit}"}`,
	ownSync + "/tags/{tag}":                   `{"commit":"{commit}"}`,
	ownSync + "/conflicts/resolve":            `{"path":"diary.md","copy":"{copy}","path_hash":"{path_hash}","copy_hash":"{copy_hash}","keep":"both"}`,
	ownSync + "/compact":                      `{"age_ms":3600000}`,
	ownSync + "/compact/plan":                 `{"age_ms":3600000}`,
	ownSync + "/keys":                         `{"name":"attack","passphrase":"battery staple"}`,
	ownRollouts + "/plan":                     rolledBody,
	ownRollouts + "/runs/{id}/resume":         `{"step":0}`,
	ownRollouts + "/services/{name}/split":    `{"weights":[{"version":"v1","percent":100}]}`,
}

// attacked returns every route of the table with every method.
func (s *site) attacked() []target {
	allowed := map[string][]string{}
	for _, r := range s.adapter.Routes() {
		allowed[r.Pattern] = append(allowed[r.Pattern], r.Methods...)
	}
	var all []target
	for _, r := range s.adapter.Routes() {
		for _, method := range r.Methods {
			t := target{
				Route: r, method: method, wire: s.adapter.Wire(r.Pattern, method), allowed: allowed[r.Pattern],
				own: strings.HasPrefix(r.Pattern, "/upkeep/v1/"),
			}
			twins := strings.HasPrefix(r.Pattern, "/api/lv/") && allowed[strings.TrimPrefix(r.Pattern, "/api")] != nil
			t.twin = !historytest.Full() && (twins || method == http.MethodHead)
			filed := filedPapers()
			t.path = wildcard.ReplaceAllString(rowIDs.Replace(goodIDs.Replace(filed.ids.Replace(r.Pattern))), "nobody")
			if t.wire.Body > 0 {
				t.body = `{"reason":"attack"}`
				if body, ok := goodBodies[strings.TrimPrefix(r.Pattern, "/api")]; ok {
					t.body = filed.ids.Replace(body)
				}
			}
			if t.wire.File {
				t.body = formOf(s.gadget.shelf.bundle(s.gadget.shelf.catalog.Releases[0]))
			}
			all = append(all, t)
		}
	}
	return all
}

// targets are those whose replies end.
func (s *site) targets() []target {
	var all []target
	for _, t := range s.attacked() {
		if !t.wire.Stream {
			all = append(all, t)
		}
	}
	return all
}

// isGood reports whether the target serves its good request. The document has
// an example that is none.
func (t target) isGood() bool { return !strings.HasSuffix(t.Pattern, "/lv/publish") }

// strict reports whether the target refuses names that it does not know.
func (t target) strict() bool {
	return documentsRows(t.Pattern) && slices.Contains(t.wire.Query, "size")
}

// good returns a request that nobody has a reason to refuse.
func (t target) good() request {
	r := request{method: t.method, path: t.path, query: goodQueries[t.Pattern], header: http.Header{}, body: t.body}
	if t.API == httpadapter.LVAPI {
		r = r.asked("appid=app&schemaid=table")
	}
	if strings.Contains(t.Pattern, ownRollouts+"/services/") {
		r = r.asked("env=test")
	}
	switch {
	case t.wire.File:
		return r.with("Authorization", "Bearer "+admin).with("Content-Type", formMedia)
	case t.own, documentsSync(t.Pattern):
		return r.with("Authorization", "Bearer "+admin)
	case t.Pattern == updateStatus:
		return r.with("Cookie", "mwcloud-sid="+admin+"; mwcloud-uid=ann")
	case documentsRows(t.Pattern):
		return r.asked("authid=kit&authkey="+appKey).with("Staffname", "操作人")
	}
	return r
}

// request returns the good request with another path and query, or body.
func (t target) request(path, body string) *http.Request {
	r := t.good()
	path, query, _ := strings.Cut(path, "?")
	r.path, r.body = path, body
	return r.asked(query).built()
}
