package step_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/step"
)

// sockets are where a program can listen.
func sockets(t *testing.T) map[string]string {
	return map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")}
}

func TestAProgramIsQuietOnceAllItAcceptedIsClosed(t *testing.T) {
	for network, address := range sockets(t) {
		t.Run(network, func(t *testing.T) {
			p, err := step.Begin("")
			require.NoError(t, err)
			l, err := p.Listen(network, address)
			require.NoError(t, err)
			client, err := net.Dial(network, l.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			served, err := l.Accept()
			require.NoError(t, err)

			waiting := make(chan error)
			go func() {
				_, err := l.Accept()
				waiting <- err
			}()
			step.Stop(p)
			require.False(t, step.Quiet(p), "a connection is open")
			_, err = net.Dial(network, l.Addr().String())
			require.Error(t, err, "nobody is accepted any more")
			select {
			case err := <-waiting:
				t.Fatal("a server sees that its listener is stopped:", err)
			default:
			}

			require.Implements(t, (*interface{ CloseWrite() error })(nil), served, "servers look for it")
			_, err = served.Write([]byte("bye"))
			require.NoError(t, err)
			require.NoError(t, served.Close())
			require.Error(t, served.Close(), "which may be closed again")
			require.Eventually(t, func() bool { return step.Quiet(p) }, hangs, time.Millisecond, "once Accept knows that it is stopped")
			said, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Equal(t, "bye", string(said))

			require.NoError(t, l.Close())
			require.ErrorIs(t, <-waiting, net.ErrClosed)
			require.ErrorIs(t, l.Close(), net.ErrClosed)
		})
	}
}

// A server on a busy machine may not have read yet what its clients said long
// ago.
func TestAProgramIsNotQuietWhileSomethingIsUnread(t *testing.T) {
	for network, address := range sockets(t) {
		t.Run(network, func(t *testing.T) {
			p, err := step.Begin("")
			require.NoError(t, err)
			l, err := p.Listen(network, address)
			require.NoError(t, err)
			defer l.Close()
			accepted := map[string]net.Conn{}
			clients := map[string]net.Conn{}
			for _, name := range []string{"silent", "gone", "speaks"} {
				clients[name], err = net.Dial(network, l.Addr().String())
				require.NoError(t, err)
				defer clients[name].Close()
				accepted[name], err = l.Accept()
				require.NoError(t, err)
				defer accepted[name].Close()
			}
			require.NoError(t, clients["gone"].Close())
			_, err = clients["speaks"].Write([]byte("GET"))
			require.NoError(t, err)
			step.Stop(p)
			require.False(t, step.Quiet(p), "they have only just come")
			step.Age(p, time.Minute)
			require.False(t, step.Quiet(p), "somebody has spoken")
			require.NoError(t, accepted["speaks"].Close())
			require.True(t, step.Quiet(p), "nobody waits for those who never said a word")
		})
	}
}

// A request of which a part is there when the program is to be restarted is
// waited for and answered; who never says a word is not waited for, nor who
// could say something more.
func TestShutdownAnswersWhatWasAccepted(t *testing.T) {
	for network, address := range sockets(t) {
		t.Run(network, func(t *testing.T) {
			p, err := step.Begin("")
			require.NoError(t, err)
			l, err := p.Listen(network, address)
			require.NoError(t, err)
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "hello")
			})}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			ask := func(text string) net.Conn {
				conn, err := net.Dial(network, l.Addr().String())
				require.NoError(t, err)
				t.Cleanup(func() { conn.Close() })
				_, err = conn.Write([]byte(text))
				require.NoError(t, err)
				return conn
			}
			answer := func(conn net.Conn) {
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "hello", string(body))
			}
			const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
			idle, silent, late := ask(request), ask(""), ask(request[:10])
			answer(idle)
			_ = silent
			// All are accepted once one that came after them is answered.
			answer(ask(request))

			step.Stop(p)
			step.Age(p, time.Minute)
			down := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), hangs)
				defer cancel()
				down <- p.Shutdown(server)(ctx)
			}()
			_, err = idle.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF, "an idle connection is closed, so that the shutdown is under way")
			_, err = late.Write([]byte(request[10:]))
			require.NoError(t, err)
			answer(late)
			require.NoError(t, <-down)
			require.ErrorIs(t, <-served, http.ErrServerClosed)
		})
	}
}
