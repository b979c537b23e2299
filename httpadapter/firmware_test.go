package httpadapter_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage/memory"
)

const updateStatus = "/api/update/status"

// The principal of a table may have no id: then nobody has both cookies.
func TestTheFirmwareStatusNeedsBothCookiesOnce(t *testing.T) {
	g := newGadget(memory.New(), "1.0.0")
	adapter, err := httpadapter.New(httpadapter.Config{
		Firmware: g.start(t), Logger: quiet,
		Auth: httpadapter.Secrets{"sid": {ID: "uid", Role: httpadapter.Reader}, "bare": {Role: httpadapter.Admin}},
	})
	require.NoError(t, err)
	s := &site{t: t, mux: http.NewServeMux(), adapter: adapter}
	adapter.Register(s.mux)
	for cookies, status := range map[string]int{
		"mwcloud-sid=sid; mwcloud-uid=uid":                   200,
		"mwcloud-uid=uid; mwcloud-sid=sid; other=x; other=y": 200,
		"mwcloud-sid=bare":                                   401,
		"mwcloud-sid=bare; mwcloud-uid=":                     401,
		"mwcloud-sid=bare; mwcloud-uid=uid":                  401,
		"mwcloud-sid=sid; mwcloud-sid=evil; mwcloud-uid=uid": 401,
		"mwcloud-sid=sid; mwcloud-sid=sid; mwcloud-uid=uid":  401,
		"mwcloud-sid=sid; mwcloud-uid=uid; mwcloud-uid=evil": 401,
		"mwcloud-sid=sid; mwcloud-uid=UID":                   401,
		"MWCLOUD-SID=sid; mwcloud-uid=uid":                   401,
	} {
		r := s.send("GET", updateStatus, "", header("Cookie", cookies))
		require.Equal(t, status, r.StatusCode, "%s: %s", cookies, r.text)
	}
	require.Equal(t, http.StatusUnauthorized, s.send("GET", updateStatus, "", as("sid")).StatusCode, "a bearer token is none here")
	r := s.send("GET", "/upkeep/v1/firmware/runs", "", header("Cookie", "mwcloud-sid=sid; mwcloud-uid=uid"))
	require.Equal(t, http.StatusUnauthorized, r.StatusCode, "and no cookie there")
}
