package httpadapter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// frame is a message of the WebSocket, as a client sees it.
type frame struct {
	Cmd      string         `json:"cmd"`
	ReqID    int            `json:"reqId"`
	App      string         `json:"app"`
	SID      string         `json:"sid"`
	PushMode int            `json:"pushMode"`
	Callback string         `json:"callback"`
	Code     int            `json:"code"`
	Msg      string         `json:"msg"`
	Data     map[string]any `json:"data"`
	Seq      int64          `json:"seq"`
}

// watcher is an open WebSocket.
type watcher struct {
	t    *testing.T
	conn *websocket.Conn
}

// dial opens a WebSocket. It is closed with the test.
func dial(t *testing.T, client *http.Client, path, token string) *watcher {
	conn, _, err := websocket.Dial(t.Context(), "ws://site"+path, &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: http.Header{"Authorization": {"Token " + token}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &watcher{t, conn}
}

// next returns the next message.
func (w *watcher) next() frame {
	kind, text, err := w.conn.Read(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, websocket.MessageText, kind)
	var f frame
	require.NoError(w.t, json.Unmarshal(text, &f))
	d := described(w.t)
	var value any
	require.NoError(w.t, json.Unmarshal(text, &value))
	require.NoError(w.t, d.valid(d.at("components", "schemas", "SiyuanFrame"), value, true), string(text))
	return f
}

// commands are those of the next n messages.
func (w *watcher) commands(n int) (all []string) {
	for range n {
		all = append(all, w.next().Cmd)
	}
	return all
}

func TestAWebSocketTellsOfASyncInOrder(t *testing.T) {
	for _, path := range []string{"/ws?app=a&id=1&type=main", "/ws/sync/progress"} {
		inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
			w := dial(t, client, path, admin)
			synctest.Wait()
			s.notebook.holds = true
			s.send("POST", "/api/sync/performSync", `{"app":"a"}`, as(admin))
			require.Equal(t, frame{Cmd: "syncBegin", Seq: 1, Data: map[string]any{
				"run": "run-1", "current": 0.0, "total": 0.0, "info": "准备同步中...", "msg": "a message",
			}}, w.next())
			require.Equal(t, "syncProgress", w.next().Cmd)
			s.notebook.finish(cloudsync.StateSucceeded)
			progress := w.next()
			require.Equal(t, []any{"syncProgress", 3.0, 3.0}, []any{progress.Cmd, progress.Data["current"], progress.Data["total"]})
			require.Equal(t, []string{"syncLog", "syncEnd"}, w.commands(2))
		})
	}
}

func TestAWebSocketThatComesBackMissesNothing(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		w := dial(t, client, "/ws", admin)
		synctest.Wait()
		perform := func() { s.send("POST", "/api/sync/performSync", `{"app":"a"}`, as(admin)) }
		perform()
		require.Equal(t, []string{"syncBegin", "syncProgress"}, w.commands(2))
		last := w.next()
		require.NoError(t, w.conn.Close(websocket.StatusNormalClosure, ""))
		synctest.Wait()
		require.Zero(t, s.adapter.OpenStreams())
		s.notebook.happen(3, "nobody is told of these")
		perform()

		back := dial(t, client, fmt.Sprintf("/ws?since=%d", last.Seq), admin)
		seqs := []int64{}
		for range 7 {
			seqs = append(seqs, back.next().Seq)
		}
		require.Equal(t, []int64{4, 5, 9, 10, 11, 12, 13}, seqs)
		perform()
		require.Equal(t, []string{"syncBegin", "syncProgress", "syncProgress", "syncLog", "syncEnd"}, back.commands(5))

		lost := dial(t, client, "/ws?since=1000", admin).next()
		require.Equal(t, []any{"compacted", 1000.0}, []any{lost.Cmd, lost.Data["after"]})
	})
}

