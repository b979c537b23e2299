package traffic

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forward tells the service in out who asks for what. What the client itself
// says of that has no say, unless it is a trusted proxy.
func (x *exchange) forward(out http.Header) {
	proto, host := "http", x.in.Host
	if x.in.TLS != nil {
		proto = "https"
	}
	client, _, err := net.SplitHostPort(x.in.RemoteAddr)
	out["X-Forwarded-For"] = nil // no such line, if who asks is unknown
	said := [...]string{client, proto, host}
	if err == nil {
		out["X-Forwarded-For"] = said[0:1:1]
	}
	out["X-Forwarded-Proto"], out["X-Forwarded-Host"] = said[1:2:2], said[2:3:3]
	for name := range out {
		if respelled(name) {
			delete(out, name)
		}
	}
	if !x.trusted() {
		return
	}
	for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host"} {
		if before := x.in.Header[name]; len(before) > 0 {
			out[name] = before
		}
	}
	if before := x.in.Header["X-Forwarded-For"]; len(before) > 0 {
		said[0] = strings.Join(before, ", ") + ", " + client
	}
	if before := x.in.Header["Forwarded"]; len(before) > 0 {
		if strings.Contains(client, ":") {
			client = `"[` + client + `]"`
		}
		out["Forwarded"] = []string{strings.Join(before, ", ") + ", for=" + client}
	}
}

// respelled reports whether some programs, such as those that get headers as
// variables, take a name for one of X-Forwarded-For, -Host and -Proto.
func respelled(name string) bool {
	const kind = len("X-Forwarded-")
	if len(name) < kind+len("For") || len(name) > kind+len("Proto") || name[0]|0x20 != 'x' || !strings.ContainsAny(name, "_.") {
		return false
	}
	name = strings.NewReplacer("_", "-", ".", "-").Replace(name)
	return strings.EqualFold(name, "X-Forwarded-For") || strings.EqualFold(name, "X-Forwarded-Host") || strings.EqualFold(name, "X-Forwarded-Proto")
}

// trusted reports whether the request comes from a trusted proxy.
func (x *exchange) trusted() bool {
	if len(x.router.config.TrustedProxies) == 0 {
		return false
	}
	from, err := netip.ParseAddrPort(x.in.RemoteAddr)
	if err != nil {
		return false
	}
	address := from.Addr().Unmap().WithZone("")
	for _, p := range x.router.config.TrustedProxies {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// secure reports whether the client speaks TLS, to us or to a trusted proxy.
func (x *exchange) secure() bool {
	return x.in.TLS != nil || x.trusted() && strings.EqualFold(x.in.Header.Get("X-Forwarded-Proto"), "https")
}
