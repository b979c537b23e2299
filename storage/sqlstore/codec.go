package sqlstore

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/storage"
)

// What is stored as JSON has types of its own: renaming a field of the domain
// cannot lose data that is on disk already. A field here may be added, never
// renamed.

// JSON has no place for bytes that are not UTF-8. They are kept as the last
// 256 characters of Unicode, which are for private use: escape stands for the
// byte 0. Where a text has such a character itself, its bytes are kept so.
const (
	escape       = 0x10ff00
	escapePrefix = "\xf4\x8f" // what those characters begin with, and few others
)

// bytesText is a string of any bytes in a record.
type bytesText string

// MarshalText makes it fit for JSON.
func (t bytesText) MarshalText() ([]byte, error) {
	s := string(t)
	if utf8.ValidString(s) && !strings.Contains(s, escapePrefix) {
		return []byte(s), nil
	}
	var b []byte
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r < escape && (r != utf8.RuneError || size > 1) {
			b = utf8.AppendRune(b, r)
		} else {
			for _, c := range []byte(s[:size]) {
				b = utf8.AppendRune(b, escape+rune(c))
			}
		}
		s = s[size:]
	}
	return b, nil
}

// UnmarshalText takes back what MarshalText did.
func (t *bytesText) UnmarshalText(text []byte) error {
	s := string(text)
	if !strings.Contains(s, escapePrefix) {
		*t = bytesText(s)
		return nil
	}
	var b []byte
	for _, r := range s {
		if r < escape {
			b = utf8.AppendRune(b, r)
		} else {
			b = append(b, byte(r-escape))
		}
	}
	*t = bytesText(b)
	return nil
}

// by is who and why, in every domain.
type by = struct{ Actor, Reason, RequestID string }

type byRecord struct {
	Actor     bytesText `json:"actor,omitempty"`
	Reason    bytesText `json:"reason,omitempty"`
	RequestID bytesText `json:"request_id,omitempty"`
}

func byOf(b by) byRecord {
	return byRecord{Actor: bytesText(b.Actor), Reason: bytesText(b.Reason), RequestID: bytesText(b.RequestID)}
}

func (b byRecord) by() by {
	return by{Actor: string(b.Actor), Reason: string(b.Reason), RequestID: string(b.RequestID)}
}

func encode(record any) (string, error) {
	data, err := json.Marshal(record)
	return string(data), err
}

func decode(data string, record any) error {
	if err := json.Unmarshal([]byte(data), record); err != nil {
		return fmt.Errorf("%w: reading a record: %w", storage.ErrCorrupt, err)
	}
	return nil
}

func utc(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// millis is the inverse of utc.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// flag is how a column keeps whether something is so.
func flag(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// found reports whether there was a row, by the error of reading it.
func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
