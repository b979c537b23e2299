package httpadapter_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
)

// scoped is a site with keys whose scopes are their names, each an
// administrator's, and with tables whose names could be taken for others'.
func scoped(t *testing.T, scopes ...string) *site {
	return (&site{configure: func(c *httpadapter.Config) {
		for _, schema := range []string{"banners", "banners/x", "bannersx"} {
			c.Tables = append(c.Tables, lv.TableID{App: "shop", Schema: schema})
		}
		c.Tables = append(c.Tables, lv.TableID{App: "shopping", Schema: "banners"})
		for _, scope := range scopes {
			c.Auth.(httpadapter.Secrets)[scope] = httpadapter.Principal{ID: "id", Role: httpadapter.Admin, Scopes: []string{scope}}
		}
	}}).open(t)
}

func TestAScopeIsAnAppOrExactlyATable(t *testing.T) {
	s := scoped(t, "shop", "shop/banners", "shop/banners/x")
	for _, tt := range []struct {
		scope, app, schema string
		in                 bool
	}{
		{"shop", "shop", "banners", true},
		{"shop", "shop", "banners/x", true},
		{"shop", "shopping", "banners", false},
		{"shop/banners", "shop", "banners", true},
		{"shop/banners", "shop", "banners/x", false},
		{"shop/banners", "shop", "bannersx", false},
		{"shop/banners/x", "shop", "banners/x", true},
		{"shop/banners/x", "shop", "banners", false},
	} {
		t.Run(tt.scope+" asks for "+tt.app+" "+tt.schema, func(t *testing.T) {
			query := url.Values{"appid": {tt.app}, "schemaid": {tt.schema}, "authid": {"id"}, "authkey": {tt.scope}}.Encode()
			for _, path := range []string{"/lv/prod", "/api/lv/status/0", "/lv/publish/nobody", "/upkeep/v1/lv/rows", "/upkeep/v1/lv/tables"} {
				r := s.send("GET", path+"?"+query, "", as(tt.scope), header("Staffname", "ann"))
				let := r.StatusCode != http.StatusUnauthorized && r.StatusCode != http.StatusForbidden
				require.Equal(t, tt.in, let, "%s: %s", path, r.text)
			}
			content := s.send("PUT", "/upkeep/v1/lv/rows/r?"+query, `{"content":{}}`, as(tt.scope))
			require.Equal(t, tt.in, content.StatusCode == http.StatusOK, content.text)
		})
	}
}

func TestAKeyOutsideItsScopeIsRefusedAndIsNoGuess(t *testing.T) {
	s := scoped(t, "shop", "shop/banners")
	for range 4 {
		for _, r := range s.adapter.Routes() {
			path := wildcard.ReplaceAllString(r.Pattern, "x")
			if documentsRows(r.Pattern) {
				r := s.send(r.Methods[0], path+"?appid=shopping&schemaid=banners&authid=id&authkey=shop", "{}", header("Staffname", "ann"))
				require.Equal(t, http.StatusUnauthorized, r.StatusCode, "%s: the contract has it so", path)
				require.Contains(t, r.text, "authkey is not of this app or table")
				continue
			}
			if r.Pattern == updateStatus {
				r := s.send("GET", path, "", header("Cookie", "mwcloud-sid=shop; mwcloud-uid=id"))
				require.Equal(t, http.StatusForbidden, r.StatusCode, r.text)
				continue
			}
			if r.API == httpadapter.RolloutAPI {
				continue // the scopes are environments: TestEnvironmentsKeepApart
			}
			body := strings.Replace(updateBody("shop"), "{", `{"itemId":"core",`, 1)
			reply := s.send(r.Methods[0], path, body, as("shop"))
			want := http.StatusForbidden
			if strings.HasSuffix(path, "/openapi.json") {
				want = http.StatusOK
			}
			require.Equal(t, want, reply.StatusCode, "%s: %s", path, reply.text)
		}
		for _, path := range []string{"tables", "changes", "tables?appid=shop", "changes?appid=shop&after=0", "tables?schemaid=banners"} {
			r := s.send("GET", "/upkeep/v1/lv/"+path, "", as("shop/banners"))
			require.Equal(t, "forbidden", r.problem(t), path)
		}
	}
	require.Equal(t, http.StatusUnauthorized, s.send("GET", runs, "", as("a guess")).StatusCode)
	require.Equal(t, http.StatusOK, s.send("GET", "/upkeep/v1/lv/tables?appid=shop", "", as("shop")).StatusCode)
	require.Equal(t, http.StatusOK, s.send("GET", "/upkeep/v1/lv/tables?appid=shop&schemaid=banners", "", as("shop/banners")).StatusCode)
}

func TestAnAppWithASlashIsRefused(t *testing.T) {
	s := scoped(t, "shop", "shop/x")
	for _, r := range s.adapter.Routes() {
		if r.API != httpadapter.LVAPI {
			continue
		}
		path := wildcard.ReplaceAllString(r.Pattern, "x")
		for _, key := range []string{"shop", "shop/x", admin} {
			for _, schema := range []string{"", "&schemaid=y"} {
				query := "?appid=shop%2Fx&authid=id&authkey=" + url.QueryEscape(key) + schema
				r := s.send(r.Methods[0], path+query, "{}", as(key), header("Staffname", "ann"))
				require.Equal(t, http.StatusBadRequest, r.StatusCode, "%s: %s", path, r.text)
			}
		}
	}
}
