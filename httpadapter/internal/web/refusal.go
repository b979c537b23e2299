package web

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The errors of identification. The message says what happened.
var (
	ErrNoCredential  = errors.New("httpadapter: no credential")
	ErrBadCredential = errors.New("httpadapter: bad credential") // a failed login
	ErrExpired       = errors.New("httpadapter: credential expired")
	ErrForbidden     = errors.New("httpadapter: not allowed")
	ErrReadOnly      = fmt.Errorf("%w: read-only", ErrForbidden) // nothing may be changed at all
)

// BadCredentialError is the ErrBadCredential that tells where it stood.
type BadCredentialError struct{ Place string }

func (e *BadCredentialError) Error() string { return ErrBadCredential.Error() + " [" + e.Place + "]" }

// Unwrap returns ErrBadCredential.
func (e *BadCredentialError) Unwrap() error { return ErrBadCredential }

// Refusal is a request that no domain gets to see. Each API says it in its
// own envelope.
type Refusal struct {
	Status int
	Slug   string        // what programs read, in a problem's type
	Text   string        // what people read
	Detail string        // more for people, or ""
	Retry  time.Duration // when to try again; 0: no word of it
}

func (e *Refusal) Error() string {
	return "httpadapter: " + e.Message()
}

// Message is text and detail for an envelope that has one place for both.
func (e *Refusal) Message() string {
	if e.Text == "" || e.Detail == "" {
		return e.Text + e.Detail
	}
	return e.Text + ": " + e.Detail
}

// With returns the refusal with a detail.
func (e *Refusal) With(detail string) *Refusal {
	r := *e
	r.Detail = detail
	return &r
}

// After returns the refusal with the time to wait before another try.
func (e *Refusal) After(d time.Duration) *Refusal {
	r := *e
	r.Retry = d
	return &r
}

// The refusals, by status.
var (
	BadBody     = &Refusal{Status: http.StatusBadRequest, Slug: "invalid-body", Text: "Invalid request body"}
	BadQuery    = &Refusal{Status: http.StatusBadRequest, Slug: "invalid-query", Text: "Invalid query"}
	BadID       = &Refusal{Status: http.StatusBadRequest, Slug: "invalid-id", Text: "Invalid id"}
	Foreign     = &Refusal{Status: http.StatusForbidden, Slug: "cross-site", Text: "Cross-site request refused"}
	UnknownPath = &Refusal{Status: http.StatusNotFound, Slug: "not-found", Text: "Not found"}
	BadMethod   = &Refusal{Status: http.StatusMethodNotAllowed, Slug: "method-not-allowed", Text: "Method not allowed"}
	BodyTooLong = &Refusal{Status: http.StatusRequestEntityTooLarge, Slug: "body-too-large", Text: "Request body too large"}
	QueryTooBig = &Refusal{Status: http.StatusRequestURITooLong, Slug: "query-too-long", Text: "Query too long"}
	BadMedia    = &Refusal{Status: http.StatusUnsupportedMediaType, Slug: "unsupported-media-type", Text: "Unsupported content type or encoding"}
	NotSocket   = &Refusal{Status: http.StatusUpgradeRequired, Slug: "no-websocket", Text: "A WebSocket handshake over HTTP/1.1 is needed"}
	TooMany     = &Refusal{Status: http.StatusTooManyRequests, Slug: "too-many-failed-logins", Text: "Too many failed logins"}
	TooManyOpen = &Refusal{Status: http.StatusTooManyRequests, Slug: "too-many-streams", Text: "Too many open event streams"}
	TooManyLong = &Refusal{Status: http.StatusServiceUnavailable, Slug: "too-many-replies", Text: "Too many long replies at once"}
	Unavailable = &Refusal{Status: http.StatusServiceUnavailable, Slug: "unavailable", Text: "Service unavailable"}
)

// internal returns what a caller may know of a failure of ours: the id under
// which the log has the rest.
func internal(requestID string) *Refusal {
	return &Refusal{
		Status: http.StatusInternalServerError, Slug: "internal", Text: "Internal error",
		Detail: "request " + requestID,
	}
}
