package httpadapter_test

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

const updateContract = "testdata/contract/000-wncms-update.json"

// contractBodies returns the bodies of a contract's cases.
func contractBodies(t testing.TB, file string) []string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var c corpus
	require.NoError(t, json.Unmarshal(text, &c))
	var bodies []string
	for _, raw := range c.Cases {
		var one contractCase
		require.NoError(t, json.Unmarshal(raw, &one))
		switch r := one.Request; {
		case r.BodyRaw != nil:
			bodies = append(bodies, *r.BodyRaw)
		case len(r.Body) > 0:
			bodies = append(bodies, string(r.Body))
		}
	}
	return bodies
}

// What scan takes is what encoding/json takes, less what parsers read
// differently: then both read the same.
func FuzzScan(f *testing.F) {
	for _, body := range contractBodies(f, updateContract) {
		f.Add([]byte(body))
	}
	for _, body := range hostileBodies {
		f.Add([]byte(body.make(`{"a":"\u00e9\ud83d\ude00","b":[1,-2.5e3,null,true]}`)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if httpadapter.Scan(text) != nil {
			return
		}
		var want, got map[string]json.RawMessage
		err := json.Unmarshal(text, &want)
		if err != nil {
			require.True(t, json.Valid(text), "%q", text)
			return
		}
		again, err := json.Marshal(want)
		require.NoError(t, err)
		require.NoError(t, httpadapter.Scan(again), "what encoding/json makes of it is good too")
		require.NoError(t, json.Unmarshal(again, &got))
		require.Len(t, got, len(want), "no name was there twice")
		require.NotPanics(t, func() { _ = httpadapter.Bind(text, new(shape)) })
		var exact struct {
			Name string `json:"name"`
		}
		if httpadapter.Bind(text, &exact) == nil && exact.Name != "" {
			var name string
			require.NoError(t, json.Unmarshal(want["name"], &name))
			require.Equal(t, name, exact.Name)
		}
	})
}

// Whatever the bytes, the documented routes answer in their envelope, and do
// nothing for who has no token.
func FuzzUpdate(f *testing.F) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Logins = -1 }}).open(f)
	paths := []string{"/api/v1/update", "/api/v1/update/progress", runs, runs + "/x/cancel", "/upkeep/v1/updates/locks/x/break"}
	for _, body := range contractBodies(f, updateContract) {
		f.Add(body, "application/json", "package=x")
	}
	f.Add("api_token="+reader+"&itemId=core", "application/x-www-form-urlencoded", "")
	f.Add(`{"api_token":"`+reader+`","itemId":"core"}`, "", "")
	f.Add(`{"token":1,"reason":"x"}`, "text/plain", "after=1")
	f.Fuzz(func(t *testing.T, body, contentType, query string) {
		for _, path := range paths {
			r := s.send("POST", path, body, as(reader), func(r *http.Request) {
				r.Header.Set("Content-Type", contentType)
				r.URL.RawQuery = query
			})
			require.Less(t, r.StatusCode, 500, r.text)
			checkEnvelope(t, path, r)
		}
		for _, path := range []string{runs, "/upkeep/v1/updates/plan"} {
			r := s.send("GET", path, "", as(admin), func(r *http.Request) { r.URL.RawQuery = query })
			require.Less(t, r.StatusCode, 500, r.text)
			checkEnvelope(t, path, r)
		}
		require.Empty(t, s.history(t))
	})
}
