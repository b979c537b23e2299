package web

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
)

// maxHeard bounds the bytes of a message of a client. None has a meaning.
const maxHeard = 4 << 10

// Socket sends the events of a feed over a WebSocket, one message for each: the
// JSON of what frame makes of it. It ends with the feed, with the client, who may
// close it or answers no ping any more, with the request's context, and with an
// http.Server that shuts down, which leaves such a connection to us. What the client says is read and thrown
// away. The error compacted is as of Stream.
func (c *Call) Socket(after int64, from Feed, compacted error, frame func(Event) any) error {
	if !c.isHandshake() {
		header := c.Header()
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "websocket")
		header.Set("Sec-WebSocket-Version", "13")
		return NotSocket
	}
	leave := c.server.streams.enter(c.By.ID)
	if leave == nil {
		return TooManyOpen.After(heartbeat)
	}
	defer leave()
	c.status = http.StatusSwitchingProtocols
	// Where the request comes from has been looked at, as of all that changes.
	conn, err := websocket.Accept(c.Writer, c.Request, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	conn.SetReadLimit(maxHeard)
	// Of a client that leaves a connection that was taken over, the request's context
	// knows nothing; but it ends with http.Server.BaseContext.
	ctx, cancel := context.WithCancel(c.Context())
	stop := context.AfterFunc(c.server.lives.of(c.Request), cancel)
	defer stop()
	s := &socket{conn: conn, frame: frame}
	var work sync.WaitGroup
	defer work.Wait()
	defer func() { _ = conn.CloseNow() }()
	defer cancel()
	work.Go(func() {
		defer cancel()
		s.hear()
	})
	err = send(ctx, after, from, compacted, s)
	switch {
	case s.gone.Load(): // there is nobody to take leave of
	case err != nil:
		_ = conn.Close(websocket.StatusInternalError, "")
	default:
		_ = conn.Close(websocket.StatusGoingAway, "")
	}
	return err
}

// isHandshake reports whether the request asks for a WebSocket, on a connection
// that can become one: no stream of HTTP/2 can.
func (c *Call) isHandshake() bool {
	header := c.Request.Header
	key, err := base64.StdEncoding.DecodeString(header.Get("Sec-WebSocket-Key"))
	return err == nil && len(key) == 16 && len(header.Values("Sec-WebSocket-Key")) == 1 &&
		names(header.Values("Connection"), "upgrade") && names(header.Values("Upgrade"), "websocket") &&
		slices.Equal(header.Values("Sec-WebSocket-Version"), []string{"13"}) &&
		c.Request.ProtoMajor == 1 && c.Request.ProtoAtLeast(1, 1) && c.Request.ContentLength == 0 && canHijack(c.Writer)
}

// names reports whether a word is in a header that is a list.
func names(values []string, word string) bool {
	for one := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if strings.EqualFold(strings.TrimSpace(one), word) {
			return true
		}
	}
	return false
}

func canHijack(w http.ResponseWriter) bool {
	for {
		switch inner := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return false
		}
	}
}

// socket is a sink of messages.
type socket struct {
	conn    *websocket.Conn
	frame   func(Event) any
	waiting [][]byte    // messages that are not sent yet
	size    int         // their bytes
	gone    atomic.Bool // nobody is there any more
}

// hear reads what the client says until there is nobody any more. Pings are
// answered, and pongs seen, by reading.
func (s *socket) hear() {
	defer s.gone.Store(true)
	for {
		_, message, err := s.conn.Reader(context.Background())
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, message); err != nil {
			return
		}
	}
}

func (s *socket) add(e Event) (full bool) {
	text := Encode(s.frame(e))
	s.waiting, s.size = append(s.waiting, text), s.size+len(text)
	return s.size >= maxText
}

// flush gives each message as long as a client may take to accept one.
func (s *socket) flush() error {
	for _, text := range s.waiting {
		if err := s.within(func(ctx context.Context) error { return s.conn.Write(ctx, websocket.MessageText, text) }); err != nil {
			return err
		}
	}
	s.waiting, s.size = nil, 0
	return nil
}

// alive waits for the answer to a ping. A message has no place for the id of what
// was passed over: who comes back is passed over it again.
func (s *socket) alive(int64) error { return s.within(s.conn.Ping) }

func (s *socket) within(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	err := do(ctx)
	if err != nil {
		s.gone.Store(true)
	}
	return err
}

// lives has a context for each http.Server that has served a WebSocket. It ends
// when the server shuts down.
type lives struct {
	mu      sync.Mutex
	servers map[*http.Server]context.Context
}

func (l *lives) of(r *http.Request) context.Context {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return context.Background()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers == nil {
		l.servers = map[*http.Server]context.Context{}
	}
	life := l.servers[server]
	if life == nil {
		var end context.CancelFunc
		life, end = context.WithCancel(context.Background())
		server.RegisterOnShutdown(end)
		l.servers[server] = life
	}
	return life
}
