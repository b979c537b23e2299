package source

import "errors"

// ErrInsecure reports an address, or a redirect to one, that anybody on the
// way could answer for. The sources that ask a server return it.
var ErrInsecure = errors.New("source: not https")