func TestAWebSocketSaysWhyASyncFailsToAnAdminOnly(t *testing.T) {
	for token, want := range map[string][]any{admin: {"a message", true}, reader: {"diary.md", false}} {
		for state, msg := range map[cloudsync.State]string{
			cloudsync.StateFailed: "The sync has failed", cloudsync.StateCancelled: "The sync was cancelled",
		} {
			inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
				w := dial(t, client, "/ws?since=0", token)
				s.notebook.holds = true
				s.send("POST", "/api/sync/performSync", `{"app":"a"}`, as(admin))
				s.notebook.finish(state)
				logged := false
				for f := w.next(); ; f = w.next() {
					if logged = logged || f.Cmd == "syncLog"; f.Cmd == "syncFail" {
						require.Equal(t, []any{-1, msg}, []any{f.Code, f.Msg})
						require.Equal(t, want, []any{f.Data["msg"], logged})
						return
					}
				}
			})
		}
	}
}

func TestAWebSocketIsRefusedBeforeItIsOne(t *testing.T) {
	inBubble(t, &site{configure: func(c *httpadapter.Config) { c.TrustedOrigins = []string{"https://admin.example"} }},
		func(t *testing.T, s *site, client *http.Client) {
			for _, tt := range []struct {
				path, token, origin string
				status              int
			}{
				{"/ws", admin, "", 101}, {"/ws", reader, "http://site", 101}, {"/ws", admin, "https://admin.example", 101},
				{"/ws", "x", "", 401}, {"/ws", admin, "https://evil.example", 403}, {"/ws", admin, "null", 403},
				{"/ws?since=-1", admin, "", 400}, {"/ws?since=x", admin, "", 400}, {"/ws?token=" + admin, "", "", 401},
			} {
				h := http.Header{"Origin": {tt.origin}, "Authorization": {"Token " + tt.token}}
				for name := range h {
					if strings.TrimPrefix(h.Get(name), "Token ") == "" {
						h.Del(name)
					}
				}
				conn, r, err := websocket.Dial(t.Context(), "ws://site"+tt.path, &websocket.DialOptions{HTTPClient: client, HTTPHeader: h})
				require.Equal(t, tt.status, r.StatusCode, "%v: %v", tt, err)
				if tt.status == 101 {
					require.NoError(t, conn.CloseNow())
					synctest.Wait()
					continue
				}
				require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			}
			require.Zero(t, s.adapter.OpenStreams())
		})
}

func TestATokenInTheQueryIsTakenWhereItIsAllowed(t *testing.T) {
	inBubble(t, &site{configure: func(c *httpadapter.Config) { c.TokenInQuery = true }}, func(t *testing.T, s *site, client *http.Client) {
		conn, _, err := websocket.Dial(t.Context(), "ws://site/ws?token="+reader, &websocket.DialOptions{HTTPClient: client})
		require.NoError(t, err)
		require.NoError(t, conn.CloseNow())
		r := s.send("POST", "/api/sync/getSyncInfo?token=x", "")
		require.Equal(t, []any{401, "Auth failed [query: token]"}, []any{r.StatusCode, r.json(t)["msg"]})
		require.Equal(t, 401, s.send("POST", "/api/sync/getSyncInfo?token="+reader, "", as("x")).StatusCode, "the header goes before it")
		require.Equal(t, 401, s.send("GET", "/upkeep/v1/sync/status?token="+reader, "").StatusCode, "and on no route of ours")
	})
}

func TestTooManyWebSocketsAreRefused(t *testing.T) {
	inBubble(t, &site{configure: func(c *httpadapter.Config) { c.Limits.PrincipalStreams = 2 }}, func(t *testing.T, s *site, client *http.Client) {
		dial(t, client, "/ws", admin)
		listen(t, client, "/upkeep/v1/sync/events")
		_, r, err := websocket.Dial(t.Context(), "ws://site/ws", &websocket.DialOptions{
			HTTPClient: client, HTTPHeader: http.Header{"Authorization": {"Token " + admin}},
		})
		require.Error(t, err)
		require.Equal(t, []any{429, "15"}, []any{r.StatusCode, r.Header.Get("Retry-After")})
		_ = dial(t, client, "/ws", reader)
	})
}

