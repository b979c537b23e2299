package update

import (
	"context"
	"iter"
	"slices"
	"time"
)

// Source lists the versions of a package. See package update/source.
type Source interface {
	// Versions yields the releases of pkg in any order and stops after an
	// error. A package the source does not know is ErrNotFound.
	Versions(ctx context.Context, pkg string) iter.Seq2[Release, error]
}

// Release is a version that can be installed.
type Release struct {
	Version string
	Time    time.Time // when it was released, if known
	URL     string    // the artifact, if there is one
	Digest  []byte    // SHA-256 of the artifact
	// Signature is an ed25519 signature of the artifact's SHA-256, 64 bytes,
	// or the text of a minisign signature file.
	Signature []byte
	Size      int64 // bytes; 0 if not known
}

func (r Release) clone() Release {
	r.Digest = slices.Clone(r.Digest)
	r.Signature = slices.Clone(r.Signature)
	return r
}
