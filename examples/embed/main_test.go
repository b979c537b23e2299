package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePagesArePublishedOnce(t *testing.T) {
	dir := t.TempDir()
	database, folder := filepath.Join(dir, "upkeep.db"), filepath.Join(dir, "public")
	require.NoError(t, publish(t.Context(), database, folder))
	page, err := os.ReadFile(filepath.Join(folder, "index.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "1.1.0")
	require.NoError(t, publish(t.Context(), database, folder), "it is up to date")
}
