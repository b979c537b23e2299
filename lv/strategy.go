package lv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Strategy shows a version of one row to the visitors that its rules match.
// Of those that match, the highest Priority wins, then the newest. It shows
// it in Production and in every gray; a deletion hides the row.
type Strategy struct {
	ID       int64
	Title    string
	Row      string // the row of Target; set by the store
	Target   VersionID
	Priority int64 // default Target
	Disabled bool
	Rules    Rules           // required, never empty
	Extra    json.RawMessage // fields of the document that are kept and not read
	By       By              // who saved or deleted it, and why; set by the store, and not known to a replica
	Rev      int64
	Seq      int64 // of the event that saved it
	Deleted  bool
	// Corrupt is set if the strategy cannot be read: all but ID, Target,
	// Priority, Rev and Seq is left out, and nobody matches it. To save it
	// anew, or to delete it, takes its place.
	Corrupt bool
}

// Match reports whether the rules match a visitor as the Service asks them:
// percentages without a seed use the ID. It compiles them anew each time.
func (s Strategy) Match(a Attributes) bool {
	match, err := s.compile()
	return err == nil && match(a)
}

// compile returns the rules as they are asked.
func (s Strategy) compile() (matcher, error) {
	if s.Corrupt {
		return nil, fmt.Errorf("%w: strategy %d", ErrCorrupt, s.ID)
	}
	return s.Rules.compile(strconv.FormatInt(s.ID, 10))
}

// Strategies returns the strategies in the order in which they are tried.
func (t *Table) Strategies(ctx context.Context) ([]Strategy, error) {
	info, err := t.info(ctx)
	return info.Strategies, err
}

// SaveStrategy creates a strategy, or replaces the one with its ID if Rev
// still is the stored one; else ErrStale. It returns once readers see it.
func (t *Table) SaveStrategy(ctx context.Context, s Strategy, by By) (Strategy, error) {
	if err := s.check(); err != nil {
		return Strategy{}, err
	}
	s.Deleted, s.Corrupt = false, false
	return t.putStrategy(ctx, s, by)
}

func (s Strategy) check() error {
	if err := checkName("title", s.Title); err != nil {
		return err
	}
	if len(s.Extra) > maxRulesText {
		return fmt.Errorf("%w: %d bytes of extra fields, at most %d", ErrInvalid, len(s.Extra), maxRulesText)
	}
	if s.Extra != nil {
		if _, err := Canonical(s.Extra); err != nil {
			return err
		}
	}
	return s.Rules.Check()
}

// DeleteStrategy deletes a strategy. One that is gone is not an error.
func (t *Table) DeleteStrategy(ctx context.Context, id int64, by By) error {
	if err := t.service.writable(); err != nil {
		return err
	}
	for {
		s, err := t.StrategyByID(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		s.Deleted = true
		_, err = t.putStrategy(ctx, s, by)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case !errors.Is(err, ErrStale) || by.RequestID != "":
			return err
		}
		// Somebody has saved it since we looked: look again.
	}
}

func (t *Table) putStrategy(ctx context.Context, s Strategy, by By) (put Strategy, err error) {
	err = t.writes(ctx, by, func(ctx context.Context) (int64, error) {
		put, err = t.service.config.VersionStore.PutStrategy(ctx, t.ID, s, by)
		if err == nil {
			t.logStrategy(ctx, put, by)
		}
		return put.Seq, err
	})
	return put, err
}
