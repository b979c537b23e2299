package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/internal/probe"
	"github.com/upkeep-go/upkeep/update"
)

// maxHealthBody is how much of an answer is searched for Health.Contains.
const maxHealthBody = 1 << 20

// Health says what a healthy answer is. A zero field means its documented default.
type Health struct {
	// URL is required: http or https. Placeholders in it are filled in, escaped.
	URL string
	// Status is the status expected. Default 200.
	Status int
	// Contains is a text that the first MiB of the answer must contain.
	// Placeholders in it are filled in. Default: anything will do.
	Contains string
	// Attempts is how often to ask before giving up. Default 10.
	Attempts int
	// Interval is the pause between two attempts. Default 1 second.
	Interval time.Duration
	// Timeout bounds each attempt. Default 5 seconds.
	Timeout time.Duration
	// Client sends the requests. Default: one without cookies.
	Client *http.Client
}

// HTTPHealth asks an HTTP address until its answer is as h says, and fails
// when the attempts are used up, so that the run is rolled back. It changes
// nothing.
//
// Redirects are followed on the same host only; one that leads elsewhere is
// itself the answer, and so is every redirect when Status is one.
func HTTPHealth(h Health) update.Step {
	h.Status = cmp.Or(h.Status, http.StatusOK)
	h.Attempts = cmp.Or(max(h.Attempts, 0), 10)
	h.Interval = cmp.Or(max(h.Interval, 0), time.Second)
	h.Timeout = cmp.Or(max(h.Timeout, 0), 5*time.Second)
	return update.Step{
		Name: "health",
		Check: func(_ context.Context, t *update.Task) error {
			_, err := h.address(t)
			return err
		},
		Do: h.poll,
	}
}

func (h Health) poll(ctx context.Context, t *update.Task) error {
	address, err := h.address(t)
	if err != nil {
		return err
	}
	text := fill(h.Contains, t, plain)
	for i := 1; ; i++ {
		err := h.ask(ctx, address, text)
		if err == nil {
			t.Progress(int64(h.Attempts), int64(h.Attempts), "healthy")
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if i == h.Attempts {
			return fmt.Errorf("step: not healthy after %d attempts: %w", i, err)
		}
		t.Progress(int64(i), int64(h.Attempts), err.Error())
		if err := pause.For(ctx, h.Interval); err != nil {
			return err
		}
	}
}

func (h Health) ask(ctx context.Context, address *url.URL, text string) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	var client http.Client
	if h.Client != nil {
		client = *h.Client
	}
	err := probe.HTTP(ctx, client, probe.Request{URL: address, Status: h.Status, MaxBody: maxHealthBody, Contains: text})
	wrong, answered := errors.AsType[*probe.Answer](err)
	switch {
	case err == nil || answered && wrong.Lacks != "":
		return err
	case answered:
		return fmt.Errorf("answered %s, not %d", wrong.Status, h.Status)
	}
	return fmt.Errorf("asking %q: %w", fetch.Redacted(address), err) // which the history keeps
}

// address returns the URL to ask.
func (h Health) address(t *update.Task) (*url.URL, error) {
	u, err := url.Parse(fill(h.URL, t, url.QueryEscape))
	if err != nil {
		return nil, errors.New("step: health URL cannot be parsed")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("step: health URL %q is not an http or https URL", fetch.Redacted(u))
	}
	return u, nil
}
