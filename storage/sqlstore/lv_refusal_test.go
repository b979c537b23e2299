package sqlstore_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func last[T any](all func(func(T, error) bool)) (err error) {
	for _, err = range all {
	}
	return err
}

func TestARefusalIsAboutTheRequestAndAFaultSaysWhatWasDone(t *testing.T) {
	s, v := openFields(t)
	release := func(r lv.Release) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.PutRelease(ctx, fieldsTable, r, lv.By{})
			return err
		}
	}
	none := lv.VersionID(0)
	for want, call := range map[error]func(context.Context) error{
		lv.ErrStale: func(ctx context.Context) error {
			_, err := s.Write(ctx, fieldsTable, []lv.Edit{{Op: lv.OpForget, Version: v[1].ID}}, lv.By{})
			return err
		},
		lv.ErrConflict: func(ctx context.Context) error {
			_, err := s.Write(ctx, fieldsTable, []lv.Edit{{Op: lv.OpDelete, Row: "a", Expect: &none}}, lv.By{})
			return err
		},
		lv.ErrInvalid:   release(lv.Release{State: lv.ReleaseApplied}),
		lv.ErrNotFound:  release(lv.Release{State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", To: math.MaxInt64}}}),
		lv.ErrCompacted: func(ctx context.Context) error { return last(s.Watch(ctx, math.MaxInt64)) },
	} {
		err := call(t.Context())
		require.ErrorIs(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), "lv: "), "%v", err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	for doing, err := range map[string]error{
		"putting a release": release(lv.Release{State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", Working: true}}})(ctx),
		"reading versions":  last(s.Versions(ctx, fieldsTable, lv.Query{})),
		"reading releases":  last(s.Releases(ctx, fieldsTable, lv.Query{ID: 1})),
		"reading rows":      last(s.Rows(ctx, fieldsTable, lv.View{})),
		"watching events":   last(s.Watch(ctx, 0)),
	} {
		require.ErrorContains(t, err, doing+": ")
	}
}
