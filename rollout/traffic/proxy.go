package traffic

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// Why a reply is not passed on.
var (
	errNonsense = errors.New("traffic: the reply is not HTTP")
	errProtocol = errors.New("traffic: the reply is for another protocol than the one asked for")
	errSwitched = errors.New("traffic: the connection is upgraded") // no failure: nothing is left to answer
	errLeft     = errors.New("traffic: the client has left")
)

// exchange is one request on its way, and the proxy that takes it there. The
// functions of the proxy know the exchange, so that neither costs anything.
type exchange struct {
	router  *Router
	service *service
	proxy   httputil.ReverseProxy

	w       http.ResponseWriter
	in      *http.Request
	choice  choice
	upload  *upload // of a request with a body
	reply   download
	upgrade string   // the protocol asked for, or ""
	back    net.Conn // to the service, of an upgrade

	began  time.Duration // when it was passed on
	first  time.Duration // from then until the reply began
	status int           // of the reply
	err    error         // why there is none
	gone   bool          // there is none since the client has left, or sends what is not HTTP
	tried  bool          // there is none since no endpoint is left to try
	whole  bool          // the proxy has returned
}

func newExchange(r *Router) *exchange {
	x := &exchange{router: r}
	x.proxy = httputil.ReverseProxy{
		Rewrite: x.rewrite, Transport: x, ModifyResponse: x.answer, ErrorHandler: x.fail,
		BufferPool: buffers, ErrorLog: silence,
	}
	return x
}

// silence is where a proxy tells what Config.Observe tells too.
var silence = log.New(io.Discard, "", 0)

// pool is an httputil.BufferPool.
type pool struct{ sync.Pool }

func (p *pool) Get() []byte  { return *p.Pool.Get().(*[]byte) }
func (p *pool) Put(b []byte) { p.Pool.Put(&b) }

var buffers = &pool{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}}

// ServeHTTP passes a request on.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if why := refusal(r); why != "" {
		http.Error(w, why, http.StatusBadGateway)
		s.observe(Served{Request: r, Err: errors.New("traffic: " + why)})
		return
	}
	x := s.router.exchange.Get().(*exchange)
	x.service, x.w, x.in = s, w, r
	if err := s.admit(r, &x.choice); err != nil {
		x.free()
		s.router.config.Unavailable.ServeHTTP(w, r) // a client that has gone does not read it
		s.observe(Served{Request: r, Err: err})
		return
	}
	defer x.end()
	x.began = s.router.now()
	x.proxy.ServeHTTP(w, r)
	x.whole = true
}

// refusal says why a request cannot be passed on, or "".
func refusal(r *http.Request) string {
	switch {
	case isGRPC(r.Header.Get("Content-Type")):
		return "gRPC is not supported"
	case r.ProtoMajor == 2 && r.TLS == nil, r.ProtoMajor < 2 && strings.EqualFold(protocol(r.Header), "h2c"):
		return "HTTP/2 without TLS is not supported"
	case r.Method == http.MethodConnect:
		return "CONNECT is not supported"
	}
	return ""
}

// isGRPC reports whether a content is that of gRPC. One of gRPC-Web, which looks
// like it, needs nothing that HTTP/1.1 has not.
func isGRPC(content string) bool {
	if len(content) < len("application/grpc") || !strings.EqualFold(content[:len("application/grpc")], "application/grpc") {
		return false
	}
	rest := content[len("application/grpc"):]
	return rest == "" || strings.IndexByte("+; \t", rest[0]) >= 0
}

// protocol is what a message wants to switch to, or "".
func protocol(h http.Header) string {
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), "upgrade") {
				return h.Get("Upgrade")
			}
		}
	}
	return ""
}

