package firmware

import (
	"context"
	"io"
)

// Feed is where catalogs and images come from: a flat set of objects, as a web
// server or a bucket has them. It is not trusted. All objects but the catalog
// are named by their digest and never change.
type Feed interface {
	// Get reads n bytes of an object from off; n < 0 means to the end. For
	// what is not there it returns an error that is fs.ErrNotExist, and the run
	// goes another way without asking again. After any other error it asks
	// again, later and later, or when an *UnavailableError says.
	Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)
}

// CatalogName is the one object of a Feed that changes.
const CatalogName = "catalog"

// Verifier reads what the publisher of a Feed has made: it decides whose
// signatures count, and which catalog is newer, and unpacks what was packed.
// Expiry, product, hardware and floor are the Service's to check, and so are
// digests. Package firmwaretest checks implementations.
type Verifier interface {
	// Catalog returns what is signed in raw, and the trust to go on with: the
	// keys that count from now on and the highest Number seen, in a form of the
	// Verifier's own. The Service keeps it in the same write as the catalog and
	// hands in what it kept, nil at first, so that a key that was rotated out
	// never counts again. Too few distinct keys are ErrSignature, a lower
	// Number is ErrReplayed. A rotation that replaces so many keys that the
	// old ones cannot sign any more forgets the Number, which a thief may have
	// made as high as can be.
	Catalog(ctx context.Context, raw, trust []byte) (c Catalog, next []byte, err error)
	// Bundle returns what is signed at the head of a bundle. A catalog is no
	// bundle, nor the reverse: ErrSignature.
	Bundle(ctx context.Context, raw, trust []byte) (Bundle, error)
	// Unpacker returns what unpacks the segments of one run.
	Unpacker() Unpacker
}

// Unpacker unpacks the segments of one run, for one goroutine, so that it may
// use the same memory for each.
type Unpacker interface {
	// Unpack fills raw with the bytes that were packed as WayZstd or, against
	// the window of another image, as WayPatch. The digest of what was sent has
	// matched. It takes no more memory than what was sent, the window and raw
	// account for, whatever the bytes say, and returns ErrCorrupt for bytes
	// that are nothing of the kind, or not as many. After an error nobody
	// looks at raw. What is in the slices may change after it has returned.
	Unpack(way Way, sent, window, raw []byte) error
}
