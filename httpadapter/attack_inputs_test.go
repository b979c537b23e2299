package httpadapter_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter"
)

// inputs are what is sent to a target. Those that only mean something on a
// connection are in attack_wire_test.go.
func (t target) inputs() []input {
	return slices.Concat(
		[]input{{"a good request", t.good(), served}},
		t.methods(), t.paths(), t.ids(), t.queries(), t.parameters(),
		t.credentials(), t.staff(), t.origins(), t.headers(), t.bodies(), t.members(),
	)
}

// sent are the first of every so many inputs.
func (t target) sent() (some []input) {
	for i, in := range t.inputs() {
		if i%max(t.every, 1) == 0 {
			some = append(some, in)
		}
	}
	return some
}

// methods are those that the pattern does not have. What a header says of the
// method does not matter.
func (t target) methods() (all []input) {
	if t.method == http.MethodHead {
		return nil // as GET, with which it shares its route
	}
	for _, method := range []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "post", "PROPFIND", "PRI",
	} {
		if slices.Contains(t.allowed, method) {
			continue
		}
		r := t.good().with("X-HTTP-Method-Override", t.method).with("X-HTTP-Method", t.method)
		r.method = method
		all = append(all, input{"the method " + method, r, http.StatusMethodNotAllowed})
	}
	return all
}

// paths are nearly the target's.
func (t target) paths() (all []input) {
	for _, path := range []string{t.path + "/", "/" + t.path, "/." + t.path, "/x/.." + t.path, t.path + "//", t.path + "/."} {
		r := t.good()
		r.path = path
		want := http.StatusNotFound
		if path == t.path+"/" && strings.HasSuffix(t.Pattern, "/release/{versionId}") { // and no grayId
			want = http.StatusOK
		}
		all = append(all, input{"the path " + path, r, want})
	}
	return all
}

// hostileIDs are escaped path segments that are no ids.
var hostileIDs = []string{
	"%00", "a%00", "%0A", "%0D%0A", "%1B%5B2J", "%7F", "%C2%85", "%ff", "%C0%AF", "%ED%A0%80",
	strings.Repeat("x", 257), strings.Repeat("%E4%B8%AD", 86), strings.Repeat("x", 4<<10),
}

// oddIDs are path segments that are ids, of nothing.
var oddIDs = []string{
	"%2F", "a%2Fb", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5C", "%20", "%22%3E%3Cscript%3E", "%E2%80%AE",
	"batch", "publish", "patch", "delete", "null", "0", "-1", "a;b", "%25zz", "%7Bid%7D", "CON", "%D9%A1",
	"9223372036854775808", strings.Repeat("x", 256),
}

// ids are sent in place of each wildcard of the pattern, all at once.
func (t target) ids() (all []input) {
	for i, id := range slices.Concat(hostileIDs, oddIDs) {
		r := t.good()
		if r.path = wildcard.ReplaceAllLiteralString(t.Pattern, id); r.path == t.Pattern {
			return nil
		}
		want := survived
		if i < len(hostileIDs) {
			want = http.StatusBadRequest
		}
		all = append(all, input{fmt.Sprintf("the id %.40s", id), r, want})
	}
	return all
}

// queries are refused by every route.
func (t target) queries() (all []input) {
	for _, query := range []string{
		"a=1;b=2", "%zz=1", "a=%zz", "a=%f", "a=%ff", "%ff=a", "a=%C0%AF", "x=a&x=a", "x=0&x=1", "x&x", "%78=1&x=2",
	} {
		all = append(all, input{"the query " + query, t.good().asked(query), http.StatusBadRequest})
	}
	long, want := t.good().asked("x="), ignored
	if t.strict() {
		want = http.StatusBadRequest
	}
	long.query += strings.Repeat("x", 8<<10-len(long.query))
	all = append(all, input{"a query of 8 KiB", long, want})
	long.query += "x"
	return append(all, input{"a query of 8 KiB and a byte", long, http.StatusRequestURITooLong})
}

// odd are texts that a program could take for something else.
var odd = []string{
	"", " ", "0", "-1", "-0", "+1", "1e3", "1e400", "0x10", "0b1", "1_000", "50.5", "101", "NaN", "Infinity", "١", " 1", "1 ",
	"9223372036854775808", strings.Repeat("9", 20), "true", "TRUE", "null", "[]", "{}",
	"..", "../../etc/passwd", "/", "/etc/passwd", `C:\`, "CON", "--working-dir=/", "-", "a;b", "$(id)", "`id`", "a|b", "%s%n", "%00",
	"a\x00b", "a\nb", "a\r\nX-Evil: 1", "\x1b[2J", "\u202eevil", "\ufeff", "\u0085", "<script>alert(1)</script>", `"'>`, "' OR 1=1 --",
	"v1..2", "latest", "^1 || ^2", ">=1 <0", "1.0.0-", strings.Repeat("1.", 100), strings.Repeat("x", 7<<10),
}

