package httpadapter

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
)

// Role is what a caller may do. Each includes those before it.
type Role int

// The roles.
const (
	Nobody Role = iota // nothing but what needs no credential
	Reader             // see
	Editor             // change rows and files
	Admin              // everything
)

func (r Role) String() string {
	switch r {
	case Nobody:
		return "nobody"
	case Reader:
		return "reader"
	case Editor:
		return "editor"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("Role(%d)", int(r))
}

// Credential is what a request carried, whatever the API calls it. A field
// that the API does not have is empty.
type Credential struct {
	API    API
	Secret string // the api_token, the authkey, or the bearer token of our own routes
	ID     string // the authid
	App    string // the appid; never with a slash
	Schema string // the schemaid, of one table of App
	Actor  string // the Staffname
}

// Principal is who asks.
type Principal struct {
	// ID names the principal in histories and logs; at most 256 bytes.
	ID string
	// Role is the role in every API that Roles does not name.
	Role Role
	// Roles gives another role in some of the APIs. Default: none.
	Roles map[API]Role
	// Scopes are where Secrets lets the principal in: "appid", or
	// "appid/schemaid" for this table alone. Nil is everywhere, empty is nowhere
	// but on the routes of UpkeepAPI, which are about no app. For RolloutAPI they
	// are environments: see Config.Environments.
	Scopes []string
}

// In returns the principal's role in an API.
func (p Principal) In(api API) Role {
	if role, ok := p.Roles[api]; ok {
		return role
	}
	return p.Role
}

// Authenticator tells who sent a request. It is called for every request to a
// route that needs a role, with an empty Secret if none was sent, and must be
// safe for concurrent use.
type Authenticator interface {
	// Authenticate returns ErrNoCredential, ErrBadCredential, ErrExpired, or
	// ErrForbidden if the caller may not act in this role here; any other
	// error is a failure of ours. The Adapter also refuses a Principal whose
	// role is below needs. ErrBadCredential counts as a failed login.
	Authenticate(ctx context.Context, c Credential, needs Role) (Principal, error)
}

// Secrets is the Authenticator of a fixed table: secret to principal. Where an
// API sends an id with the secret it must be the principal's: the authkey of
// an app and its authid are {authkey: {ID: authid, Role: Editor, Scopes: {appid}}}.
// It is meant for a handful of tokens: every secret is hashed and compared for every
// request, in a time that does not depend on which one matches, or whether. An
// empty secret is ErrNoCredential, and a known one outside of its Scopes
// ErrForbidden: these are no guesses and do not count for Limits.Logins.
type Secrets map[string]Principal

// Authenticate implements Authenticator.
func (s Secrets) Authenticate(_ context.Context, c Credential, needs Role) (Principal, error) {
	if c.Secret == "" {
		return Principal{}, ErrNoCredential
	}
	sent := sha256.Sum256([]byte(c.Secret))
	var found Principal
	known := 0
	for secret, principal := range s {
		kept := sha256.Sum256([]byte(secret))
		if subtle.ConstantTimeCompare(sent[:], kept[:]) == 1 {
			found, known = principal, 1
		}
	}
	if known == 0 || c.ID != "" && c.ID != found.ID {
		return Principal{}, ErrBadCredential
	}
	if c.API != UpkeepAPI && c.API != RolloutAPI && !found.within(c.App, c.Schema) {
		return Principal{}, errOutOfScope
	}
	if found.In(c.API) < needs {
		return Principal{}, ErrForbidden
	}
	return found, nil
}

// within reports whether a table, or an app without one, is in one of the
// principal's scopes.
func (p Principal) within(app, schema string) bool {
	return p.Scopes == nil || app != "" &&
		(slices.Contains(p.Scopes, app) || schema != "" && slices.Contains(p.Scopes, app+"/"+schema))
}

// AllowAll lets everybody do everything. It is for tests; New warns of it in
// the log.
type AllowAll struct{}

// Authenticate implements Authenticator.
func (AllowAll) Authenticate(context.Context, Credential, Role) (Principal, error) {
	return Principal{ID: "anybody", Role: Admin}, nil
}

// denyAll is the Authenticator of a Config without one.
type denyAll struct{}

func (denyAll) Authenticate(_ context.Context, c Credential, _ Role) (Principal, error) {
	if c.Secret == "" {
		return Principal{}, ErrNoCredential
	}
	return Principal{}, ErrBadCredential
}
