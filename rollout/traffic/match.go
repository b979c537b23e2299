package traffic

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/upkeep-go/upkeep/rollout"
)

// matches reports whether a request has what m wants.
func matches(m rollout.Match, r *http.Request) bool {
	switch {
	case m.Header != "":
		if isHostHeader(m.Header) {
			return r.Host == m.Value
		}
		for _, v := range r.Header[http.CanonicalHeaderKey(m.Header)] {
			if v == m.Value {
				return true
			}
		}
		return false
	case m.Cookie != "":
		v, ok := cookie(r.Header["Cookie"], m.Cookie)
		return ok && v == m.Value
	}
	return queried(r.URL.RawQuery, m.Query, m.Value)
}

// header returns the first value of a header.
func header(r *http.Request, name string) string {
	if isHostHeader(name) {
		return r.Host
	}
	return r.Header.Get(name)
}

// isHostHeader reports whether a name is that of the header which a server keeps
// apart from the others.
func isHostHeader(name string) bool { return strings.EqualFold(name, "Host") }

// queried reports whether a query has a parameter with a value, read as
// url.ParseQuery does, which makes a map.
func queried(query, name, value string) bool {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" || strings.Contains(pair, ";") {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		if unescaped(k, name) && unescaped(v, value) {
			return true
		}
	}
	return false
}

// unescaped reports whether s stands for want.
func unescaped(s, want string) bool {
	if !strings.ContainsAny(s, "%+") {
		return s == want
	}
	s, err := url.QueryUnescape(s)
	return err == nil && s == want
}

// cookie returns the first value that a cookie has in the lines of a request,
// read as http.Request.CookiesNamed does, which makes a list.
func cookie(lines []string, name string) (value string, ok bool) {
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			k, v, _ := strings.Cut(textproto.TrimString(pair), "=")
			if textproto.TrimString(k) != name {
				continue
			}
			if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			if printable(v) {
				return v, true
			}
		}
	}
	return "", false
}

// printable reports whether a cookie may have this value.
func printable(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < 0x20 || c >= 0x7f || c == '"' || c == ';' || c == '\\' {
			return false
		}
	}
	return true
}
