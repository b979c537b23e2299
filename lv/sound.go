package lv

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"unicode/utf8"
)

// What a store hands out passes here. A content that is no JSON would spoil
// every list that it is in for whoever sends that on, so it counts as damaged
// even if the store does not say so; and what is damaged is logged, once by
// each Service.

// isContent reports whether an error is about one content: a list goes on.
func isContent(err error) bool {
	if err == nil {
		return false
	}
	_, is := errors.AsType[*CorruptError](err)
	return is
}

func isJSON(content json.RawMessage) bool { return utf8.Valid(content) && isValid(content) }

// note logs a damaged content, if that is what the error is.
func (s *Service) note(ctx context.Context, err error) {
	if err == nil {
		return
	}
	damaged, is := errors.AsType[*CorruptError](err)
	if !is {
		return
	}
	if _, known := s.noted.LoadOrStore(*damaged, true); !known {
		s.config.Logger.ErrorContext(ctx, "lv: a content is damaged", "app", damaged.Table.App, "schema", damaged.Table.Schema,
			"row", damaged.Row, "version", damaged.Version)
	}
}

// sound is Rows of the store.
func (t *Table) sound(ctx context.Context, v View) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for row, err := range t.service.config.VersionStore.Rows(ctx, t.ID, v) {
			row.Corrupt = isContent(err) || err == nil && row.Content != nil && !isJSON(row.Content)
			if row.Corrupt {
				row.Content, err = nil, t.damaged(row)
			}
			t.service.note(ctx, err)
			if !yield(row, err) {
				return
			}
		}
	}
}

// soundVersions is Versions of the store.
func (t *Table) soundVersions(ctx context.Context, q Query) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		for v, err := range t.service.config.VersionStore.Versions(ctx, t.ID, q) {
			if isContent(err) || err == nil && v.Content != nil && !isJSON(v.Content) {
				v.Content, err = nil, &CorruptError{Table: t.ID, Row: v.Row, Version: v.ID}
			}
			t.service.note(ctx, err)
			if !yield(v, err) {
				return
			}
		}
	}
}

// soundEvents is Watch of the store.
func (s *Service) soundEvents(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for e, err := range s.config.VersionStore.Watch(ctx, after) {
			for i := range e.Rows {
				c := &e.Rows[i]
				if c.Content != nil && !isJSON(c.Content) {
					c.Corrupt = true
				}
				if c.Corrupt {
					c.Content = nil
					s.note(ctx, &CorruptError{Table: e.Table, Row: c.Row, Version: c.To})
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
