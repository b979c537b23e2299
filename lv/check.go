package lv

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxName is how long the name of a table, row or environment, an actor and a
// request id may be, in bytes.
const maxName = 1024

func checkName(what, name string) error {
	if len(name) > maxName {
		return fmt.Errorf("%w: the %s has %d bytes, at most %d are allowed", ErrInvalid, what, len(name), maxName)
	}
	return checkText(what, name)
}

func checkText(what, text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fmt.Errorf("%w: the %s is not text", ErrInvalid, what)
	}
	return nil
}

func checkRequired(what, name string) error {
	if name == "" {
		return fmt.Errorf("%w: the %s is missing", ErrInvalid, what)
	}
	return checkName(what, name)
}

func (id TableID) check() error {
	if err := checkRequired("app", id.App); err != nil {
		return err
	}
	return checkRequired("schema", id.Schema)
}

func (b By) check() error {
	return cmp.Or(checkName("actor", b.Actor), checkText("reason", b.Reason), checkName("request id", b.RequestID))
}

// checkNamed is check for what another must approve.
func (b By) checkNamed() error { return cmp.Or(checkRequired("actor", b.Actor), b.check()) }

func checkRow(id string) error { return checkRequired("row", id) }

// check returns what no source of rows can answer.
func (v *View) check() error {
	switch {
	case v.Env != Production && checkName("environment", string(v.Env)) != nil:
		return checkName("environment", string(v.Env))
	case v.For != nil && (v.Working || v.Own || v.AsOf != 0):
		return fmt.Errorf("%w: strategies apply to what an environment shows now", ErrInvalid)
	case !v.Working && (v.Deleted || v.Status != StatusAny):
		return fmt.Errorf("%w: only working rows have a status", ErrInvalid)
	}
	return nil
}