// parameters are odd values of what the table says is in the query.
func (t target) parameters() (all []input) {
	for _, name := range append(t.wire.Query, "unknown") {
		for _, value := range odd {
			r := t.good()
			query, err := url.ParseQuery(r.query)
			if err != nil {
				panic(err)
			}
			query.Set(name, value)
			r.query = query.Encode()
			all = append(all, input{fmt.Sprintf("the query %s=%.40q", name, value), r, survived})
		}
	}
	return all
}

// credentials are nearly the good one.
func (t target) credentials() (all []input) {
	bad := func(name string, r request) { all = append(all, input{name, r, http.StatusUnauthorized}) }
	near := admin[:len(admin)-1] + "X"
	switch {
	case t.own:
		for _, value := range []string{
			"", "Bearer", "Bearer ", admin, "Basic " + admin, "Bearer  " + admin, "Bearer\t" + admin, "Bearer " + admin + " ",
			"Bearer " + admin + "\x00", "Bearer " + admin + ",", "Bearer " + near, "Bearer " + strings.ToUpper(admin),
			"Bearer " + strings.Repeat("x", 8<<10), "Bearer \xff", "Bearer " + admin + ", Bearer " + admin,
		} {
			bad(fmt.Sprintf("Authorization %.40q", value), t.good().with("Authorization", value))
		}
		bad("no Authorization", t.good().with("Authorization"))
		bad("Authorization twice", t.good().with("Authorization", "Bearer "+admin, "Bearer "+admin))
		bad("a token in the query", t.good().with("Authorization").asked("access_token="+admin))
		bad("headers that say who it is", t.good().with("Authorization").with("X-Forwarded-For", "127.0.0.1").with("Remote-User", "ann"))
		bad("a token in a cookie", t.good().with("Authorization").with("Cookie", "token="+admin))
	case documentsRows(t.Pattern):
		change := func(name, value string) request {
			r := t.good()
			query, _ := url.ParseQuery(r.query)
			if query.Del(name); value != "" {
				query.Set(name, value)
			}
			r.query = query.Encode()
			return r
		}
		near := appKey[:len(appKey)-1] + "X"
		for name, value := range map[string]string{"authkey": near, "authid": "ann", "schemaid": "other"} {
			if name != "schemaid" { // the key is for the whole app
				bad("another "+name, change(name, value))
				bad("no "+name, change(name, ""))
				bad("a long "+name, change(name, strings.Repeat("x", 7<<10)))
			}
		}
		bad("another app", change("appid", "other"))
		bad("a bearer token", change("authkey", "").with("Authorization", "Bearer "+admin))
	case documentsSync(t.Pattern):
		for _, value := range []string{"", "Token", "Token ", admin, "Basic " + admin, "Token  " + admin, "Token " + near, "Bearer " + admin + ","} {
			bad(fmt.Sprintf("Authorization %.40q", value), t.good().with("Authorization", value))
		}
		bad("no Authorization", t.good().with("Authorization"))
		bad("Authorization twice", t.good().with("Authorization", "Token "+admin, "Token "+admin))
		bad("a token in the query", t.good().with("Authorization").asked("token="+admin))
	case documentsRollouts(t.Pattern):
		for _, query := range []string{
			"", "access_token=", "access_token=" + near, "Access_token=" + admin, "access_token=" + admin + "%20", "access_token=" + strings.Repeat("x", 7<<10),
		} {
			r := t.good()
			r.query = query
			bad(fmt.Sprintf("the query %.60q", query), r)
			bad(fmt.Sprintf("the query %.60q and a bearer token", query), r.with("Authorization", "Bearer "+admin))
		}
	case t.Pattern == updateStatus:
		for _, value := range []string{
			"", "mwcloud-sid=" + admin, "mwcloud-uid=ann", "mwcloud-sid=" + admin + "; mwcloud-uid=", "mwcloud-sid=; mwcloud-uid=ann",
			"mwcloud-sid=" + near + "; mwcloud-uid=ann", "mwcloud-sid=" + admin + "; mwcloud-uid=rob", "mwcloud-sid=" + admin + ", mwcloud-uid=ann",
			"mwcloud-sid=evil; mwcloud-sid=" + admin + "; mwcloud-uid=ann", "mwcloud-sid=" + admin + "; mwcloud-uid=ann; mwcloud-uid=rob",
			"MWCLOUD-SID=" + admin + "; mwcloud-uid=ann", "mwcloud-sid=" + strings.Repeat("x", 8<<10) + "; mwcloud-uid=ann",
		} {
			bad(fmt.Sprintf("Cookie %.60q", value), t.good().with("Cookie", value))
		}
		bad("a bearer token", t.good().with("Cookie").with("Authorization", "Bearer "+admin))
		bad("cookies in the query", t.good().with("Cookie").asked("mwcloud-sid="+admin+"&mwcloud-uid=ann"))
	case t.Needs > httpadapter.Nobody:
		for _, value := range []string{`""`, `null`, fmt.Sprintf("%q", near), fmt.Sprintf("%q", admin+" "), `"\u0000"`} {
			r := t.good()
			r.body = strings.Replace(r.body, `"`+admin+`"`, value, 1)
			bad("the api_token "+value, r)
		}
		r := t.good()
		r.body = strings.Replace(r.body, "api_token", "API_TOKEN", 1)
		bad("an API_TOKEN", r)
		r.body = strings.Replace(r.body, "{", `{"api_token":"`+near+`",`, 1)
		bad("an API_TOKEN beside another api_token", r)
		bad("a bearer token", r.with("Authorization", "Bearer "+admin))
	}
	return all
}

