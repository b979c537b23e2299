package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func page(rows *replica.Replica, query string) string {
	w := httptest.NewRecorder()
	show(rows)(w, httptest.NewRequest(http.MethodGet, "/?"+query, nil))
	return w.Body.String()
}

func TestTheRowsOutliveTheServer(t *testing.T) {
	service, err := lv.New(lv.Config{Store: memory.New()})
	require.NoError(t, err)
	defer service.Close()
	table, ctx, by := service.Table("demo", "site"), t.Context(), lv.By{Actor: "ann"}
	api, err := httpadapter.New(httpadapter.Config{
		LV: service, Auth: httpadapter.Secrets{"key": {ID: "id", Role: httpadapter.Reader, Scopes: []string{"demo"}}},
	})
	require.NoError(t, err)
	server := httptest.NewServer(api)
	defer server.Close()
	_, err = table.Save(ctx, "top", []byte(`"old"`), by)
	require.NoError(t, err)
	_, err = table.Publish(ctx, lv.Production, by, "top")
	require.NoError(t, err)

	dir := t.TempDir()
	credentials, file := filepath.Join(dir, "credentials.json"), filepath.Join(dir, "rows.json")
	text, err := json.Marshal(map[string]string{
		"addr": strings.TrimPrefix(server.URL, "http://"), "appid": "demo", "schemaid": "site", "authkey": "key",
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(credentials, text, 0o600))
	rows, err := follow(credentials, file)
	require.NoError(t, err)
	following, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- rows.Run(following) }()
	shows := func(query, want string) {
		t.Helper()
		require.Eventually(t, func() bool { return page(rows, query) == want }, 3*time.Minute, time.Millisecond, want)
	}
	shows("", "top \"old\"\nconnected to the server\n")

	next, err := table.Save(ctx, "top", []byte(`"new"`), by)
	require.NoError(t, err)
	_, err = table.SaveStrategy(ctx, lv.Strategy{Title: "some", Target: next.ID, Rules: lv.Rules{
		{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "Hello"},
	}}, by)
	require.NoError(t, err)
	shows("env.content=Hello", "top \"new\"\nconnected to the server\n")
	shows("", "top \"old\"\nconnected to the server\n")

	server.CloseClientConnections()
	server.Close()
	shows("", "top \"old\"\nthe server is away\n")
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
	rows, err = follow(credentials, file)
	require.NoError(t, err)
	require.Equal(t, "top \"new\"\nthe server is away\n", page(rows, "env.content=Hello"))
}