func TestAWebSocketIsPingedAndGivenUp(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		var pings atomic.Int64
		conn, _, err := websocket.Dial(t.Context(), "ws://site/ws", &websocket.DialOptions{
			HTTPClient: client, HTTPHeader: http.Header{"Authorization": {"Token " + admin}},
			OnPingReceived: func(context.Context, []byte) bool { return pings.Add(1) <= 3 },
		})
		require.NoError(t, err)
		defer func() { _ = conn.CloseNow() }()
		go func() { _, _, _ = conn.Read(context.Background()) }()
		time.Sleep(3*15*time.Second + time.Second)
		synctest.Wait()
		require.Equal(t, []int{3, 1}, []int{int(pings.Load()), s.adapter.OpenStreams()}, "it answers")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Equal(t, []int{4, 1}, []int{int(pings.Load()), s.adapter.OpenStreams()})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Zero(t, s.adapter.OpenStreams(), "it has not answered for 10 seconds")
	})
}

func TestAWebSocketThatDoesNotReadIsCutOff(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		dial(t, client, "/ws", admin) // nothing is buffered on the way to it
		reads := dial(t, client, "/ws", reader)
		synctest.Wait()
		s.send("POST", "/api/sync/performSync", `{"app":"a"}`, as(admin))
		require.Equal(t, "syncBegin", reads.next().Cmd, "it delays nobody")
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		require.LessOrEqual(t, s.adapter.OpenStreams(), 1)
	})
}

func TestWhatAWebSocketHearsMeansNothing(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		w := dial(t, client, "/ws", admin)
		synctest.Wait()
		for range 100 {
			require.NoError(t, w.conn.Write(t.Context(), websocket.MessageText, []byte(`{"cmd":"closews"}`)))
		}
		s.send("POST", "/api/sync/performSync", `{"app":"a"}`, as(admin))
		require.Equal(t, "syncBegin", w.next().Cmd)
		go func() { _ = w.conn.Write(context.Background(), websocket.MessageBinary, make([]byte, 1<<20)) }()
		for err := error(nil); err == nil; {
			_, _, err = w.conn.Read(t.Context())
		}
		synctest.Wait()
		require.Zero(t, s.adapter.OpenStreams(), "but not without end")
	})
}

// The streams of a WebSocket are none any more once all that served it has ended.
func TestAWebSocketEndsWithItsServer(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, server *http.Server, base context.CancelFunc){
		"that shuts down": func(t *testing.T, server *http.Server, _ context.CancelFunc) {
			require.NoError(t, server.Shutdown(t.Context()))
		},
		"whose base context ends": func(t *testing.T, server *http.Server, base context.CancelFunc) {
			base()
			require.NoError(t, server.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSynced(t)
				s.person.Write("diary.md", "text")
				l := &pipeListener{connections: make(chan net.Conn), closed: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				server := &http.Server{Handler: s.mux, BaseContext: func(net.Listener) context.Context { return ctx }}
				go func() { _ = server.Serve(l) }()
				transport := &http.Transport{DialContext: l.dial}
				defer transport.CloseIdleConnections()
				w := dial(t, &http.Client{Transport: transport}, "/ws", admin)
				synctest.Wait()
				s.sync(t)
				require.Equal(t, "syncBegin", w.next().Cmd)
				ended := make(chan error, 1)
				go func() {
					for {
						if _, _, err := w.conn.Read(context.Background()); err != nil {
							ended <- err
							return
						}
					}
				}()
				end(t, server, cancel)
				require.NoError(t, s.folder.Close())
				err := <-ended
				require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err), err)
				synctest.Wait()
				require.Zero(t, s.adapter.OpenStreams())
			})
		})
	}
}
