package lv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestAnEngineIsPassedAsItIsAndItsPartsGoFirst(t *testing.T) {
	_, err := lv.New(lv.Config{})
	require.ErrorIs(t, err, lv.ErrInvalid)
	require.ErrorContains(t, err, "Config.Store")
	require.ErrorContains(t, err, "Config.VersionStore")

	engine, other := memory.New(), memory.New()
	saves := func(c lv.Config) {
		t.Helper()
		s, err := lv.New(c)
		require.NoError(t, err)
		defer s.Close()
		_, err = s.Table("app", "banners").Save(t.Context(), "a", page("1"), ada)
		require.NoError(t, err)
	}
	has := func(db *memory.DB) (tables int) {
		for _, err := range db.Versions().Tables(t.Context()) {
			require.NoError(t, err)
			tables++
		}
		return tables
	}
	saves(lv.Config{Store: engine, VersionStore: other.Versions()})
	require.Equal(t, []int{0, 1}, []int{has(engine), has(other)})
	saves(lv.Config{Store: engine})
	require.Equal(t, []int{1, 1}, []int{has(engine), has(other)})
}
