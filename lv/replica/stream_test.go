package replica_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
)

func TestAnEventComesBackAsItWasSent(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	for name, e := range map[string]lv.Event{
		"a release": {
			Seq: 7, Time: at, Table: banners, Kind: lv.EventReleased, Env: "g", Release: 1 << 60, Actor: "操作人",
			Rows: []lv.Moved{
				{Row: "a/😀", From: 1, To: 1 << 60, Content: json.RawMessage(`{"n":9007199254740993.10}`), CreatedAt: at, UpdatedAt: at.Add(time.Hour)},
				{Row: "gone", From: 2, To: 3, CreatedAt: at, UpdatedAt: at},
				{Row: "nothing", To: 4, Content: json.RawMessage(`null`), CreatedAt: at, UpdatedAt: at},
				{Row: "reset", From: 3},
			},
		},
		"a strategy": {
			Seq: 8, Time: at, Table: banners, Kind: lv.EventStrategy, Rows: []lv.Moved{{Row: "a", To: 1, Content: json.RawMessage(`{}`), CreatedAt: at, UpdatedAt: at}},
			Strategy: &lv.Strategy{
				ID: 1, Title: "t", Row: "a", Target: 1, Priority: -5, Disabled: true, Rev: 2, Seq: 8, Deleted: true, Extra: json.RawMessage(`{"stage":0}`),
				Rules: lv.Rules{{Type: "or", Rules: []lv.Rule{
					{Field: "x", Relation: lv.RelationIn, Value: []string{"a"}}, {Field: "x", Relation: "near", Value: json.Number("1.50")},
					{Relation: lv.RelationPercent, Value: lv.Percentage{Percent: 0.01, By: "b", Seed: "s"}},
				}}},
			},
		},
	} {
		text, err := json.Marshal(wire.EventOf(e))
		require.NoError(t, err)
		var seen []lv.Event
		err = replica.ReadEvents(strings.NewReader(fmt.Sprintf(": sign of life\n\nid: 7\nevent: released\ndata: %s\n\n", text)),
			func(e lv.Event) bool { seen = append(seen, e); return true })
		require.ErrorContains(t, err, "ended")
		require.Equal(t, []lv.Event{e}, seen, name)
	}
}

func TestTheFeedIsReadInAnyForm(t *testing.T) {
	read := func(text string) (seqs []int64, err error) {
		err = replica.ReadEvents(strings.NewReader(text), func(e lv.Event) bool {
			seqs = append(seqs, e.Seq)
			return e.Seq < 3
		})
		return seqs, err
	}
	seqs, err := read("data:{\"seq\":1,\r\ndata: \"release\":5}\r\n\r\nretry: 9\nunknown\n\ndata: {\"seq\":2}\n\ndata: {\"seq\":3}\n\ndata: {\"seq\":4}\n\n")
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3}, seqs, "until the reader has enough")
	seqs, err = read("data: {\"seq\":1}\n\ndata: {\"seq\":2}\n")
	require.Error(t, err)
	require.Equal(t, []int64{1}, seqs, "half an event is none")
	seqs, err = read("id: 1\n\n: sign of life\n\nid: 2\nevent: released\ndata: {\"seq\":2}\n\nid: x\n\nid: 3\n\n")
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3}, seqs, "an id alone says how far the feed is")
	_, err = read("event: compacted\ndata: {\"after\":1}\n\n")
	require.ErrorIs(t, err, lv.ErrCompacted)
	_, err = read("data: {\"seq\":\"x\"}\n\n")
	require.ErrorContains(t, err, "reading an event")
}

func FuzzReadEvents(f *testing.F) {
	f.Add([]byte("id: 1\nevent: released\ndata: {\"seq\":1,\"rows\":[{\"object_id\":\"a\",\"to\":\"2\",\"content\":{}}]}\n\n"))
	f.Add([]byte(":\n\nevent: compacted\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		err := replica.ReadEvents(bytes.NewReader(text), func(e lv.Event) bool {
			sent, err := json.Marshal(wire.EventOf(e))
			if err != nil {
				return true // such as a year beyond 9999
			}
			var again wire.Event
			require.NoError(t, json.Unmarshal(sent, &again))
			return true
		})
		require.Error(t, err)
	})
}

func TestAFeedThatEndsAfterAnEventIsOpenedAgainSoon(t *testing.T) {
	s := serve(t)
	s.fill()
	file := filepath.Join(t.TempDir(), "state")
	kept := s.follower(file)
	stop := run(t, kept)
	s.requireSame(kept)
	stop()
	info, err := s.table.Snapshot(t.Context())
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		feeds, seq, log := 0, info.After, new(lines)
		r, err := replica.New(replica.Config{
			Logger: slog.New(slog.NewTextHandler(log, nil)), URL: "http://server.invalid", Table: banners, File: file,
			Client: &http.Client{Transport: answers{"changes": func() (*http.Response, error) {
				feeds++
				seq++
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{wire.HistoryHeader: {info.History}},
					Body: io.NopCloser(strings.NewReader(fmt.Sprintf("id: %d\n\n", seq))),
				}, nil
			}}},
		})
		require.NoError(t, err)
		go r.Run(t.Context())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Greater(t, feeds, 50)
		require.Equal(t, feeds, strings.Count(log.String(), "lost its server"), "it was back each time")
		require.Equal(t, seq, r.Status().Seq)
	})
}
