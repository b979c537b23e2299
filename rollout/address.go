package rollout

import (
	"strconv"
	"strings"
)

// isAddress reports whether a is a base URL that a Router can send requests to:
// http, a host, a port that there is if any, and a path. Who dials it parses it:
// net/url would bring 70 kB into every program that links an engine.
func isAddress(a string) bool {
	const scheme = "http://"
	if len(a) < len(scheme) || len(a) > maxAddress || !strings.EqualFold(a[:len(scheme)], scheme) {
		return false
	}
	host, path, _ := strings.Cut(a[len(scheme):], "/")
	return isHost(host) && isPath(path)
}

func isHost(host string) bool {
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	if inner, is := strings.CutPrefix(name, "["); is {
		inner, is = strings.CutSuffix(inner, "]")
		return is && isIPv6(inner)
	}
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._", r))
	}
	return name != "" && !strings.ContainsFunc(name, odd)
}

// isIPv6 reports whether a is an address in hexadecimal groups, without a zone.
func isIPv6(a string) bool {
	groups := func(s string) (n int) {
		for g := range strings.SplitSeq(s, ":") {
			if n++; g == "" || len(g) > 4 || strings.ContainsFunc(g, func(r rune) bool { return r >= 0x80 || !isHex(byte(r)) }) {
				return 9 // more than there may be
			}
		}
		return n
	}
	front, back, short := strings.Cut(a, "::")
	n := 0
	for _, part := range []string{front, back} {
		if part != "" {
			n += groups(part)
		}
	}
	return short && n < 8 || !short && n == 8
}

func isPath(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`?#\`, c) >= 0:
			return false
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return false
			}
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }
