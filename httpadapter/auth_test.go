package httpadapter_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

func TestSecretsFindTheirPrincipal(t *testing.T) {
	secrets := httpadapter.Secrets{
		"admin-secret": {ID: "ann", Role: httpadapter.Admin},
		"user-secret":  {ID: "rob", Role: httpadapter.Reader},
		"mixed-secret": {ID: "mia", Role: httpadapter.Reader, Roles: map[httpadapter.API]httpadapter.Role{
			httpadapter.UpdateAPI: httpadapter.Admin, "lv": httpadapter.Nobody,
		}},
	}
	tests := []struct {
		name, secret string
		api          httpadapter.API
		needs        httpadapter.Role
		id           string
		err          error
	}{
		{"an administrator may change", "admin-secret", httpadapter.UpdateAPI, httpadapter.Admin, "ann", nil},
		{"a role includes those below", "admin-secret", httpadapter.UpdateAPI, httpadapter.Reader, "ann", nil},
		{"a reader may look", "user-secret", httpadapter.UpdateAPI, httpadapter.Reader, "rob", nil},
		{"a reader may not change", "user-secret", httpadapter.UpdateAPI, httpadapter.Editor, "", httpadapter.ErrForbidden},
		{"a role of an API goes before the other", "mixed-secret", httpadapter.UpdateAPI, httpadapter.Admin, "mia", nil},
		{"and counts only there", "mixed-secret", "sync", httpadapter.Editor, "", httpadapter.ErrForbidden},
		{"and may be less", "mixed-secret", "lv", httpadapter.Reader, "", httpadapter.ErrForbidden},
		{"no secret", "", httpadapter.UpdateAPI, httpadapter.Reader, "", httpadapter.ErrNoCredential},
		{"another last byte", "admin-secreT", httpadapter.UpdateAPI, httpadapter.Reader, "", httpadapter.ErrBadCredential},
		{"a prefix", "admin-secre", httpadapter.UpdateAPI, httpadapter.Reader, "", httpadapter.ErrBadCredential},
		{"more at the end", "admin-secret ", httpadapter.UpdateAPI, httpadapter.Reader, "", httpadapter.ErrBadCredential},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := httpadapter.Credential{API: tt.api, Secret: tt.secret}
			p, err := secrets.Authenticate(t.Context(), c, tt.needs)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.id, p.ID)
		})
	}
}

// ask sends to every route what it needs, with a token of its kind or none.
func (s *site) ask(r httpadapter.Route, method, token string, prepare ...func(*http.Request)) reply {
	path := wildcard.ReplaceAllString(r.Pattern, "x")
	if r.API == httpadapter.LVAPI {
		path += "?appid=app&schemaid=empty"
		prepare = append(prepare, header("Staffname", "操作人"))
	}
	if documentsRows(r.Pattern) && token != "" {
		id := map[string]string{admin: "ann", reader: "rob"}[token]
		path += "&authid=" + cmp.Or(id, "nobody") + "&authkey=" + token
	}
	if r.Pattern == updateStatus && token != "" {
		prepare = append(prepare, cookies(token))
	}
	if documentsRollouts(r.Pattern) && token != "" {
		path += "?access_token=" + token
	}
	body := ""
	switch {
	case s.adapter.Wire(r.Pattern, method).File:
		body = formOf(s.gadget.shelf.bundle(s.gadget.shelf.catalog.Releases[0]))
		prepare = append(prepare, header("Content-Type", formMedia))
	case r.Pattern == "/api/v1/update" && token != "":
		body = `{"api_token":"` + token + `","package":"demo/other"}`
	case r.Pattern == "/api/v1/update/progress" && token != "":
		body = `{"api_token":"` + token + `","itemId":"core"}`
	case s.adapter.TakesBody(r.Pattern, method):
		body = `{}`
	}
	if token != "" && (strings.Contains(r.Pattern, "/upkeep/v1/") || documentsSync(r.Pattern)) {
		prepare = append(prepare, as(token))
	}
	return s.send(method, path, body, prepare...)
}

// adminLooks are where only an Admin may look: at what programs print, at who has
// keys, and at what is damaged, which takes long.
var adminLooks = []string{ownRollouts + "/services/{name}/revisions/{run}/logs", ownSync + "/keys", ownSync + "/verify"}

