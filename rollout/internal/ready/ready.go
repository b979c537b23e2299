// Package ready asks whether a replica is ready, as rollout.Health says.
package ready

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/probe"
	"github.com/upkeep-go/upkeep/rollout"
)

// Complete returns h with its documented defaults.
func Complete(h *rollout.Health) rollout.Health {
	var c rollout.Health
	if h != nil {
		c = *h
	}
	c.Path = cmp.Or(c.Path, "/")
	c.Interval = cmp.Or(max(c.Interval, 0), time.Second)
	c.Timeout = cmp.Or(max(c.Timeout, 0), time.Second)
	return c
}

// Once asks a replica once, over a connection of its own: one that is kept would
// hold a worker of a service that has few, and not tell that nobody accepts
// others. The error says what it answered in place of what is wanted.
func Once(ctx context.Context, t *http.Transport, endpoint string, h rollout.Health) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.Timeout, fmt.Errorf("no answer within %s", h.Timeout))
	defer cancel()
	base, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("the endpoint cannot be parsed")
	}
	if h.TCP {
		return reason(ctx, "connecting", connect(ctx, t, base))
	}
	path, query, _ := strings.Cut(h.Path, "?")
	u := *base
	u.Path, u.RawQuery = strings.TrimSuffix(u.Path, "/")+path, query
	return reason(ctx, "GET "+path, probe.HTTP(ctx, http.Client{Transport: t}, probe.Request{
		URL: &u, Host: h.Host, Headers: h.Headers, Status: h.Status, Close: true, SameScheme: true,
	}))
}

// reason is an error with what was tried.
func reason(ctx context.Context, tried string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", tried, err)
}

func connect(ctx context.Context, t *http.Transport, to *url.URL) error {
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(ctx, "tcp", net.JoinHostPort(to.Hostname(), cmp.Or(to.Port(), "80")))
	if err != nil {
		return err
	}
	return c.Close()
}
