package traffic_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

const (
	wish     = "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n\r\n"
	switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: X\r\nConnection: Upgrade\r\nX-Tag: t\r\n\r\n"
)

// socket starts a service that answers the wish of an upgrade and then talks.
func (b *bubble) socket(reply string, talk func(c net.Conn, r *bufio.Reader)) string {
	l := b.Network.Listen()
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				_, _ = io.WriteString(c, reply)
				talk(c, r)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// echo sends back what comes.
func echo(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(c, r) }

// dial connects to the router and writes.
func (b *bubble) dial(text string) (net.Conn, *bufio.Reader) {
	b.Helper()
	c, err := b.Network.Dial(context.Background(), "tcp", strings.TrimPrefix(b.url, "http://"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, text)
	require.NoError(b, err)
	return c, bufio.NewReader(c)
}

// upgraded is a connection that a service has upgraded.
func (b *bubble) upgraded() (net.Conn, *bufio.Reader) {
	b.Helper()
	c, r := b.dial(wish)
	reply, err := http.ReadResponse(r, nil)
	require.NoError(b, err)
	require.Equal(b, http.StatusSwitchingProtocols, reply.StatusCode)
	require.Equal(b, []string{"Upgrade"}, reply.Header["Connection"])
	require.Equal(b, []string{"t"}, reply.Header["X-Tag"])
	return c, r
}

// echoes requires that what is written comes back.
func echoes(t testing.TB, c net.Conn, r *bufio.Reader) {
	t.Helper()
	_, err := io.WriteString(c, "ping")
	require.NoError(t, err)
	got := make([]byte, 4)
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)
	require.Equal(t, "ping", string(got))
}

// drained returns how long it takes to drain what was endpoint.
func (b *bubble) drained(generation int64, endpoint string) time.Duration {
	b.Helper()
	b.set(generation, nil)
	start := time.Now()
	require.NoError(b, b.router.Drain(context.Background(), web, endpoint))
	return time.Since(start)
}

func TestWhatIsSentWithTheWishForAnUpgradeArrives(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.socket(switched, echo)}}, 100)
		_, r := b.dial(wish + "early")
		_, err := http.ReadResponse(r, nil)
		require.NoError(b, err)
		got := make([]byte, 5)
		_, err = io.ReadFull(r, got)
		require.NoError(b, err)
		require.Equal(b, "early", string(got))
	})
}

func TestWhatIsSentWithTheReplyToAnUpgradeArrives(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.socket(switched+"hello", echo)}}, 100)
		c, r := b.upgraded()
		got := make([]byte, 5)
		_, err := io.ReadFull(r, got)
		require.NoError(b, err)
		require.Equal(b, "hello", string(got))
		echoes(b, c, r)
	})
}

func TestAnUpgradeToAnotherProtocolClosesBothSides(t *testing.T) {
	for name, reply := range map[string]string{
		"another": strings.Replace(switched, "Upgrade: X", "Upgrade: other", 1),
		"none":    strings.Replace(switched, "Connection: Upgrade\r\n", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				closed := make(chan time.Time, 1)
				service := b.socket(reply, func(_ net.Conn, r *bufio.Reader) {
					_, _ = r.ReadByte()
					closed <- time.Now()
				})
				b.set(1, map[string][]string{"a": {service}}, 100)
				start := time.Now()
				_, r := b.dial(wish)
				answered, err := http.ReadResponse(r, nil)
				require.NoError(b, err)
				require.Equal(b, http.StatusBadGateway, answered.StatusCode)
				_, err = io.ReadAll(answered.Body)
				require.NoError(b, err)
				_, err = r.ReadByte()
				require.ErrorIs(b, err, io.EOF)
				require.Zero(b, (<-closed).Sub(start))
				require.Zero(b, time.Since(start))
			})
		})
	}
}

func TestAServiceMayAnswerTheWishForAnUpgradeOtherwise(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.named("no socket here")}}, 100)
		for range 2 {
			status, body := b.ask(func(r *http.Request) { r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}} })
			require.Equal(b, "no socket here", body)
			require.Equal(b, http.StatusOK, status)
		}
	})
}

func TestTheWishForAnUpgradeIsPassedOverIfItHasABody(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.serve(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, r.Header.Get("Upgrade")+string(body))
		})}}, 100)
		_, body := b.ask(func(r *http.Request) {
			r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}}
			r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("body"))
		})
		require.Equal(b, "body", body)
	})
}

