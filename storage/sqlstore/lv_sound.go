package sqlstore

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"

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

// unlessThere makes refusal of the error of a query that has not found a version.
func unlessThere(err, refusal error, id lv.VersionID) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: version %d", refusal, id)
	}
	return err
}

// lvRefusals are errors that say by themselves what is wrong with a request.
var lvRefusals = []error{lv.ErrNotFound, lv.ErrInvalid, lv.ErrConflict, lv.ErrStale, lv.ErrTooLate, lv.ErrCompacted}

// lvWhile says what was done when an error came, unless it is a refusal, which is
// about the request and not about what became of it.
func lvWhile(doing string, err error) error {
	if err == nil || isContent(err) || slices.ContainsFunc(lvRefusals, func(refusal error) bool { return errors.Is(err, refusal) }) {
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}