// rewrite makes the request for the service of the one that came in.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	x.forward(p.Out.Header)
	p.Out.URL.RawQuery = x.in.URL.RawQuery // as it came
	if p.Out.Body != nil {
		x.upload = &upload{ReadCloser: p.Out.Body, in: x.in}
		p.Out.Body = x.upload
		if x.in.ContentLength < 0 {
			x.upload.trailer = make(http.Header, len(x.in.Trailer))
			maps.Copy(x.upload.trailer, x.in.Trailer)
			p.Out.Trailer = x.upload.trailer
		}
	}
	if x.upgrade = protocol(p.Out.Header); x.upgrade == "" {
		return
	}
	if p.Out.Body != nil || !x.in.ProtoAtLeast(1, 1) || x.in.ProtoMajor != 1 {
		x.upgrade = "" // such a wish may be passed over
		p.Out.Header.Del("Connection")
		p.Out.Header.Del("Upgrade")
	}
}

// RoundTrip sends the request to its endpoint, or to another as long as there is
// no connection. It implements http.RoundTripper.
func (x *exchange) RoundTrip(out *http.Request) (*http.Response, error) {
	if x.upgrade != "" {
		got := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { x.back = i.Conn }}
		out = out.WithContext(httptrace.WithClientTrace(out.Context(), got))
	}
	for {
		e := x.choice.endpoint
		out.URL = e.locate(out.URL, x.in.URL)
		reply, err := e.carrier(out).RoundTrip(out)
		if err == nil {
			return reply, nil
		}
		if x.gone = x.left(); x.gone {
			return nil, err
		}
		e.failed(x.router.now())
		if !errors.Is(err, errNotSent) || x.in.Context().Err() != nil {
			return nil, err
		}
		if err := x.another(err); err != nil {
			return nil, err
		}
	}
}

// another finds another endpoint as for a request that comes now: by the table
// in force, of the same revision if that has not changed. If none is free the
// request waits. Once all were tried the error is why the last is not reached.
func (x *exchange) another(unreached error) error {
	s, e := x.service, x.choice.endpoint
	x.choice.tried = append(x.choice.tried, e)
	if s.place(x.in, &x.choice) {
		s.leave(e)
		return nil
	}
	if s.exhausted(&x.choice) {
		return unreached
	}
	x.choice.endpoint = nil
	s.leave(e) // which may be drained
	err := s.wait(x.in, &x.choice)
	x.gone = err != nil && x.left()
	x.began = x.router.now()
	if x.tried = err == errTried; x.tried {
		return unreached
	}
	return err
}

// locate returns the URL at an endpoint of what was asked for.
func (e *endpoint) locate(out, in *url.URL) *url.URL {
	out.Scheme, out.Host, out.Opaque = "http", e.base.Host, ""
	if e.base.Path != "" || out.Path != in.Path {
		out.RawPath = e.base.EscapedPath() + in.EscapedPath()
		out.Path = e.base.Path + in.Path
	}
	return out
}

// left reports whether the client has gone, or sends what is not HTTP.
func (x *exchange) left() bool {
	if ctx := x.in.Context(); ctx.Err() != nil {
		return gone(ctx)
	}
	return x.upload != nil && x.upload.failure() != nil
}

// gone reports whether the context of a request has ended with its connection:
// a server gives no cause then. One with a deadline or a cause is ended by the
// application, whose client is still there.
func gone(ctx context.Context) bool { return context.Cause(ctx) == context.Canceled }

// answer looks at a reply before it is passed on.
func (x *exchange) answer(reply *http.Response) error {
	x.first = x.router.now() - x.began
	if err := x.judge(reply); err != nil {
		x.choice.endpoint.failed(x.router.now())
		return err
	}
	x.choice.endpoint.answered()
	v := x.choice.revision
	if x.choice.visitor != "" {
		reply.Header.Add("Set-Cookie", x.cookie())
	}
	if x.router.config.RevisionHeader {
		reply.Header.Set("X-Upkeep-Revision", v.Version+" "+v.Run)
	}
	if reply.StatusCode == http.StatusSwitchingProtocols {
		return x.tunnel(reply)
	}
	x.status = reply.StatusCode
	x.reply = download{ReadCloser: reply.Body}
	reply.Body = &x.reply
	return nil
}

