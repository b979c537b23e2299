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
		v, ok := cookie(r.Header["Cookie"], m.Cookie, printable)
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

// cookie returns the first valid value that a cookie has in the lines of a
// request, read as http.Request.CookiesNamed does, which makes a list.
func cookie(lines []string, name string, valid func(string) bool) (value string, ok bool) {
	for _, line := range lines {
		for line != "" {
			end := strings.IndexByte(line, ';')
			if end < 0 {
				end = len(line)
			}
			pair := textproto.TrimString(line[:end])
			line = line[min(end+1, len(line)):]
			rest, named := strings.CutPrefix(pair, name)
			rest = textproto.TrimString(rest)
			if !named || rest != "" && rest[0] != '=' {
				continue
			}
			v := strings.TrimPrefix(rest, "=")
			if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			if valid(v) {
				return v, true
			}
		}
	}
	return "", false
}

// printable reports whether a cookie may have this value.
func printable(v string) bool {
	if len(v) < 8 {
		return allPrintable(short(v) | 'a'*ones<<(8*len(v)))
	}
	last := v[len(v)-8:]
	for ; len(v) > 8; v = v[8:] {
		if !allPrintable(word(v)) {
			return false
		}
	}
	return allPrintable(word(last))
}

// allPrintable reports whether a cookie may have these 8 bytes: none is below a
// space, above a tilde, or one of " ; \.
func allPrintable(w uint64) bool {
	yes := (w + (0x80-' ')*ones) & differ(w, '"') & differ(w, ';') & differ(w, '\\')
	no := w | (w + (0x80-0x7f)*ones)
	return yes&^no&highs == highs
}
