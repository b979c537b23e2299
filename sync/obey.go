package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/ignore"
)

const (
	// ignoreName is the file of the folder whose lines mask paths, as those of a
	// .gitignore at its root do. It is synced like any other, and read once a sync,
	// as it is here when that begins.
	ignoreName = ".syncignore"
	maxIgnore  = 1 << 20 // bytes
)

// ignores reads lines of Config.Ignore.
func ignores(lines []string) (ignore.Rules, error) {
	rules, err := ignore.Parse("Config.Ignore", []byte(strings.Join(lines, "\n")))
	if err != nil {
		return rules, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return rules, nil
}

// obey reads what this device masks. Rules that cannot be read end the sync before
// it has changed anything: without them it would send what nobody wants to send,
// and bring what nobody wants here.
func (w *work) obey(ctx context.Context) (err error) {
	lines := slices.Clone(w.Ignore)
	for i := range lines {
		lines[i] = w.caps.normal(lines[i])
	}
	if w.rules, err = ignores(lines); err != nil {
		return err
	}
	f, err := w.Files.Stat(ctx, ignoreName)
	switch {
	case isNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", ignoreName, err)
	case !f.Mode.IsRegular():
		return fmt.Errorf("%w: %s is no file", ErrInvalid, ignoreName)
	case f.Size > maxIgnore:
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrInvalid, ignoreName, f.Size, maxIgnore)
	}
	r, err := w.Files.Open(ctx, ignoreName)
	if err != nil {
		return fmt.Errorf("%s: %w", ignoreName, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxIgnore))
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("%s: %w", ignoreName, err)
	}
	if w.rules, err = w.rules.With(ignoreName, []byte(w.caps.normal(string(text)))); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}
