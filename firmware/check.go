package firmware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/upkeep-go/upkeep/internal/built"
	"github.com/upkeep-go/upkeep/internal/record"
)

// MaxCatalog bounds a signed catalog, in bytes.
const MaxCatalog = 4 << 20

// Check fetches and verifies the catalog. An error stands in Status.Check too
// and changes nothing else. While a run is live the device's state stays that
// of the run.
func (s *Service) Check(ctx context.Context) (Catalog, error) {
	ctx, leave, err := s.door.Enter(ctx)
	if err != nil {
		return Catalog{}, err
	}
	defer leave()
	held, err := s.hold(ctx)
	if errors.Is(err, ErrBusy) {
		rec, err := s.check(ctx, 0) // somebody acts, and shows what
		return rec.Catalog, err
	}
	if err != nil {
		return Catalog{}, err
	}
	defer s.release(held)
	rec, err := s.settled(ctx, held)
	if err == nil {
		rec, err = s.check(ctx, held.Lease().Token)
	}
	return rec.Catalog, err
}

// check fetches and verifies the catalog and returns the record that has it.
// Under a lease, while no run is live, the device shows that it does so.
func (s *Service) check(ctx context.Context, token int64) (Record, error) {
	shown := false
	before, err := s.amend(ctx, token, func(rec *Record) ([]Event, error) {
		shown = token > 0 && (rec.Run == nil || rec.Run.State.Done())
		if !shown {
			return nil, record.ErrSame
		}
		rec.Device, rec.Info = DeviceCheckingOnline, ""
		return []Event{{Kind: EventState}}, nil
	})
	if err != nil {
		return before, err
	}
	raw, unread := s.fetch(ctx, CatalogName, MaxCatalog)
	s.heed(unread)
	var failure error
	quiet, done := quiet(ctx) // what was begun is not left as if it went on
	defer done()
	rec, err := s.amend(quiet, token, func(rec *Record) ([]Event, error) {
		if shown {
			rec.Device, rec.Info = atRest(*rec)
		}
		if failure = nil; ctx.Err() != nil && unread != nil { // nobody wants to know any more
			failure = context.Cause(ctx)
			if !shown {
				return nil, record.ErrSame
			}
			return []Event{{Kind: EventState}}, nil
		}
		var catalog Catalog
		var trust []byte
		err := unread
		if err == nil {
			catalog, trust, err = s.config.Verifier.Catalog(quiet, raw, rec.Trust)
		}
		if err == nil {
			err = s.admits(*rec, catalog)
		}
		if catalog.Product == s.config.Product && trust != nil {
			rec.Trust = trust // what was rotated out counts no more, whatever comes of the rest
		}
		rec.Check = Check{Time: time.Now().UTC().Truncate(time.Millisecond)}
		event := Event{Kind: EventChecked}
		if failure = err; err != nil {
			rec.Check.Reason, rec.Check.Cause = cut(err.Error(), maxReason), causes.Of(err)
			event.Message = rec.Check.Reason
		} else {
			rec.Catalog = catalog.utc()
			event.Message = fmt.Sprintf("catalog %d", catalog.Number)
		}
		return []Event{event}, nil
	})
	if err == nil {
		err = failure
	}
	return rec, err
}

// heed remembers when the feed wants to be asked again, if it says that.
func (s *Service) heed(unread error) {
	if said, is := errors.AsType[*UnavailableError](unread); is {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.later = time.Now().Add(min(said.After, longestPause))
	}
}

// admits returns why a verified catalog is none for this device now.
func (s *Service) admits(rec Record, c Catalog) error {
	if c.Product != s.config.Product {
		return fmt.Errorf("%w: a catalog of product %q", ErrMismatch, cut(c.Product, maxName))
	}
	if rec.Catalog.Number >= c.Number {
		rec.Catalog.Issued = time.Time{} // it is that of a thief whose number is forgotten
	}
	return s.unexpired(rec, "catalog", c.Issued, c.Expires)
}

// stillGood returns why the catalog as last verified counts no more.
func (s *Service) stillGood(rec Record) error {
	if rec.Catalog.Number == 0 {
		return nil
	}
	return s.admits(rec, rec.Catalog)
}

// unexpired compares a date with the latest moment that is known to have been:
// a device without a clock begins in 1970.
func (s *Service) unexpired(rec Record, what string, issued, expires time.Time) error {
	now := built.Now()
	for _, known := range []time.Time{rec.Catalog.Issued, issued} {
		// A clock that works knows better than that of a publisher.
		if known.After(now) && (!clockWorks() || known.Sub(now) <= 24*time.Hour) {
			now = known
		}
	}
	if !expires.IsZero() && now.After(expires) {
		return fmt.Errorf("%w: the %s, on %s", ErrExpired, what, expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// clockWorks reports whether the wall clock can be right: that of a device
// without one begins long ago.
func clockWorks() bool {
	now := time.Now()
	return now.Year() >= 2025 && !now.Before(built.At())
}

// fetch reads a small object as a whole, of at most so many bytes.
func (s *Service) fetch(ctx context.Context, name string, most int64) ([]byte, error) {
	guard := newGuard(ctx, s.config.Stall)
	defer guard.stop()
	patience := 10*s.config.Stall + time.Duration(most>>10)*time.Second/10
	body, err := s.config.Feed.Get(guard.ctx, name, 0, -1)
	if err != nil {
		return nil, guard.reason(named(name, err))
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(guard.reader(body, patience, s.config.Rate), most+1))
	switch {
	case err != nil:
		return nil, guard.reason(fmt.Errorf("%w: object %q: %w", ErrUnavailable, name, err))
	case int64(len(raw)) > most:
		return nil, fmt.Errorf("%w: object %q has more than %d bytes", ErrCorrupt, name, most)
	}
	return raw, nil
}
