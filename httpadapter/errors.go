package httpadapter

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Decisions of an Authenticator. The message says what happened.
var (
	// ErrNoCredential reports a request that does not say who sends it.
	ErrNoCredential = errors.New("httpadapter: no credential")
	// ErrBadCredential reports a credential that nobody has.
	ErrBadCredential = errors.New("httpadapter: bad credential")
	// ErrExpired reports a credential that was good once.
	ErrExpired = errors.New("httpadapter: credential expired")
	// ErrForbidden reports somebody who may not do this.
	ErrForbidden = errors.New("httpadapter: not allowed")
)

// errOutOfScope is the ErrForbidden of Secrets for somebody who may do things
// elsewhere: the row-version API says so in its own way.
var errOutOfScope = fmt.Errorf("%w here", ErrForbidden)

// refusal is a request that no domain gets to see. Each API says it in its
// own envelope.
type refusal struct {
	status int
	slug   string // what programs read, in a problem's type
	text   string // what people read
	detail string // more for people, or ""
	retry  time.Duration
}

func (e *refusal) Error() string {
	if e.detail == "" {
		return "httpadapter: " + e.text
	}
	return "httpadapter: " + e.text + ": " + e.detail
}

// with returns the refusal with a detail.
func (e *refusal) with(detail string) *refusal {
	r := *e
	r.detail = detail
	return &r
}

// after returns the refusal with the time to wait before another try.
func (e *refusal) after(d time.Duration) *refusal {
	r := *e
	r.retry = d
	return &r
}

// The refusals, by status.
var (
	badBody     = &refusal{status: http.StatusBadRequest, slug: "invalid-body", text: "Invalid request body"}
	badQuery    = &refusal{status: http.StatusBadRequest, slug: "invalid-query", text: "Invalid query"}
	badID       = &refusal{status: http.StatusBadRequest, slug: "invalid-id", text: "Invalid id"}
	foreign     = &refusal{status: http.StatusForbidden, slug: "cross-site", text: "Cross-site request refused"}
	unknownPath = &refusal{status: http.StatusNotFound, slug: "not-found", text: "Not found"}
	badMethod   = &refusal{status: http.StatusMethodNotAllowed, slug: "method-not-allowed", text: "Method not allowed"}
	bodyTooLong = &refusal{status: http.StatusRequestEntityTooLarge, slug: "body-too-large", text: "Request body too large"}
	queryTooBig = &refusal{status: http.StatusRequestURITooLong, slug: "query-too-long", text: "Query too long"}
	badMedia    = &refusal{status: http.StatusUnsupportedMediaType, slug: "unsupported-media-type", text: "Unsupported content type or encoding"}
	tooMany     = &refusal{status: http.StatusTooManyRequests, slug: "too-many-failed-logins", text: "Too many failed logins"}
	tooManyOpen = &refusal{status: http.StatusTooManyRequests, slug: "too-many-streams", text: "Too many open event streams"}
	unavailable = &refusal{status: http.StatusServiceUnavailable, slug: "unavailable", text: "Service unavailable"}
)

// internal returns what a caller may know of a failure of ours: the id under
// which the log has the rest.
func internal(requestID string) *refusal {
	return &refusal{
		status: http.StatusInternalServerError, slug: "internal", text: "Internal error",
		detail: "request " + requestID,
	}
}
