package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// clients ask the program for its page.
type clients struct {
	url           string
	answered, bad atomic.Int64
	last          atomic.Pointer[error] // why a client was lost
}

// status is the page.
type status struct {
	Version string `json:"version"`
	Last    string `json:"last"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
}

// page asks over a connection of its own, as a client that comes for the first
// time does.
func (c *clients) page(ctx context.Context) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return s, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, errors.New(resp.Status)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// ask asks again and again until ctx ends. It does not count who connects and
// is too busy to say anything for half a second: a program that restarts does
// not wait for those.
func (c *clients) ask(ctx context.Context) {
	for {
		var connected, said atomic.Pointer[time.Time]
		now := func() *time.Time { t := time.Now(); return &t }
		began := now()
		_, err := c.page(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotConn:      func(httptrace.GotConnInfo) { connected.Store(now()) },
			WroteRequest: func(httptrace.WroteRequestInfo) { said.Store(now()) },
		}))
		busy := connected.Load() != nil && cmp.Or(said.Load(), now()).Sub(*began) > 400*time.Millisecond
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && busy:
		case err != nil:
			c.bad.Add(1)
			c.last.Store(&err)
		default:
			c.answered.Add(1)
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return
		}
	}
}

// await waits for a page.
func (c *clients) await(ctx context.Context, good func(status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, outcomeTime)
	defer cancel()
	for {
		s, err := c.page(ctx)
		if err == nil && good(s) {
			return nil
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("the program did not get there in %s: %+v: %w", outcomeTime, s, errors.Join(err, ctx.Err()))
		}
	}
}

// expect waits until the update to r has ended as it should, and says how.
func (c *clients) expect(ctx context.Context, r release) error {
	var s status
	answered, bad := c.answered.Load(), c.bad.Load()
	err := c.await(ctx, func(now status) bool {
		s = now
		return s.Last == r.version && s.State != "running" && s.State != "rolling_back"
	})
	if err != nil {
		return err
	}
	answered, bad = c.answered.Load()-answered, c.bad.Load()-bad
	fmt.Printf("  %s", s.State)
	if s.Reason != "" {
		fmt.Printf(": %s", s.Reason)
	}
	fmt.Printf("\n  release %s serves; %d requests answered meanwhile, %d lost\n\n", s.Version, answered, bad)
	switch {
	case s.State != r.state:
		return fmt.Errorf("the update is %s, not %s", s.State, r.state)
	case (s.Version == r.version) != (r.state == "succeeded"):
		return fmt.Errorf("release %s serves", s.Version)
	case bad > 0 && !r.lossy:
		return fmt.Errorf("%d requests were lost, the last by %w", bad, *c.last.Load())
	}
	return nil
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
