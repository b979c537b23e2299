package analysis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
)

// Limits of what is read of a reply.
const (
	maxReply  = 1 << 20
	maxReason = 1 << 10
)

type answer struct {
	status int
	text   []byte
}

// ask posts a body, and reads the reply. It follows no redirect.
func ask(ctx context.Context, c *http.Client, u *url.URL, kind string, body []byte) (answer, error) {
	client := http.Client{Timeout: 10 * time.Second}
	if c != nil {
		client = *c
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, errors.New("analysis: the URL cannot be parsed")
	}
	r.Header.Set("Content-Type", kind)
	reply, err := client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("analysis: asking %s: %w", fetch.Redacted(u), fetch.Cause(err))
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	if err == nil && len(text) > maxReply {
		err = fmt.Errorf("it is longer than %d bytes", maxReply)
	}
	if err != nil {
		return answer{}, fmt.Errorf("analysis: reply of %s: %w", fetch.Redacted(u), err)
	}
	return answer{reply.StatusCode, text}, nil
}

// firstLine is what people read of a reply.
func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text[:min(len(text), maxReason)])), "\n")
	return strings.ToValidUTF8(strings.TrimSpace(line), "")
}
