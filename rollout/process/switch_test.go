//go:build linux

package process_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// counter is a service under load: it counts each POST once in a file that all
// of its replicas have, closes idle connections early, and ends on SIGTERM only
// when it has answered.
func counter() error {
	file, err := os.OpenFile(os.Getenv("COUNTS"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "counter") })
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(200 * time.Millisecond)
		fmt.Fprint(w, "slow")
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 10 {
			fmt.Fprintf(w, "%d\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = file.Write([]byte{'.'})
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("GET /echo", echo)
	return serve(mux, 50*time.Millisecond, process.Listener)
}

// echo is the other side of an upgrade: it sends each line back.
func echo(w http.ResponseWriter, _ *http.Request) {
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	for {
		line, err := both.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprint(conn, line)
	}
}

// crowd is many clients of a service.
type crowd struct {
	*testing.T
	url, host string
	client    *http.Client
	sent      atomic.Int64
	posted    atomic.Int64
	mu        sync.Mutex
	lost      []string
}

func (c *crowd) lose(what string, why any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lost) < 20 {
		c.lost = append(c.lost, fmt.Sprint(what, ": ", why))
	}
}

// ask sends a request, whose answer is known.
func (c *crowd) ask(method, path string, body io.Reader, want string) {
	c.sent.Add(1)
	r, err := http.NewRequest(method, c.url+path, body)
	if err != nil {
		c.lose(path, err)
		return
	}
	reply, err := c.client.Do(r)
	if err != nil {
		c.lose(path, err)
		return
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK || string(text) != want {
		c.lose(path, fmt.Sprint(reply.Status, " ", string(text), " ", err))
	}
}

// upgrade talks over a connection of its own for a while.
func (c *crowd) upgrade() {
	c.sent.Add(1)
	conn, err := net.Dial("tcp", c.host)
	if err != nil {
		c.lose("upgrade", err)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /echo HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	reply, err := http.ReadResponse(in, nil)
	if err != nil || reply.StatusCode != http.StatusSwitchingProtocols {
		c.lose("upgrade", fmt.Sprint(reply, err))
		return
	}
	for i := range 20 {
		want := fmt.Sprintf("%d\n", i)
		_, err := io.WriteString(conn, want)
		line, e := in.ReadString('\n')
		if err != nil || e != nil || line != want {
			c.lose("upgraded", fmt.Sprint(line, err, e))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// rush sends 500 requests each second, of which every kind has its part, until
// ctx ends, and returns when all are answered. It sends less where the machine is
// so slow that fifty wait for their answer.
func (c *crowd) rush(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	body := bytes.Repeat([]byte("0123456789abcdef"), 70<<10/16)
	waiting := make(chan struct{}, 50)
	for n := 0; ctx.Err() == nil; n++ {
		<-tick.C
		waiting <- struct{}{}
		all.Go(func() {
			defer func() { <-waiting }()
			switch {
			case n%50 == 0: // 2 %
				c.ask("GET", "/slow", nil, "slow")
			case n%100 == 1:
				c.ask("GET", "/stream", nil, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n")
			case n%100 == 2:
				c.upgrade()
			case n%10 == 3:
				c.posted.Add(1)
				c.ask("POST", "/count", bytes.NewReader(body), fmt.Sprint(len(body)))
			case n%10 == 4:
				c.posted.Add(1) // of no known length
				c.ask("POST", "/count", io.MultiReader(strings.NewReader("ab"), strings.NewReader("c")), "3")
			default:
				c.ask("GET", "/", nil, "counter")
			}
		})
	}
}

// TestNoRequestIsLostInAnySwitchOfMany switches between real processes under
// load, 500 requests a second: 3 times, or 100 with UPKEEP_FULL=1, which the race
// detector makes 10.
func TestNoRequestIsLostInAnySwitchOfMany(t *testing.T) {
	t.Parallel()
	switches := 3
	if full() {
		switches = 100
		if historytest.Raced() {
			switches = 10
		}
	}
	s := newSite(t)
	counts := filepath.Join(t.TempDir(), "counts")
	roll := func(i, replicas int) {
		t.Helper()
		is := patient("counter")
		is.Environment["COUNTS"], is.Environment["NAME"] = counts, fmt.Sprint(i)
		is.MinReplicas, is.MaxReplicas = &replicas, &replicas
		_, err := s.c.Roll(t.Context(), rollout.Request{Service: shop, Version: "v1", Spec: is})
		require.NoError(t, err)
	}
	roll(0, 2)
	clients := &crowd{T: t, url: s.url, host: strings.TrimPrefix(s.url, "http://"), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}}
	ctx, cancel := context.WithCancel(t.Context())
	rushed := make(chan struct{})
	go func() {
		defer close(rushed)
		clients.rush(ctx)
	}()
	for i := range switches {
		roll(i+1, 2)
		if i%5 == 2 {
			roll(i+1, 1) // scale in, and out again
			roll(i+1, 2)
		}
	}
	cancel()
	<-rushed
	require.Empty(t, clients.lost, "%+v", s.failed)
	counted, err := os.Stat(counts)
	require.NoError(t, err)
	require.Equal(t, clients.posted.Load(), counted.Size(), "each POST is counted once")
	t.Logf("%d switches, %d requests, %d of them POST, %d lost", switches, clients.sent.Load(), clients.posted.Load(), len(clients.lost))
}
