package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServersThatStartAtOnceHaveTheSameCredentials(t *testing.T) {
	for range 20 {
		state := t.TempDir()
		var all [8]credentials
		var first [8]bool
		var errs [8]error
		var work sync.WaitGroup
		for i := range all {
			work.Go(func() { all[i], first[i], errs[i] = loadCredentials(state, "127.0.0.1:1") })
		}
		work.Wait()
		made := 0
		for i := range all {
			require.NoError(t, errs[i])
			require.Equal(t, all[0], all[i])
			if first[i] {
				made++
			}
		}
		require.Equal(t, 1, made, "who made them shows them")
		kept, again, err := loadCredentials(state, "127.0.0.1:1")
		require.NoError(t, err)
		require.False(t, again)
		require.Equal(t, all[0], kept)
		files, err := os.ReadDir(state)
		require.NoError(t, err)
		require.Len(t, files, 1)
	}
}

func TestAnOlderFileGetsWhatItLacks(t *testing.T) {
	state := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(state, "credentials.json"), []byte(`{"addr": "x:1", "api_token": "kept"}`), 0o600))
	first, made, err := loadCredentials(state, "127.0.0.1:1")
	require.NoError(t, err)
	require.False(t, made)
	require.Equal(t, "kept", first.APIToken)
	require.Equal(t, "127.0.0.1:1", first.Addr)
	require.NotEmpty(t, first.AuthKey)
	second, _, err := loadCredentials(state, "127.0.0.1:1")
	require.NoError(t, err)
	require.Equal(t, first, second)
}

func TestCredentialsThatSayTheSameAreNotWrittenAgain(t *testing.T) {
	state := t.TempDir()
	file := func() os.FileInfo {
		info, err := os.Stat(filepath.Join(state, "credentials.json"))
		require.NoError(t, err)
		return info
	}
	load := func(addr string) {
		_, _, err := loadCredentials(state, addr)
		require.NoError(t, err)
	}
	load("127.0.0.1:1")
	made := file()
	load("127.0.0.1:1")
	require.True(t, os.SameFile(made, file()), "there may be no room for another")
	load("127.0.0.1:2")
	require.False(t, os.SameFile(made, file()))
}

func TestASecondServerOnAFolderIsRefused(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c, _, stop := start(t, options{state: state})
	ctx, cancel := context.WithTimeout(t.Context(), waitAtMost)
	defer cancel()
	err := serve(ctx, options{state: state, addr: "127.0.0.1:0", still: true, deviceOptions: asleep}, writer(cancel), io.Discard)
	require.ErrorContains(t, err, "another server")
	keys, _, err := loadCredentials(state, c.keys.Addr)
	require.NoError(t, err)
	require.Equal(t, c.keys, keys, "commands still find the first")
	stop()
	_, _, stop = start(t, options{state: state})
	stop()
}

func TestTheServerLogsItsStartAndItsEnd(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log bytes.Buffer
	require.NoError(t, serve(ctx, options{state: t.TempDir(), addr: "127.0.0.1:0", still: true, deviceOptions: asleep}, writer(stop), &log))
	require.Regexp(t, `level=INFO msg="server: started" addr=127.0.0.1:\d+ state=`, log.String())
	require.Contains(t, log.String(), `level=INFO msg="server: stopped"`)
}

// writer calls itself.
type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

func TestTheCredentialsAreShownBeforeAnythingIsInstalled(t *testing.T) {
	state := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var installed []error // nil where it was, at each line that is shown
	shown := writer(func() {
		_, err := os.Stat(filepath.Join(state, "site", "public"))
		installed = append(installed, err)
		stop()
	})
	require.NoError(t, serve(ctx, options{state: state, addr: "127.0.0.1:0", still: true, deviceOptions: asleep}, shown, io.Discard))
	require.NotEmpty(t, installed)
	require.NotContains(t, installed, nil)
}
