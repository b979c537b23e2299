package httpadapter

import (
	"errors"
	"net/http"
	"slices"
)

// problem is a failure of our own routes, as RFC 9457 has it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// problemType comes before the slug in a problem's type. The slug is stable.
const problemType = "urn:upkeep:problem:"

// failure gives an error its answer.
type failure struct {
	err    error
	status int
	slug   string // of a problem; the envelopes of the documents have none
	text   string
	tell   bool // the error's text is about the request and may go out
}

// find returns the failure of an error.
func find(table []failure, err error) (failure, bool) {
	for _, f := range table {
		if errors.Is(err, f.err) {
			return f, true
		}
	}
	return failure{}, false
}

// own is how our own routes are spoken.
var own = ownDialect(UpkeepAPI, ownFailure(nil))

// ownDialect is how our own routes about an API are spoken.
func ownDialect(api API, failure func(error) (answer, bool)) dialect {
	return dialect{api: api, credential: bearerCredential, failure: failure, fails: problem{}, bearer: true}
}

// bearerCredential is a bearer token.
func bearerCredential(c *call) (Credential, error) {
	token, err := bearer(c.r)
	return Credential{Secret: token}, err
}

// identification has the problems of an Authenticator's errors.
var identification = []failure{
	{ErrNoCredential, http.StatusUnauthorized, "no-credential", "A bearer token is needed", false},
	{ErrBadCredential, http.StatusUnauthorized, "bad-credential", "The token is not known", false},
	{ErrExpired, http.StatusUnauthorized, "expired-credential", "The token has expired", false},
	{ErrForbidden, http.StatusForbidden, "forbidden", "The token does not allow this", false},
}

// ownFailure answers errors with problems: refusals, those of an
// Authenticator, and those of a domain.
func ownFailure(domain []failure) func(error) (answer, bool) {
	known := slices.Concat(identification, domain)
	return func(err error) (answer, bool) {
		if refused, ok := errors.AsType[*refusal](err); ok {
			return problemAnswer(refused.status, refused.slug, refused.text, refused.detail), true
		}
		f, found := find(known, err)
		detail := ""
		if f.tell {
			detail = err.Error()
		}
		return problemAnswer(f.status, f.slug, f.text, detail), found
	}
}

func problemAnswer(status int, slug, title, detail string) answer {
	reply := answer{
		status: status,
		media:  "application/problem+json",
		body:   problem{Type: problemType + slug, Title: title, Status: status, Detail: detail},
	}
	if status == http.StatusUnauthorized {
		reply.challenge = "Bearer"
	}
	return reply
}
