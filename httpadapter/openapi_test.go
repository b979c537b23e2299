package httpadapter_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Prefix = "/svc" }}).open(t)
	r := s.send("GET", "/svc/upkeep/v1/openapi.json", "", as(reader))
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	document := r.json(t)
	require.Equal(t, "3.1.0", document["openapi"])
	paths := document["paths"].(map[string]any)
	described := 0
	for _, route := range s.adapter.Routes() {
		for _, method := range route.Methods {
			if method == "HEAD" {
				continue
			}
			operation, ok := paths[route.Pattern].(map[string]any)[strings.ToLower(method)].(map[string]any)
			require.True(t, ok, "%s %s", method, route.Pattern)
			require.Equal(t, route.Summary, operation["summary"])
			require.NotEmpty(t, route.Summary)
			require.Equal(t, route.Needs.String(), operation["x-upkeep-role"])
			require.Equal(t, strings.Contains(route.Pattern, "/upkeep/v1/"), operation["security"] != nil)
			require.Equal(t, s.adapter.TakesBody(route.Pattern, method), operation["requestBody"] != nil)
			for i, name := range wildcard.FindAllString(route.Pattern, -1) {
				require.Equal(t, strings.Trim(name, "{}"), operation["parameters"].([]any)[i].(map[string]any)["name"])
			}
			described++
		}
	}
	for _, item := range paths {
		described -= len(item.(map[string]any))
	}
	require.Zero(t, described, "and nothing else")
}

func TestOpenAPIDescribesBodies(t *testing.T) {
	s := new(site).open(t)
	document := s.get("/upkeep/v1/openapi.json").json(t)
	at := func(path ...string) any {
		var v any = document
		for _, name := range path {
			v = v.(map[string]any)[name]
		}
		return v
	}
	operation := []string{"paths", "/api/v1/update", "post"}
	content := at(append(operation, "requestBody", "content")...).(map[string]any)
	require.Len(t, content, 2, "JSON and a form")
	require.Equal(t, map[string]any{
		"api_token": map[string]any{"type": "string"}, "package": map[string]any{"type": "string"}, "version": map[string]any{"type": "string"},
	}, at(append(operation, "requestBody", "content", "application/json", "schema", "properties")...))

	packages := []string{"paths", "/upkeep/v1/updates/packages", "get", "responses", "2XX", "content", "application/json", "schema",
		"properties", "packages", "items", "properties"}
	require.Equal(t, []any{"object", "null"}, at(append(packages, "run", "type")...))
	require.Equal(t, map[string]any{"type": "string", "format": "date-time"},
		at(append(packages, "lock", "properties", "expires_at")...))
	problem := at("paths", "/upkeep/v1/updates/runs", "post", "responses", "default", "content").(map[string]any)
	require.Contains(t, problem, "application/problem+json")
	require.Contains(t, at("paths", events, "get", "responses", "2XX", "content"), "text/event-stream")
}

// encoding/json, which fills what bind does not look into, would take ITEMID
// for itemId.
func TestBodiesHaveOnlyMembersWhoseNamesMatchExactly(t *testing.T) {
	s := new(site).open(t)
	document := s.get("/upkeep/v1/openapi.json").json(t)
	bodies := 0
	for path, item := range document["paths"].(map[string]any) {
		post, _ := item.(map[string]any)["post"].(map[string]any)
		body, _ := post["requestBody"].(map[string]any)
		if body == nil {
			continue
		}
		schema := body["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
		for name, property := range schema["properties"].(map[string]any) {
			requireExact(t, property, path, name)
		}
		bodies++
	}
	require.Equal(t, 6+2*13+7, bodies)
}

// requireExact requires something without names, an array of objects, which
// bind looks into, or names of any kind.
func requireExact(t *testing.T, property any, path, name string) {
	schema := property.(map[string]any)
	if items, ok := schema["items"].(map[string]any); ok {
		require.NotEqual(t, "array", items["type"], "%s %s", path, name)
		properties, _ := items["properties"].(map[string]any)
		for below, property := range properties {
			requireExact(t, property, path, name+"."+below)
		}
		return
	}
	require.Contains(t, []any{nil, "string", "boolean", "integer", "object"}, schema["type"], "%s %s", path, name)
	require.NotContains(t, schema, "properties", "%s %s", path, name)
}
