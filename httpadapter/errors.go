package httpadapter

import (
	"fmt"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// Decisions of an Authenticator. The message says what happened.
var (
	// ErrNoCredential reports a request that does not say who sends it.
	ErrNoCredential = web.ErrNoCredential
	// ErrBadCredential reports a credential that nobody has.
	ErrBadCredential = web.ErrBadCredential
	// ErrExpired reports a credential that was good once.
	ErrExpired = web.ErrExpired
	// ErrForbidden reports somebody who may not do this.
	ErrForbidden = web.ErrForbidden
	// ErrReadOnly is the ErrForbidden of a time in which nobody may change
	// anything.
	ErrReadOnly = web.ErrReadOnly
)

// errOutOfScope is the ErrForbidden of Secrets for somebody who may do things
// elsewhere: the row-version API says so in its own way.
var errOutOfScope = fmt.Errorf("%w here", ErrForbidden)
