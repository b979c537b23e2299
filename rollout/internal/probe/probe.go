// Package probe asks whether a replica is ready, as rollout.Health says.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/rollout"
)

// maxQuote is how many bytes of an answer an error repeats.
const maxQuote = 256

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

// Once asks a replica once, over a connection of its own. The error says what
// it answered in place of what is wanted.
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
	return reason(ctx, "GET "+path, ask(ctx, t, &u, h))
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

func ask(ctx context.Context, t *http.Transport, u *url.URL, h rollout.Health) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return errors.New("the address cannot be parsed")
	}
	for name, value := range h.Headers {
		r.Header.Set(name, value)
	}
	r.Host, r.Close = h.Host, true
	client := http.Client{Transport: t, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if h.Status/100 == 3 || next.URL.Scheme != u.Scheme || next.URL.Host != u.Host || len(via) > 10 {
			return http.ErrUseLastResponse
		}
		next.Close = true
		return nil
	}}
	reply, err := client.Do(r)
	if err != nil {
		return fetch.Cause(err)
	}
	defer reply.Body.Close()
	if h.Status == 0 && reply.StatusCode < 500 || reply.StatusCode == h.Status {
		return nil
	}
	text := reply.Status
	if to, err := reply.Location(); err == nil {
		return errors.New(text + " → " + fetch.Redacted(to))
	}
	quote, _ := io.ReadAll(io.LimitReader(reply.Body, maxQuote)) // what has come of it
	if words := strings.Join(strings.Fields(strings.ToValidUTF8(string(quote), "")), " "); words != "" {
		text += ": " + words
	}
	return errors.New(text)
}
