package sqlstore

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"github.com/upkeep-go/upkeep/lv"
)

// intact reports whether a content is the one that its digest was made of. A
// deletion has neither. The digest is that of the canonical form, in which most
// programs write.
func intact(content, digest []byte) bool {
	if content == nil || digest == nil {
		return content == nil && digest == nil
	}
	if sum := sha256.Sum256(content); bytes.Equal(sum[:], digest) {
		return true
	}
	sum, err := lv.Digest(content)
	return err == nil && bytes.Equal(sum[:], digest)
}

// isContent reports whether an error is about a content alone.
func isContent(err error) bool {
	_, is := errors.AsType[*lv.CorruptError](err)
	return is
}

// corrupt is the error of a content that is not intact.
func (t lvTable) corrupt(row string, id lv.VersionID) error {
	return &lv.CorruptError{Table: t.id, Row: row, Version: id}
}
