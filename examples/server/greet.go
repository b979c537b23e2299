package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout/process"
)

// greet is a replica of the service that the server rolls: this program, in a
// process of its own. It ends with ctx, once it has answered what it was asked.
func greet(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("greet: want an image and a version")
	}
	fails, err := strconv.Atoi(cmp.Or(os.Getenv("FAIL"), "0"))
	if err != nil || fails < 0 || fails > 100 {
		return errors.New("greet: FAIL is no number from 0 to 100")
	}
	l, err := process.Listener()
	if err != nil {
		return err
	}
	g := &greeting{
		line:  fmt.Sprintln(args[1], args[0], cmp.Or(os.Getenv("GREETING"), "hello")),
		fails: int64(fails), posts: cmp.Or(os.Getenv("POSTS"), os.DevNull), log: log.New(out, "", 0),
		broken: args[0] == "greeter:0",
	}
	server := newServer(g)
	answered := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer done()
		answered <- server.Shutdown(grace)
	}()
	g.log.Printf("%s begins, as process %d", args[0], os.Getpid())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	err = <-answered
	g.log.Printf("%s ends, after %d requests", args[0], g.asked.Load())
	return err
}

// greeting is what a replica answers.
type greeting struct {
	line   string
	fails  int64  // so many of a hundred answers are errors
	posts  string // a file that gets a line for each POST
	broken bool   // it is not healthy, and answers nothing else
	log    *log.Logger
	asked  atomic.Int64
}

// ServeHTTP says version, image and a greeting, and in a second line which
// process it is. The answers that are errors come at equal distances: at 5 of a
// hundred each 20th.
func (g *greeting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := g.asked.Add(1)
	if g.broken {
		if n == 1 {
			g.log.Print("not healthy: no such database")
		}
		http.Error(w, "no such database", http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Upgrade") == ticks {
		g.tick(w)
		return
	}
	if n*g.fails/100 > (n-1)*g.fails/100 {
		g.log.Printf("request %d fails", n)
		http.Error(w, "this one fails", http.StatusInternalServerError)
		return
	}
	if r.Method == http.MethodPost {
		if err := g.count(); err != nil {
			g.log.Print(err)
			http.Error(w, "not counted", http.StatusInternalServerError)
			return
		}
	}
	fmt.Fprintf(w, "%sprocess %d\n", g.line, os.Getpid())
}

// ticks is a protocol: a line each second, and nothing from the client.
const ticks = "ticks"

// tick speaks it, until the client has gone.
func (g *greeting) tick(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		g.log.Print(err)
		http.Error(w, "no ticks here", http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+ticks+"\r\n\r\n")
	for n := 1; err == nil; n++ {
		_, err = fmt.Fprintf(conn, "tick %d of %s", n, g.line)
		<-second.C
	}
}

func (g *greeting) count() error {
	f, err := os.OpenFile(g.posts, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, g.line)
	return errors.Join(err, f.Close())
}
