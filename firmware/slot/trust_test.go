//go:build unix

package slot_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

// victim is a file outside of the slots that nothing may write.
func victim(t *testing.T) (path string, untouched func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "shadow")
	require.NoError(t, os.WriteFile(path, []byte("secret"), 0o600))
	return path, func() {
		t.Helper()
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "secret", string(text))
	}
}

func TestALinkPlantedInPlaceOfASlotIsNotFollowed(t *testing.T) {
	for name, plant := range map[string]func(old, new string) error{"a link": os.Symlink, "a second name": os.Link} {
		p := newPC(t, fileBoot(t), image("1.0.0"))
		s := p.open(t)
		shadow, untouched := victim(t)
		require.NoError(t, plant(shadow, p.config.B))
		_, err := s.Open(t.Context(), release("2.0.0"))
		require.Error(t, err, name)
		untouched()
	}
}

func TestALinkInPlaceOfRecordsOrVariablesIsNotFollowed(t *testing.T) {
	variables := filepath.Join(t.TempDir(), "variables")
	p := newPC(t, slot.File{Path: variables}, image("1.0.0"))
	p.config.Records = filepath.Join(t.TempDir(), "records")
	s := p.open(t)
	install(t, s, "2.0.0")
	for _, path := range []string{p.config.Records, variables} {
		was, err := os.ReadFile(path)
		require.NoError(t, err)
		other := filepath.Join(t.TempDir(), "other")
		require.NoError(t, os.Rename(path, other))
		require.NoError(t, os.Symlink(other, path))
		_, err = s.Pair(t.Context())
		require.ErrorIs(t, err, firmware.ErrUnavailable)
		require.Error(t, s.Confirm(t.Context()))
		now, err := os.ReadFile(other)
		require.NoError(t, err)
		require.True(t, string(was) == string(now), "it was written")
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Rename(other, path))
	}
	require.NoError(t, s.Confirm(t.Context()))
}

func TestAFolderThatOthersMayWriteIsRefused(t *testing.T) {
	open := func(change func(p *pc, dir string)) error {
		p := newPC(t, fileBoot(t), image("1.0.0"))
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o777))
		change(p, dir)
		_, err := slot.Open(p.config)
		return err
	}
	require.NoError(t, open(func(*pc, string) {}))
	for name, change := range map[string]func(p *pc, dir string){
		"B":         func(p *pc, dir string) { p.config.B = filepath.Join(dir, "b") },
		"Records":   func(p *pc, dir string) { p.config.Records = filepath.Join(dir, "records") },
		"variables": func(p *pc, dir string) { p.config.Boot = slot.File{Path: filepath.Join(dir, "variables")} },
		"GRUB":      func(p *pc, dir string) { p.config.Boot = slot.GRUB{Path: filepath.Join(dir, "grubenv")} },
	} {
		require.Error(t, open(change), name)
	}
}

func TestNoTwoPlacesAreOne(t *testing.T) {
	for name, change := range map[string]func(c *slot.Config){
		"A and B":              func(c *slot.Config) { c.B = c.A },
		"A and Records":        func(c *slot.Config) { c.Records = c.A },
		"B and Records":        func(c *slot.Config) { c.Records = c.B }, // neither is there yet
		"Records and File":     func(c *slot.Config) { c.Boot = slot.File{Path: filepath.Join(filepath.Dir(c.A), "slots")} },
		"B and File":           func(c *slot.Config) { c.Boot = slot.File{Path: c.B} },
		"A and GRUB":           func(c *slot.Config) { c.Boot = slot.GRUB{Path: c.A} },
		"by a link of folders": func(c *slot.Config) { c.Records = filepath.Join(link(t, filepath.Dir(c.B)), "b.img") },
	} {
		p := newPC(t, fileBoot(t), image("1.0.0"))
		change(&p.config)
		_, err := slot.Open(p.config)
		require.ErrorIs(t, err, firmware.ErrInvalid, name)
		require.ErrorContains(t, err, "same place", name)
	}
}

func link(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(to, path))
	return path
}