func TestEveryRouteRefusesWhoHasNoRightToIt(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Logins = -1 }}).open(t)
	for _, r := range s.adapter.Routes() {
		for _, method := range r.Methods {
			t.Run(method+" "+r.Pattern, func(t *testing.T) {
				none := s.ask(r, method, "")
				require.Equal(t, http.StatusUnauthorized, none.StatusCode, none.text)
				wrong := s.ask(r, method, "the-token-of-nobody")
				require.Equal(t, http.StatusUnauthorized, wrong.StatusCode, wrong.text)
				if strings.Contains(r.Pattern, "/upkeep/v1/") {
					require.Equal(t, "Bearer", none.Header.Get("WWW-Authenticate"))
				}
				if r.Needs > httpadapter.Reader {
					require.Equal(t, http.StatusForbidden, s.ask(r, method, reader).StatusCode)
				}
				require.Contains(t, []httpadapter.Role{httpadapter.Reader, httpadapter.Editor, httpadapter.Admin}, r.Needs)
				looks := slices.Contains(adminLooks, r.Pattern)
				require.Equal(t, r.Changes || looks, r.Needs > httpadapter.Reader, "who may only look changes nothing")
			})
		}
	}
	require.Empty(t, s.history(t))
}

func TestEveryRouteRefusesEverybodyWithoutAnAuthenticator(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Auth = nil; c.Limits.Logins = -1 }}).open(t)
	for _, r := range s.adapter.Routes() {
		for _, token := range []string{"", admin} {
			require.Equal(t, http.StatusUnauthorized, s.ask(r, r.Methods[0], token).StatusCode, r.Pattern)
		}
	}
}

func TestAllowAllLetsEverybodyInAndSaysSo(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Auth = httpadapter.AllowAll{} }}).open(t)
	require.Contains(t, s.log.String(), "everybody may do everything")
	r := s.send("POST", "/api/v1/update", `{"package":"demo/site"}`)
	require.Equal(t, "success", r.json(t)["status"], r.text)
	require.Equal(t, http.StatusOK, s.send("GET", runs, "").StatusCode)
}

func TestOnlyProgressCanBeOpened(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.ProgressOpen = true }}).open(t)
	for _, r := range s.adapter.Routes() {
		require.Equal(t, r.Pattern == "/api/v1/update/progress", r.Needs == httpadapter.Nobody, r.Pattern)
	}
	r := s.send("POST", "/api/v1/update/progress", `{"itemId":"core"}`)
	require.EqualValues(t, 0, r.json(t)["progress"], r.text)
}

func TestBearerTokenIsReadStrictly(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Logins = -1 }}).open(t)
	tests := []struct {
		name   string
		values []string
		status int
	}{
		{"as it should be", []string{"Bearer " + admin}, 200},
		{"scheme in lower case", []string{"bearer " + admin}, 200},
		{"none", nil, 401},
		{"empty", []string{""}, 401},
		{"only the scheme", []string{"Bearer"}, 401},
		{"only the scheme and a space", []string{"Bearer "}, 401},
		{"no scheme", []string{admin}, 401},
		{"another scheme", []string{"Basic " + admin}, 401},
		{"two spaces", []string{"Bearer  " + admin}, 401},
		{"a tab", []string{"Bearer\t" + admin}, 401},
		{"a space at the end", []string{"Bearer " + admin + " "}, 401},
		{"two in one", []string{"Bearer " + admin + ",Bearer " + admin}, 401},
		{"two headers", []string{"Bearer " + admin, "Bearer " + admin}, 401},
		{"a long one", []string{"Bearer " + strings.Repeat("x", 100_000)}, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.send("GET", runs, "", func(r *http.Request) {
				for _, value := range tt.values {
					r.Header.Add("Authorization", value)
				}
			})
			require.Equal(t, tt.status, r.StatusCode, r.text)
		})
	}
	require.Equal(t, 401, s.send("GET", runs+"?access_token="+admin, "").StatusCode, "a token in the query is none")
}

// custom is an Authenticator that says what a test wants.
type custom func(httpadapter.Credential) (httpadapter.Principal, error)

func (f custom) Authenticate(_ context.Context, c httpadapter.Credential, _ httpadapter.Role) (httpadapter.Principal, error) {
	return f(c)
}

