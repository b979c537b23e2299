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
