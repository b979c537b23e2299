package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoNewDatabaseIsMadeForAServerThatHadOne(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			_, _, stop := start(t, options{state: state})
			stop()
			path := filepath.Join(state, "upkeep.db")
			require.NoError(t, lose(path))
			before, _ := os.Stat(path)
			err := serve(t.Context(), options{state: state, addr: "127.0.0.1:0", still: true, deviceOptions: asleep}, io.Discard, io.Discard)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "credentials.json")
			after, _ := os.Stat(path)
			require.Equal(t, before == nil, after == nil, "nothing is made")
			require.NoError(t, os.Remove(filepath.Join(state, "credentials.json")))
			_, _, stop = start(t, options{state: state})
			stop()
		})
	}
}

func TestAServerThatDidNotGetFarStartsAgain(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	db, err := openDatabase(state) // and no further
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, _, stop := start(t, options{state: state})
	stop()
}
