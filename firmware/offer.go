package firmware

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	version "github.com/hashicorp/go-version"
)

// newest is the release with the highest version that is for this device, its
// cohort and its channel: first of those that were not rolled back here.
func (s *Service) newest(rec Record) (Release, bool) {
	best, found := s.highest(rec, false)
	if found && s.offers(rec, best) {
		return best, true
	}
	if again, is := s.highest(rec, true); is && s.offers(rec, again) {
		return again, true
	}
	return best, found
}

// highest is the newest of those that were, or of those that were not, rolled
// back on this device.
func (s *Service) highest(rec Record, rolledBack bool) (best Release, found bool) {
	var highest *version.Version
	for _, r := range rec.Catalog.Releases {
		v, err := version.NewVersion(r.Version)
		if err != nil || slices.Contains(rec.RolledBack, r.Digest) != rolledBack || r.Prerelease && !rec.Settings.Prereleases || !s.inCohort(r) || s.suits(rec, r) != nil {
			continue
		}
		if highest == nil || v.GreaterThan(highest) {
			best, highest, found = r, v, true
		}
	}
	return best, found
}

// suits returns why a release cannot be installed on this device, whatever its
// version.
func (s *Service) suits(rec Record, r Release) error {
	switch {
	case r.Epoch < rec.Floor:
		return fmt.Errorf("%w: version %q has epoch %d, at least %d is needed", ErrDowngrade, r.Version, r.Epoch, rec.Floor)
	case s.config.Hardware != "" && len(r.Hardware) > 0 && !slices.Contains(r.Hardware, s.config.Hardware):
		return fmt.Errorf("%w: version %q is not for hardware %q", ErrMismatch, r.Version, s.config.Hardware)
	case r.MinFrom != "" && (older(rec.Running.Version, r.MinFrom) || !parses(rec.Running.Version)):
		return fmt.Errorf("%w: version %q replaces %q and later, %q runs", ErrMismatch, r.Version, r.MinFrom, rec.Running.Version)
	}
	return nil
}

// older reports whether a is a lower version than b. A version that is none is
// not older than anything.
func older(a, b string) bool {
	v, err := version.NewVersion(a)
	if err != nil {
		return false
	}
	w, err := version.NewVersion(b)
	return err == nil && v.LessThan(w)
}

// runs reports whether the image of a release is the one that runs. Of an image
// that a factory wrote only the version is known.
func runs(rec Record, r Release) bool {
	if rec.Running.Digest != [32]byte{} {
		return rec.Running.Digest == r.Digest
	}
	return rec.Running.Version == r.Version || !older(rec.Running.Version, r.Version) && !older(r.Version, rec.Running.Version) &&
		parses(rec.Running.Version) && parses(r.Version)
}

func parses(v string) bool {
	_, err := version.NewVersion(v)
	return err == nil
}

// offers reports whether a release is newer than what runs.
func (s *Service) offers(rec Record, r Release) bool {
	return !runs(rec, r) && (older(rec.Running.Version, r.Version) || !parses(rec.Running.Version))
}

// inCohort reports whether this device is among those that are offered a
// release.
func (s *Service) inCohort(r Release) bool {
	if r.Cohort <= 0 || r.Cohort >= 100 {
		return true
	}
	h := sha256.New()
	h.Write([]byte(s.config.Device))
	h.Write(r.Digest[:])
	return binary.BigEndian.Uint64(h.Sum(nil))%100 < uint64(r.Cohort)
}

// choose returns the release that a request is for.
func (s *Service) choose(rec Record, req Request) (Release, error) {
	if req.Version == "" {
		r, found := s.newest(rec)
		if !found || !s.offers(rec, r) {
			return r, fmt.Errorf("%w: version %q", ErrUpToDate, rec.Running.Version)
		}
		if slices.Contains(rec.RolledBack, r.Digest) {
			return r, fmt.Errorf("%w: version %q, which is tried again when a request names it", ErrRolledBack, r.Version)
		}
		return r, nil
	}
	is := func(r Release) bool { return r.Version == req.Version }
	i := slices.IndexFunc(rec.Catalog.Releases, func(r Release) bool { return is(r) && s.suits(rec, r) == nil })
	if i < 0 { // to say why not
		i = slices.IndexFunc(rec.Catalog.Releases, is)
	}
	if i < 0 {
		return Release{}, fmt.Errorf("%w: version %q", ErrNotFound, req.Version)
	}
	r := rec.Catalog.Releases[i]
	if runs(rec, r) {
		return r, fmt.Errorf("%w: version %q", ErrUpToDate, r.Version)
	}
	if err := s.suits(rec, r); err != nil {
		return r, err
	}
	if older(r.Version, rec.Running.Version) && !req.AllowDowngrade {
		return r, fmt.Errorf("%w: version %q is below %q, which runs", ErrDowngrade, r.Version, rec.Running.Version)
	}
	return r, nil
}

// planID is the same as long as the running image and the release are.
func planID(running Slot, r Release) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %x %q %x %x", running.Version, running.Digest, r.Version, r.Digest, r.Index.Digest)
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// index fetches the index of a release.
func (s *Service) index(ctx context.Context, r Release) (x Index, err error) {
	if r.Index.Size <= 0 || r.Index.Size > MaxIndex {
		return x, fmt.Errorf("%w: an index of %d bytes", ErrInvalid, r.Index.Size)
	}
	raw, err := s.fetch(ctx, r.Index.Name, r.Index.Size)
	if err != nil {
		return x, err
	}
	return readIndex(r, raw)
}

// readIndex verifies an index, and that it is of this image.
func readIndex(r Release, raw []byte) (x Index, err error) {
	if int64(len(raw)) != r.Index.Size || sha256.Sum256(raw) != r.Index.Digest {
		return x, fmt.Errorf("%w: the index of version %q is not the one that was signed", ErrCorrupt, r.Version)
	}
	if err := x.UnmarshalBinary(raw); err != nil {
		return x, err
	}
	if x.Size != r.Size {
		return x, fmt.Errorf("%w: an index of %d bytes, the image of version %q has %d", ErrCorrupt, x.Size, r.Version, r.Size)
	}
	return x, nil
}
