package lv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestARefusalNamesTheFieldAfterThePackage(t *testing.T) {
	s, ctx := newSite(t), t.Context()
	good, nameless := lv.Edit{Op: lv.OpSave, Row: "a", Content: page("1")}, lv.Edit{Op: lv.OpSave, Content: page("1")}
	for want, call := range map[string]func() error{
		"lv: invalid request: the row is missing":                 func() error { _, err := s.Save(ctx, "", page("1"), ada); return err },
		"lv: invalid request: the row of edit 1 is missing":       func() error { _, err := s.Edit(ctx, ada, good, nameless); return err },
		"lv: invalid request: content is not UTF-8":               func() error { _, err := s.Save(ctx, "a", []byte("\xff"), ada); return err },
		`lv: invalid request: there is no operation "" of edit 0`: func() error { _, err := s.Edit(ctx, ada, lv.Edit{}, good); return err },
		"lv: not found: version 99":                               func() error { _, err := s.Restore(ctx, 99, ada); return err },
		`lv: not found: row "none"`:                               func() error { _, err := s.Delete(ctx, "none", ada); return err },
		"lv: invalid request: no rows":                            func() error { _, err := s.Publish(ctx, lv.Production, ada); return err },
		"lv: invalid request: the actor is missing":               func() error { _, err := s.Draft(ctx, lv.Release{}, lv.By{}); return err },
	} {
		require.EqualError(t, call(), want)
	}
}
