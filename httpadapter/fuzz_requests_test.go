package httpadapter_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

// rawQuery returns the query of a contract's request as it is sent.
func (r contractRequest) rawQuery() string {
	if r.QueryRaw != nil {
		return *r.QueryRaw
	}
	query := url.Values{}
	for name, value := range r.Query {
		query.Set(name, value)
	}
	return query.Encode()
}

// Whatever the query, routes that only look answer in their envelope, and
// refuse what parsers read differently.
func FuzzQuery(f *testing.F) {
	seeds := map[string]bool{}
	for _, r := range contractRequests(f, rowsContract) {
		seeds[r.rawQuery()] = true
	}
	for _, query := range slices.Sorted(maps.Keys(seeds)) {
		f.Add(query)
	}
	for _, query := range []string{
		"package=demo/site&version=%5E1&allow_downgrade=true", "live=true&after=run-1&limit=1", "env=g&asof=3&working=false&size=1&env.content=Hello",
		"from=1&to=3&state=applied&object_id=a", "a=1;b=2", "a=%zz", "a&a", "%61=1&a=2", "a=%ff", "=", "&&", "+=+", "a=%00", strings.Repeat("x", 8<<10),
	} {
		f.Add(query)
	}
	s := hostileSite(f, nil)
	var targets []target
	for _, target := range s.targets() {
		if !target.Changes && !target.twin && target.method != http.MethodHead {
			targets = append(targets, target)
		}
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, target := range targets {
			in := input{name: "a query", request: target.good().asked(query), want: survived}
			values, err := url.ParseQuery(in.query)
			ambiguous := err != nil
			for name, list := range values {
				ambiguous = ambiguous || len(list) > 1 || !utf8.ValidString(name) || !utf8.ValidString(list[0])
			}
			switch {
			case len(in.query) > 8<<10:
				in.want = http.StatusRequestURITooLong
			case ambiguous:
				in.want = http.StatusBadRequest
			}
			require.NoError(t, s.strike(t, target, in, reply{}), "%s?%s", target.Pattern, in.query)
		}
	})
}

// Whatever the bytes of an id in a path, every route answers in its envelope,
// and refuses what is no id.
func FuzzPathID(f *testing.F) {
	seeds := map[string]bool{}
	for _, r := range contractRequests(f, rowsContract) {
		for segment := range strings.SplitSeq(r.Path, "/") {
			seeds[segment] = true
		}
	}
	for _, id := range slices.Concat(hostileIDs, oddIDs) {
		seeds[id] = true
	}
	for _, segment := range slices.Sorted(maps.Keys(seeds)) {
		if id, err := url.PathUnescape(segment); err == nil {
			f.Add(id)
		}
	}
	f.Fuzz(func(t *testing.T, id string) {
		if id == "" || id == "." || id == ".." {
			return // another path
		}
		s := hostileSite(t, nil)
		for _, target := range s.targets() {
			path := wildcard.ReplaceAllLiteralString(target.Pattern, url.PathEscape(id))
			if path == target.Pattern || target.twin {
				continue
			}
			in := input{name: "an id", request: target.good(), want: survived}
			in.path = path
			if id == "." || id == ".." || len(id) > 256 || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
				in.want = http.StatusBadRequest
			}
			require.NoError(t, s.strike(t, target, in, reply{}), "%s %q", target.Pattern, id)
		}
	})
}

// Whatever a reader says that it has seen, a stream begins there or refuses it.
func FuzzLastEventID(f *testing.F) {
	for _, id := range []string{"", "0", "7", "-1", "+1", "0x1", "1 ", "1e3", "١", "9223372036854775807", "9223372036854775808", strings.Repeat("9", 100)} {
		f.Add(id, "")
		f.Add("", id)
		f.Add("1", id)
	}
	s := hostileSite(f, nil)
	var streams []target
	for _, target := range s.attacked() {
		if target.wire.Stream {
			streams = append(streams, target)
		}
	}
	require.NotEmpty(f, streams)
	isSeq := func(text string) bool {
		_, err := strconv.ParseInt(text, 10, 64)
		return err == nil && regexp.MustCompile(`^[0-9]+$`).MatchString(text)
	}
	f.Fuzz(func(t *testing.T, id, after string) {
		for _, stream := range streams {
			in := input{name: "an id", request: stream.good().asked("after="+url.QueryEscape(after)).with("Last-Event-ID", id)}
			text := id
			if id == "" {
				text = after
			}
			switch {
			case len(in.query) > 8<<10:
				in.want = http.StatusRequestURITooLong
			case !utf8.ValidString(after), text != "" && !isSeq(text):
				in.want = http.StatusBadRequest
			default:
				in.want = served
			}
			require.NoError(t, s.strike(t, stream, in, reply{}), "%q %q", id, after)
		}
	})
}

