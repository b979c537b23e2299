// Package load sends requests to a service at a steady rate, and says each second
// who answered and how many were lost.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says what to ask. A zero field means its documented default.
type Config struct {
	URL    string        // required; asked by GET
	Rate   int           // requests a second, of which 100 may be open; default 50
	Client *http.Client  // default: one whose requests last 10 seconds at most
	Name   int           // bytes of the first line of an answer that name who gave it; default 64
	Every  time.Duration // how often Run says what came; default 1 second
}

// Counts are the answers to some requests.
type Counts struct {
	By     map[string]int // answers below 500, by who gave them
	Failed map[string]int // the others, by their status
	Lost   int            // no answer, or a broken one
	Why    error          // of the last that was lost
}

// Run asks until ctx ends, writes a line each second to w, and returns the sum
// once every request has its answer.
func Run(ctx context.Context, c Config, w io.Writer) (Counts, error) {
	if c.URL == "" {
		return Counts{}, errors.New("load: Config.URL is missing")
	}
	if c.Rate <= 0 {
		c.Rate = 50
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Name <= 0 {
		c.Name = 64
	}
	if c.Every <= 0 {
		c.Every = time.Second
	}
	g := &generator{config: c, open: make(chan struct{}, 100)}
	var asking sync.WaitGroup
	next, said := time.NewTicker(time.Second/time.Duration(c.Rate)), time.NewTicker(c.Every)
	defer next.Stop()
	defer said.Stop()
	var sum Counts
	var failure error
	for ctx.Err() == nil && failure == nil {
		select {
		case <-ctx.Done():
		case <-next.C:
			select {
			case g.open <- struct{}{}:
				asking.Go(g.ask)
			default: // as many are open as may be
			}
		case <-said.C:
			failure = g.say(w, &sum)
		}
	}
	asking.Wait()
	return sum, errors.Join(failure, g.say(w, &sum))
}

// generator sends the requests.
type generator struct {
	config Config
	open   chan struct{}

	mu  sync.Mutex
	now Counts // since it last said so
}

// ask sends a request. It is not cut off when the load ends.
func (g *generator) ask() {
	defer func() { <-g.open }()
	name, status, err := g.answer()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil:
		g.now.Lost, g.now.Why = g.now.Lost+1, err
	case status >= http.StatusInternalServerError:
		add(&g.now.Failed, fmt.Sprint(status), 1)
	default:
		add(&g.now.By, name, 1)
	}
}

func (g *generator) answer() (name string, status int, err error) {
	reply, err := g.config.Client.Get(g.config.URL)
	if err != nil {
		return "", 0, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	line, _, _ := strings.Cut(string(body), "\n")
	return strings.ToValidUTF8(line[:min(len(line), g.config.Name)], ""), reply.StatusCode, err
}

// say writes what has come since the last time, and adds it to sum.
func (g *generator) say(w io.Writer, sum *Counts) error {
	g.mu.Lock()
	now := g.now
	g.now = Counts{}
	g.mu.Unlock()
	for name, n := range now.By {
		add(&sum.By, name, n)
	}
	for status, n := range now.Failed {
		add(&sum.Failed, status, n)
	}
	if sum.Lost += now.Lost; now.Why != nil {
		sum.Why = now.Why
	}
	_, err := fmt.Fprintln(w, now)
	return err
}

func add(to *map[string]int, name string, n int) {
	if *to == nil {
		*to = map[string]int{}
	}
	(*to)[name] += n
}

// String says who answered how many, by name, and how many were lost.
func (c Counts) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c.By)) {
		all = append(all, fmt.Sprintf("%s: %d", name, c.By[name]))
	}
	for _, status := range slices.Sorted(maps.Keys(c.Failed)) {
		all = append(all, fmt.Sprintf("failed with %s: %d", status, c.Failed[status]))
	}
	all = append(all, fmt.Sprintf("lost: %d", c.Lost))
	if c.Why != nil {
		all = append(all, "the last: "+c.Why.Error())
	}
	return strings.Join(all, ", ")
}
