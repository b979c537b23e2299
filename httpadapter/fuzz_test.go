package httpadapter_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

const updateContract = "testdata/contract/000-wncms-update.json"

const rowsContract = "testdata/contract/002-wuji-row-versions.json"

// contractRequests returns the requests of a contract's cases.
func contractRequests(t testing.TB, file string) []contractRequest {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var c corpus
	require.NoError(t, json.Unmarshal(text, &c))
	var requests []contractRequest
	for _, raw := range c.Cases {
		var one contractCase
		require.NoError(t, json.Unmarshal(raw, &one))
		requests = append(requests, *one.Request)
	}
	return requests
}

// contractBodies returns the bodies of a contract's cases.
func contractBodies(t testing.TB, file string) []string {
	var bodies []string
	for _, r := range contractRequests(t, file) {
		switch {
		case r.BodyRaw != nil:
			bodies = append(bodies, *r.BodyRaw)
		case len(r.Body) > 0:
			bodies = append(bodies, string(r.Body))
		}
	}
	return bodies
}

// Whatever the bytes, the routes about updates answer in their envelope. They
// do nothing for who may only look, and nothing but what there is for who may
// do everything.
func FuzzUpdate(f *testing.F) {
	for _, body := range contractBodies(f, updateContract) {
		f.Add(body, "application/json")
		f.Add(strings.NewReplacer("admin-api-token-here", admin, "your-api-token-here", reader, "wncms/wncms", pkg).Replace(body), "")
	}
	f.Add("api_token="+admin+"&package=demo/site&version=1.0.0", "application/x-www-form-urlencoded")
	f.Add("api_token="+reader+"&itemId=core", "application/x-www-form-urlencoded; charset=utf-8")
	f.Add(`{"package":"demo/site","version":">=1 <2 || ^2","allow_downgrade":true,"allow_prerelease":true,"request_id":"r1"}`, "text/plain")
	f.Add(`{"token":1,"reason":"x"}`, "text/plain")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		for token, may := range map[string]bool{reader: false, admin: true} {
			s := hostileSite(t, nil)
			before := len(s.history(t))
			for _, target := range s.targets() {
				if target.API != httpadapter.UpdateAPI || target.body == "" {
					continue
				}
				r := target.good().with("Content-Type", contentType)
				r.body = body
				if target.own {
					r = r.with("Authorization", "Bearer "+token)
				} else if !may {
					r.body = strings.ReplaceAll(body, admin, reader)
				}
				require.NoError(t, s.strike(t, target, input{request: r}, reply{}), "%s %s", target.Pattern, body)
			}
			for _, run := range s.history(t)[before:] {
				require.True(t, may, "a reader starts nothing")
				require.Equal(t, pkg, run.Package)
				require.Contains(t, []string{"", "1.0.0", "1.1.0", "2.0.0-rc.1"}, run.Version)
			}
		}
	})
}