// judge returns what is wrong with a reply that the transport takes.
func (x *exchange) judge(reply *http.Response) error {
	switch {
	case reply.StatusCode == http.StatusSwitchingProtocols:
		if x.upgrade == "" || !strings.EqualFold(protocol(reply.Header), x.upgrade) {
			x.w.Header().Set("Connection", "close")
			return errProtocol
		}
	case reply.StatusCode < 200:
		return errNonsense
	}
	for name := range reply.Header {
		if strings.IndexByte(name, ' ') >= 0 {
			return errNonsense
		}
	}
	return nil
}

// cookie is the line that gives a new visitor a name.
func (x *exchange) cookie() string {
	t := x.choice.table
	c := http.Cookie{
		Name: t.Split.Sticky.Cookie, Value: x.choice.visitor, Path: t.Path, MaxAge: int(t.Split.Sticky.MaxAge / time.Second),
		Secure: x.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if c.Path == "" {
		c.Path = "/"
	}
	return c.String()
}

// fail answers in place of the service.
func (x *exchange) fail(w http.ResponseWriter, _ *http.Request, err error) {
	if err == errSwitched {
		return
	}
	x.err = err
	if x.choice.endpoint == nil && !x.tried { // it waited again, and in vain
		x.router.config.Unavailable.ServeHTTP(w, x.in)
		return
	}
	code, why := http.StatusBadGateway, "no valid reply from the service"
	if x.upload != nil {
		var large *http.MaxBytesError
		switch err := x.upload.failure(); {
		case errors.As(err, &large):
			code, why = http.StatusRequestEntityTooLarge, "the body is too large"
		case err != nil:
			code, why = http.StatusBadRequest, "the body cannot be read"
		}
	}
	http.Error(w, why, code)
}

// end counts a request, and frees what it had.
func (x *exchange) end() {
	e := x.choice.endpoint
	switch {
	case e == nil && x.tried:
		e = x.choice.tried[len(x.choice.tried)-1]
	case e == nil: // it waited again, and in vain
		x.service.observe(Served{Request: x.in, Err: x.err})
		x.free()
		return
	}
	served := Served{
		Revision: rollout.RevisionID{Service: x.service.id, Version: x.choice.revision.Version, Run: x.choice.revision.Run},
		Endpoint: e.url, Status: x.status, First: x.first, Err: x.err, Request: x.in,
	}
	if x.cut() {
		if served.Err = x.reply.err; served.Err == nil {
			served.Err = errLeft
			if !x.dropped() {
				served.Err = context.Cause(x.in.Context())
			}
		}
	}
	if x.status != http.StatusSwitchingProtocols {
		x.count()
	}
	s := x.service
	if !x.tried { // which it has left
		s.leave(e)
	}
	x.free()
	s.observe(served)
}

// cut reports whether a reply has begun and is not whole.
func (x *exchange) cut() bool {
	return x.status != 0 && x.status != http.StatusSwitchingProtocols && (!x.whole || x.reply.err != nil)
}

// dropped reports whether it is the client who did not want the rest of a reply
// that is cut.
func (x *exchange) dropped() bool {
	if ctx := x.in.Context(); ctx.Err() != nil {
		return gone(ctx)
	}
	return x.reply.err == nil
}

// count adds the request to the counts of its revision.
func (x *exchange) count() {
	c := x.choice.revision.counts
	if x.gone || x.cut() && x.dropped() {
		c.cancelled.Add(1)
		return
	}
	c.requests.Add(1)
	if x.status == 0 || x.status >= 500 || x.cut() {
		c.errors.Add(1)
	}
	if x.status != 0 {
		c.latency[bucket(x.first)].Add(1)
	}
	if x.cut() {
		x.choice.endpoint.failed(x.router.now())
	}
}

// free makes an exchange ready for another request.
func (x *exchange) free() {
	clear(x.choice.tried)
	*x = exchange{router: x.router, proxy: x.proxy, choice: choice{tried: x.choice.tried[:0]}}
	x.router.exchange.Put(x)
}

func (s *service) observe(served Served) {
	if s.router.config.Observe != nil {
		s.router.config.Observe(served)
	}
}