// Only the token gets in, whatever looks like it, from wherever.
func FuzzAuthorization(f *testing.F) {
	for _, value := range []string{
		"Bearer " + admin, "bearer " + admin, "BEARER " + reader, "Bearer", "Bearer  " + admin, "Basic " + admin, admin, "", "Bearer " + admin + " ", "Bearer\t" + admin,
	} {
		f.Add(value, "192.0.2.1:1234")
	}
	for _, address := range []string{"", "@", "[::1%eth0]:1", "[::ffff:192.0.2.1]:1", "192.0.2.1", ":0", "[", "unix", "\x00"} {
		f.Add("Bearer "+admin, address)
	}
	s := hostileSite(f, nil)
	target := s.target("GET", runs)
	f.Fuzz(func(t *testing.T, value, address string) {
		r := target.good().with("Authorization", value).built()
		r.RemoteAddr = address
		got := s.serve(r)
		checkEnvelope(t, runs, got)
		scheme, token, _ := strings.Cut(value, " ")
		known := strings.EqualFold(scheme, "bearer") && (token == admin || token == reader)
		require.Equal(t, known, got.StatusCode == http.StatusOK, "%q: %s", value, got.text)
		require.True(t, known || got.StatusCode == http.StatusUnauthorized, got.text)
	})
}

// Only the credential of the document gets in, in its place.
func FuzzCredentials(f *testing.F) {
	seeds := map[[4]string]bool{}
	for _, r := range contractRequests(f, rowsContract) {
		seed := [4]string{r.Query["authkey"], r.Query["authid"], r.Query["appid"], r.Headers["Staffname"]}
		if !seeds[seed] {
			f.Add(seed[0], seed[1], seed[2], seed[3])
		}
		seeds[seed] = true
	}
	f.Add(appKey, "kit", "app", "操作人")
	f.Add(appKey, "", "app", "")
	f.Add(admin, "ann", "app", "ann")
	f.Add(reader, "rob", "app/table", "\u202e")
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Logins = -1 }}).open(f)
	described(f) // before, for it may not use f in a target
	f.Fuzz(func(t *testing.T, secret, id, app, staff string) {
		body := fmt.Sprintf(`{"api_token":%s,"itemId":"core"}`, encoded(t, secret))
		progress := s.send("POST", "/api/v1/update/progress", body)
		checkEnvelope(t, "/api/v1/update/progress", progress)
		require.Equal(t, secret == admin || secret == reader, progress.StatusCode == http.StatusOK, progress.text)

		query := url.Values{"authkey": {secret}, "authid": {id}, "appid": {app}, "schemaid": {"table"}}
		if len(query.Encode()) > 8<<10 {
			return
		}
		record := s.send("GET", "/lv/record?"+query.Encode(), "", header("Staffname", staff))
		checkEnvelope(t, "/lv/record", record)
		known := map[string]string{admin: "ann", reader: "rob", appKey: "kit"}[secret]
		good := known != "" && known == id && app == "app" && s.send("GET", "/lv/record?"+url.Values{
			"authkey": {appKey}, "authid": {"kit"}, "appid": {"app"}, "schemaid": {"table"},
		}.Encode(), "", header("Staffname", staff)).StatusCode == http.StatusOK
		require.Equal(t, good, record.StatusCode == http.StatusOK, record.text)
		require.Contains(t, []int{200, 400, 401, 404}, record.StatusCode)
	})
}
