package step

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/internal/pause"
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
	client, text := h.client(), fill(h.Contains, t, plain)
	for i := 1; ; i++ {
		err := h.ask(ctx, client, address, text)
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

func (h Health) ask(ctx context.Context, client *http.Client, address, text string) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking %q: %w", fetch.Redacted(req.URL), fetch.Cause(err)) // which the history keeps
	}
	defer resp.Body.Close()
	if resp.StatusCode != h.Status {
		return fmt.Errorf("answered %s, not %d", resp.Status, h.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthBody))
	if err != nil {
		return err
	}
	if !bytes.Contains(body, []byte(text)) {
		return fmt.Errorf("the answer does not contain %q", text)
	}
	return nil
}

// address returns the URL to ask.
func (h Health) address(t *update.Task) (string, error) {
	u, err := url.Parse(fill(h.URL, t, url.QueryEscape))
	if err != nil {
		return "", errors.New("step: health URL cannot be parsed")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("step: health URL %q is not an http or https URL", fetch.Redacted(u))
	}
	return u.String(), nil
}

func (h Health) client() *http.Client {
	var c http.Client
	if h.Client != nil {
		c = *h.Client
	}
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if h.Status/100 == 3 || !strings.EqualFold(req.URL.Host, via[0].URL.Host) {
			return http.ErrUseLastResponse
		}
		if len(via) >= 10 {
			return errors.New("redirected 10 times")
		}
		return nil
	}
	return &c
}