// staff are Staffnames that would do harm in a log or in a history.
func (t target) staff() (all []input) {
	if !documentsRows(t.Pattern) {
		return nil
	}
	for _, value := range []string{
		"ann\r\nX-Evil: 1", "ann\n", "\tann", "\x1b[2Jann", "ann\x00", "\u202enna", "ann\u2066", "\xff", "ann\u0085", "ann\u2028bob", "ann\u2029bob",
		strings.Repeat("x", 129), strings.Repeat("x", 10<<10),
	} {
		all = append(all, input{fmt.Sprintf("the Staffname %.40q", value), t.good().with("Staffname", value), http.StatusBadRequest})
	}
	return append(all, input{"Staffname twice", t.good().with("Staffname", "ann", "bob"), http.StatusBadRequest})
}

// origins are where a browser says that another site sends it from.
func (t target) origins() (all []input) {
	want := ignored
	if t.Changes || t.wire.Socket {
		want = http.StatusForbidden
	}
	for _, from := range [][2]string{
		{"cross-site", "https://evil.example"}, {"cross-site", ""}, {"same-site", "https://other.site"}, {"cross-site", "null"},
		{"CROSS-SITE", ""}, {"nonsense", ""}, {"", "null"}, {"", "https://evil.example"}, {"", "http://site.evil.example"}, {"", "http://site:81"},
	} {
		r := t.good()
		if from[0] != "" {
			r = r.with("Sec-Fetch-Site", from[0])
		}
		if from[1] != "" {
			r = r.with("Origin", from[1])
		}
		all = append(all, input{fmt.Sprintf("from %q of %q", from[0], from[1]), r, want})
	}
	return all
}

// headers make no difference, whatever they say.
func (t target) headers() (all []input) {
	for _, h := range [][]string{
		{"X-HTTP-Method-Override", "DELETE"}, {"X-Method-Override", "POST"}, {"X-Original-URL", runs}, {"X-Rewrite-URL", runs},
		{"X-Forwarded-For", "127.0.0.1"}, {"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Prefix", "/x"}, {"X-Forwarded-Proto", "gopher"},
		{"Forwarded", "for=127.0.0.1;host=evil.example"}, {"X-Real-IP", "127.0.0.1"}, {"X-Forwarded-User", "root"}, {"Remote-User", "root"},
		{"Cookie", "a=1", "a=2"}, {"Cookie", "a"}, {"Cookie", `a="b;c"; `}, {"Cookie", "=;;="}, {"Cookie", strings.Repeat("a=b; ", 1000)},
		{"Accept", "text/html"}, {"Accept", "", "*/*;q=x"}, {"Accept-Encoding", "gzip, br;q=0, x"}, {"Accept-Language", strings.Repeat("x", 8<<10)},
		{"Range", "bytes=0-0"}, {"If-Match", "*"}, {"If-Modified-Since", "yesterday"}, {"If-Range", `"x"`}, {"If-None-Match", `"x", W/"y", z`},
		{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-Websocket-Version", "0"}, {"Te", "trailers"}, {"Trailer", "Authorization"},
		{"Content-Length", "1"}, {"Transfer-Encoding", "gzip"}, {"Referer", "javascript:alert(1)"}, {"User-Agent", "<script>\x00\xff"},
		{"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Mode", "navigate"}, {"Proxy-Authorization", "Basic x"}, {"X-Api-Token", "x"},
	} {
		if h[0] == "Cookie" && t.Pattern == updateStatus {
			continue // where the credential is
		}
		all = append(all, input{fmt.Sprintf("%s %.40q", h[0], h[1:]), t.good().with(h[0], h[1:]...), ignored})
	}
	return all
}
