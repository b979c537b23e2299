package lv

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What is exported here says what is wrong with a request by itself: ErrInvalid,
// or nil. A Service asks it, and every engine does, since a VersionStore can be
// used without a Service.

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

func (b By) check() error {
	return cmp.Or(checkName("actor", b.Actor), checkText("reason", b.Reason), checkName("request id", b.RequestID))
}

// checkNamed is check for what another must approve.
func (b By) checkNamed() error { return cmp.Or(checkRequired("actor", b.Actor), b.check()) }

// CheckWrite checks the names of a write. An engine takes a table without a
// name, a Service does not.
func CheckWrite(t TableID, by By) error {
	return cmp.Or(checkName("app", t.App), checkName("schema", t.Schema), by.check())
}

// CheckEdits checks the edits of a write, but for their contents: Digest does
// that, and an engine needs what it returns.
func CheckEdits(edits []Edit) error {
	if len(edits) == 0 {
		return fmt.Errorf("%w: no edits", ErrInvalid)
	}
	for i, e := range edits {
		of := ""
		if len(edits) > 1 {
			of = fmt.Sprintf(" of edit %d", i)
		}
		if err := e.check(of); err != nil {
			return err
		}
	}
	return nil
}

// check returns what is wrong with an edit, whose fields are called as of says.
func (e Edit) check(of string) error {
	switch e.Op {
	case OpSave, OpDelete:
		return checkRequired("row"+of, e.Row)
	case OpRestore, OpForget:
		return nil
	}
	return fmt.Errorf("%w: there is no operation %q%s", ErrInvalid, e.Op, of)
}

// Check checks a release that is to be put: it has a state, and changes, each
// of another row, and only what is applied at once has a change that is Working.
func (r Release) Check() error {
	if !r.State.Valid() {
		return fmt.Errorf("%w: there is no state %q", ErrInvalid, r.State)
	}
	if len(r.Changes) == 0 {
		return fmt.Errorf("%w: no rows", ErrInvalid)
	}
	seen := make(map[string]bool, len(r.Changes))
	for _, c := range r.Changes {
		if err := checkRequired("row", c.Row); err != nil {
			return err
		}
		if seen[c.Row] {
			return fmt.Errorf("%w: row %q twice", ErrInvalid, c.Row)
		}
		seen[c.Row] = true
		if c.Working && r.State != ReleaseApplied {
			return fmt.Errorf("%w: the working row %q in a draft", ErrInvalid, c.Row)
		}
	}
	return checkName("environment", string(r.Env))
}

// Check checks what is asked of rows: For applies to what an environment shows
// now, and a status is that of working rows as they are now.
func (v *View) Check() error {
	switch {
	case v.Env != Production && checkName("environment", string(v.Env)) != nil:
		return checkName("environment", string(v.Env))
	case v.AsOf < 0:
		return fmt.Errorf("%w: as of event %d", ErrInvalid, v.AsOf)
	case v.For != nil && (v.Working || v.Own || v.AsOf != 0):
		return fmt.Errorf("%w: strategies apply to what an environment shows now", ErrInvalid)
	case v.Status < StatusAny || v.Status > StatusChanged:
		return fmt.Errorf("%w: there is no status %d", ErrInvalid, v.Status)
	case (v.Deleted || v.Status != StatusAny) && (!v.Working || v.AsOf != 0):
		return fmt.Errorf("%w: only working rows of now have a status", ErrInvalid)
	}
	return nil
}
