package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/static"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func TestARestartGoesOnWithTheRoll(t *testing.T) {
	var versions []string
	for _, text := range []string{"v1", "v2"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
		defer s.Close()
		versions = append(versions, s.URL)
	}
	database := filepath.Join(t.TempDir(), "roll.db")
	strategy := rollout.Strategy{MinReady: time.Millisecond, Steps: []rollout.Step{
		{Percent: 50, Hold: -1, Manual: true}, {Percent: 100, Hold: -1},
	}}
	// until serves until a line is printed, and returns all lines and what a
	// client got then.
	until := func(last string) (lines []string, got string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		reader, writer := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			ended <- serve(ctx, writer, database, l, versions, strategy)
			_ = writer.Close()
		}()
		printed := bufio.NewScanner(reader)
		for printed.Scan() {
			if lines = append(lines, printed.Text()); printed.Text() == last {
				break
			}
		}
		reply, err := http.Get("http://" + l.Addr().String())
		require.NoError(t, err)
		text, err := io.ReadAll(reply.Body)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		stop()
		_, _ = io.Copy(io.Discard, reader)
		require.NoError(t, <-ended)
		return lines, string(text)
	}
	first, got := until("paused, step 0, v1 50 v2 50: the step waits for Resume or Promote")
	require.Contains(t, []string{"v1", "v2"}, got)
	promote(t, database)
	second, got := until("succeeded, v2 100")
	require.Equal(t, "v2", got)
	require.Contains(t, strings.Join(second, "\n"), strings.Join(first, "\n"), "it is the same run")
	require.Contains(t, strings.Join(second, "\n"), "taken up: ")
}

// promote does what an operator would.
func promote(t *testing.T, database string) {
	db, err := sqlite.Open(sqlite.Config{Path: database})
	require.NoError(t, err)
	defer db.Close()
	c, err := rollout.New(rollout.Config{Store: db, Deployer: static.New(static.Config{}), Router: traffic.New(traffic.Config{})})
	require.NoError(t, err)
	defer c.Close()
	for run, err := range c.History(t.Context(), rollout.Query{Live: true}) {
		require.NoError(t, err)
		require.NoError(t, c.Promote(t.Context(), run.ID, rollout.By{}))
	}
}
