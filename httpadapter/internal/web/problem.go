package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/fault"
)

// Failure is how an API tells an error.
type Failure struct {
	Err    error
	Status int
	Slug   string // what programs read, in a problem's type
	Text   string // what people read
	Tell   bool   // the error's own text is about the request and may go out
}

// failure says err in the envelope of the API, or returns false for an error
// that nobody outside should see.
func (d *Dialect) failure(err error) (Answer, bool) {
	refused, ok := errors.AsType[*Refusal](err)
	if !ok && d.Refuse != nil {
		refused = d.Refuse(err)
	}
	if refused != nil {
		answer := d.Say(refused, err)
		answer.Retry = refused.Retry
		return answer, true
	}
	for _, f := range slices.Concat(d.Failures, engine) {
		if !errors.Is(err, f.Err) {
			continue
		}
		refused = &Refusal{Status: f.Status, Slug: f.Slug, Text: f.Text}
		if f.Tell {
			refused.Detail = err.Error()
		}
		return d.Say(refused, err), true
	}
	return Answer{}, false
}

// Problem is a failure of our own routes, as RFC 9457 has it.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// self is a problem, and that of what has one in it.
func (p Problem) self() Problem { return p }

// problemType comes before the slug in a problem's type. The slug is stable.
const problemType = "urn:upkeep:problem:"

// Own is how our own routes about an API are spoken, with the failures of its
// domain.
func Own(api string, refuse func(error) *Refusal, domain ...Failure) *Dialect {
	return &Dialect{
		API: api, Credential: BearerCredential, Refuse: refuse, Failures: slices.Concat(identification, domain),
		Say:    func(r *Refusal, _ error) Answer { return r.Problem() },
		Speech: Speech{Name: api, Security: map[string]any{"bearer": object{"type": "http", "scheme": "bearer"}}},
	}
}

// identification has the problems of the errors of identification.
var identification = []Failure{
	{ErrNoCredential, http.StatusUnauthorized, "no-credential", "A bearer token is needed", false},
	{ErrBadCredential, http.StatusUnauthorized, "bad-credential", "The token is not known", false},
	{ErrExpired, http.StatusUnauthorized, "expired-credential", "The token has expired", false},
	{ErrReadOnly, http.StatusForbidden, "read-only", "Nothing can be changed at the moment", false},
	{ErrForbidden, http.StatusForbidden, "forbidden", "The token does not allow this", false},
}

// engine has the failures of whatever keeps the state, which pass. Every API
// tells them, in its own envelope, and the log has them too.
var engine = []Failure{
	{fault.ErrFull, http.StatusInsufficientStorage, "full", "No space is left", false},
	{fault.ErrBusy, http.StatusServiceUnavailable, "busy", "The database is busy", false},
	{fault.ErrReadOnly, http.StatusServiceUnavailable, "unwritable", "The database cannot be written to", false},
}

// ofEngine reports whether err is one of these.
func ofEngine(err error) bool {
	return slices.ContainsFunc(engine, func(f Failure) bool { return errors.Is(err, f.Err) })
}

// Problem is the refusal as our own routes tell it.
func (e *Refusal) Problem() Answer {
	reply := Answer{
		Status: e.Status,
		Media:  "application/problem+json",
		Body:   Problem{Type: problemType + e.Slug, Title: e.Text, Status: e.Status, Detail: e.Detail},
	}
	if e.Status == http.StatusUnauthorized {
		reply.Challenge = "Bearer"
	}
	return reply
}

// BearerCredential is a bearer token.
func BearerCredential(c *Call) (Credential, error) {
	values := c.Request.Header.Values("Authorization")
	if len(values) == 0 {
		return Credential{}, nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || token == "" || !strings.EqualFold(scheme, "Bearer") {
		return Credential{}, ErrBadCredential
	}
	return Credential{Secret: token}, nil
}