func TestAuthenticatorOfOnesOwn(t *testing.T) {
	principal, failure := httpadapter.Principal{}, error(nil)
	var seen httpadapter.Credential
	s := (&site{configure: func(c *httpadapter.Config) {
		c.Auth = custom(func(c httpadapter.Credential) (httpadapter.Principal, error) {
			seen = c
			return principal, failure
		})
	}}).open(t)
	both := func(status int, message, slug string) {
		r := s.send("POST", "/api/v1/update", updateBody("T"))
		require.Equal(t, status, r.StatusCode, r.text)
		require.Contains(t, r.json(t)["message"], message)
		require.Equal(t, httpadapter.Credential{API: httpadapter.UpdateAPI, Secret: "T"}, seen)
		r = s.send("POST", runs, `{}`, as("T"))
		require.Equal(t, status, r.StatusCode, r.text)
		require.Equal(t, slug, r.problem(t))
		require.Equal(t, httpadapter.Credential{API: httpadapter.UpdateAPI, Secret: "T"}, seen)
	}
	both(403, "You are not authorized to perform this action.", "forbidden") // a principal without a role
	principal.Role = httpadapter.Editor
	both(403, "You are not authorized to perform this action.", "forbidden")
	principal.Role = httpadapter.Admin
	failure = fmt.Errorf("of this kind: %w", httpadapter.ErrExpired)
	both(401, "Invalid api_token", "expired-credential")
	failure = httpadapter.ErrForbidden
	both(403, "You are not authorized to perform this action.", "forbidden")
	failure = errors.New("ldap://10.0.0.7 is down")
	both(500, "Internal error: request ", "internal")
	require.Contains(t, s.log.String(), "10.0.0.7")
	require.Empty(t, s.history(t))
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address }
}

func TestGuessingIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		try := func(address, token string) int {
			return s.send("GET", runs, "", as(token), from(address), header("X-Forwarded-For", token)).StatusCode
		}
		for i := range 10 {
			require.Equal(t, 401, try("192.0.2.1:1000", fmt.Sprintf("guess-%d", i)))
		}
		require.Equal(t, 429, try("192.0.2.1:2000", "guess"), "another port is the same address")
		require.Equal(t, 429, try("[::ffff:192.0.2.1]:2000", "guess"), "and so is another spelling")
		require.Equal(t, 401, try("192.0.2.2:1000", "guess"), "others are not concerned")

		r := s.send("POST", "/api/v1/update", updateBody("guess"), from("192.0.2.1:1"))
		require.Equal(t, 429, r.StatusCode)
		require.Equal(t, "4", r.Header.Get("Retry-After"))
		require.JSONEq(t, `{"status":"fail","message":"Too many failed logins"}`, r.text)
		require.Equal(t, "too-many-failed-logins", s.send("GET", runs, "", as("guess"), from("192.0.2.1:1")).problem(t))

		time.Sleep(3 * time.Second)
		require.Equal(t, 401, try("192.0.2.1:1000", "guess"))
		require.Equal(t, 429, try("192.0.2.1:1000", "guess"))
		time.Sleep(time.Hour)
		for range 10 {
			require.Equal(t, 401, try("192.0.2.1:1000", "guess"), "no more tries are saved up than a minute's")
		}
		require.Equal(t, 429, try("192.0.2.1:1000", "guess"))
	})
}

func TestGuessesAreCountedByNetwork(t *testing.T) {
	s := new(site).open(t)
	for i := range 10 {
		r := s.send("GET", runs, "", as("guess"), from(fmt.Sprintf("[2001:db8::%x]:1", i)))
		require.Equal(t, 401, r.StatusCode)
	}
	require.Equal(t, 429, s.send("GET", runs, "", as("guess"), from("[2001:db8::ffff%eth0]:1")).StatusCode)
	require.Equal(t, 401, s.send("GET", runs, "", as("guess"), from("[2001:db8:0:1::1]:1")).StatusCode)
	require.Equal(t, 429, s.send("GET", runs, "", as("guess"), from("2001:db8::2:1")).StatusCode, "as a middleware sets it")
}

func TestRequestsWithoutATokenAreNoGuesses(t *testing.T) {
	s := new(site).open(t)
	for range 50 {
		require.Equal(t, 401, s.send("GET", runs, "").StatusCode)
		require.Equal(t, 403, s.send("POST", runs, "{}", as(reader)).StatusCode)
	}
	require.Equal(t, 200, s.get(runs).StatusCode)
}

func TestGuessersAreForgottenBeforeTheyFillTheMemory(t *testing.T) {
	s := new(site).open(t)
	for i := range 12_000 {
		s.send("GET", runs, "", as("guess"), from(fmt.Sprintf("10.%d.%d.1:1", i>>8, i&255)))
		require.LessOrEqual(t, s.adapter.Addresses(), 10_000)
	}
	require.Greater(t, s.adapter.Addresses(), 4_000, "the last ones are remembered")
}

func TestSomebodyWithoutANameChangesNoRow(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) {
		c.Auth = custom(func(httpadapter.Credential) (httpadapter.Principal, error) {
			return httpadapter.Principal{Role: httpadapter.Admin}, nil
		})
	}}).open(t)
	r := s.own("PUT", "rows/fresh", `{"content":{}}`, as("T"))
	require.Equal(t, "invalid-request", r.problem(t))
	require.Contains(t, r.text, "the actor is missing")
	require.Equal(t, "not-found", s.own("GET", "rows/fresh", "", as("T")).problem(t))
}