func TestAClientThatClosesIsGoneWithinASecond(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		silent := b.socket(switched, func(_ net.Conn, r *bufio.Reader) {
			_, _ = r.ReadByte()
			time.Sleep(time.Minute) // and keeps its side open
		})
		b.set(1, map[string][]string{"a": {silent}}, 100)
		c, _ := b.upgraded()
		require.NoError(b, c.Close())
		require.Less(b, b.drained(2, silent), time.Second)
		time.Sleep(time.Minute) // until the service notices
	})
}

func TestAServiceThatClosesEndsItsClients(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		brief := b.socket(switched, func(net.Conn, *bufio.Reader) {})
		b.set(1, map[string][]string{"a": {brief}}, 100)
		start := time.Now()
		c, r := b.upgraded()
		_, err := r.ReadByte()
		require.ErrorIs(b, err, io.EOF)
		require.Zero(b, time.Since(start))
		require.Less(b, b.drained(2, brief), time.Second)
		_, err = io.WriteString(c, "x")
		require.Error(b, err)
	})
}

func TestAHalfClosedUpgradeDeliversWhatTheServiceStillSends(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		slow := b.socket(switched, func(c net.Conn, r *bufio.Reader) {
			_, _ = io.Copy(io.Discard, r)
			for range 20 {
				time.Sleep(500 * time.Millisecond)
				_, _ = io.WriteString(c, "word ")
			}
		})
		b.set(1, map[string][]string{"a": {slow}}, 100)
		c, r := b.upgraded()
		require.NoError(b, c.(interface{ CloseWrite() error }).CloseWrite())
		got, err := io.ReadAll(r)
		require.NoError(b, err)
		require.Equal(b, strings.Repeat("word ", 20), string(got))
	})
}

func TestAnUpgradeOutlivesChangesThatAreNotItsOwn(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		mine, other := b.socket(switched, echo), b.named("other")
		b.set(1, map[string][]string{"a": {mine}, "b": {other}}, 100, 0)
		c, r := b.upgraded()
		for i := range 100 {
			b.set(int64(2+i), map[string][]string{"a": {mine}, "b": {other}}, 99-i%99, 1+i%99)
			require.NoError(b, b.router.Set(context.Background(), rollout.ServiceID{Name: "other"}, tableOf(int64(1+i), nil)))
			echoes(b, c, r)
			time.Sleep(time.Second)
		}
		require.Equal(b, 25*time.Second, b.drained(200, mine))
		_, err := r.ReadByte()
		require.ErrorIs(b, err, io.EOF)
	})
}

func TestAnUpgradeLastsUntilTheStreamLimitOfItsDrain(t *testing.T) {
	inBubble(t, traffic.Config{Stream: 7 * time.Second}, func(b *bubble) {
		service := b.socket(switched, echo)
		b.set(1, map[string][]string{"a": {service}}, 100)
		c, r := b.upgraded()
		b.set(2, nil)
		time.Sleep(time.Minute) // nobody drains it yet
		echoes(b, c, r)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		require.ErrorIs(b, b.router.Drain(ctx, web, service), context.DeadlineExceeded)
		echoes(b, c, r)
		start := time.Now()
		require.NoError(b, b.router.Drain(context.Background(), web, service))
		require.Equal(b, 4*time.Second, time.Since(start), "the limit began with the first drain")
	})
}

func TestAnUpgradeIsCountedWhenItBegins(t *testing.T) {
	var served []traffic.Served
	inBubble(t, traffic.Config{Observe: func(s traffic.Served) { served = append(served, s) }}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.socket(switched, echo)}}, 100)
		c, _ := b.upgraded()
		s, err := b.router.Stats(context.Background(), web)
		require.NoError(b, err)
		require.EqualValues(b, 1, s.Revisions["a"].Requests)
		require.Empty(b, served)
		require.NoError(b, c.Close())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(b, served, 1)
		require.Equal(b, http.StatusSwitchingProtocols, served[0].Status)
		require.NoError(b, served[0].Err)
		s, err = b.router.Stats(context.Background(), web)
		require.NoError(b, err)
		require.EqualValues(b, 1, s.Revisions["a"].Requests)
		require.Zero(b, s.Revisions["a"].Errors+s.Revisions["a"].Cancelled)
	})
}

func TestAClientThatReadsNothingDoesNotHoldADrainUp(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		flood := b.socket(switched, func(c net.Conn, _ *bufio.Reader) {
			for {
				if _, err := c.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		})
		b.set(1, map[string][]string{"a": {flood}}, 100)
		c, _ := b.upgraded()
		synctest.Wait()
		require.Equal(b, 25*time.Second, b.drained(2, flood))
		require.NoError(b, c.SetDeadline(time.Now().Add(time.Second)))
		_, err := io.Copy(io.Discard, c)
		require.NotErrorIs(b, err, os.ErrDeadlineExceeded)
	})
}
