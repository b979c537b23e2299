package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
)

func TestARegionIsWrittenInPlaceAndDoesNotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot")
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	r, err := durable.OpenRegion(path, true)
	require.NoError(t, err)
	require.Equal(t, int64(10), r.Size())
	_, err = r.WriteAt([]byte("abc"), 7)
	require.NoError(t, err)
	for _, at := range []int64{-1, 8, 10, 1 << 62} {
		_, err = r.WriteAt([]byte("xyz"), at)
		require.ErrorContains(t, err, "do not fit", at)
	}
	p := make([]byte, 4)
	_, err = r.ReadAt(p, 6)
	require.NoError(t, err)
	require.Equal(t, "6abc", string(p))
	require.NoError(t, r.Sync())
	require.NoError(t, r.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "0123456abc", string(data))
}

func TestARegionIsAFileOrABlockDevice(t *testing.T) {
	dir := t.TempDir()
	_, err := durable.OpenRegion(dir, false)
	require.ErrorContains(t, err, "neither a file nor a block device")
	_, err = durable.OpenRegion(os.DevNull, false)
	require.ErrorContains(t, err, "neither a file nor a block device")
	_, err = durable.OpenRegion(filepath.Join(dir, "missing"), false)
	require.ErrorIs(t, err, os.ErrNotExist)
}
