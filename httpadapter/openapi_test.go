package httpadapter_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	require.Equal(t, []any{map[string]any{"url": "/svc"}}, document["servers"])
	paths := document["paths"].(map[string]any)
	described, ids := 0, map[any]string{}
	for _, route := range s.adapter.Routes() {
		for _, method := range route.Methods {
			if method == "HEAD" {
				continue
			}
			operation, ok := paths[strings.TrimPrefix(route.Pattern, "/svc")].(map[string]any)[strings.ToLower(method)].(map[string]any)
			require.True(t, ok, "%s %s", method, route.Pattern)
			require.Equal(t, route.Summary, operation["summary"])
			require.NotEmpty(t, route.Summary)
			require.Equal(t, route.Needs.String(), operation["x-upkeep-role"])
			id := operation["operationId"]
			require.Regexp(t, "^[a-z][a-zA-Z]+$", id)
			require.Empty(t, ids[id], "%s: %s %s", id, method, route.Pattern)
			ids[id] = method + " " + route.Pattern
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

func TestOpenAPISaysWhatIsSent(t *testing.T) {
	d := described(t)
	operation := func(method, path string) map[string]any { return d.at("paths", path, method) }
	update := operation("post", "/api/v1/update")
	require.Equal(t, []any{}, update["security"], "the credential is in the body")
	require.Len(t, d.at("paths", "/api/v1/update", "post", "requestBody", "content"), 2, "JSON and a form")
	require.Equal(t, []any{"api_token", "package"}, d.at("components", "schemas", "UpdateBody")["required"])
	require.Equal(t, []any{map[string]any{"bearer": []any{}}}, operation("get", runs)["security"])
	prod := operation("get", "/lv/prod")
	require.Equal(t, []any{map[string]any{"authid": []any{}, "authkey": []any{}}}, prod["security"])
	require.Equal(t, "apiKey", d.at("components", "securitySchemes", "authkey")["type"])
	staff := func(operation map[string]any) any {
		for _, p := range operation["parameters"].([]any) {
			if p.(map[string]any)["name"] == "Staffname" {
				return p.(map[string]any)["required"]
			}
		}
		return nil
	}
	require.Equal(t, []any{false, true, nil},
		[]any{staff(prod), staff(operation("get", "/lv/publish/{objectId}")), staff(operation("get", runs))})
	require.Equal(t, []any{"lvPublishRow", "lvPublishRowByGet", "apiLvPublishRow"}, []any{
		operation("post", "/lv/publish/{objectId}")["operationId"], operation("get", "/lv/publish/{objectId}")["operationId"],
		operation("post", "/api/lv/publish/{objectId}")["operationId"],
	})
}

// TestOpenAPIIsWrittenForOtherTools writes openapi.json to the file that
// UPKEEP_OPENAPI names: testdata/openapi/package.json has what .ci/run does with it.
func TestOpenAPIIsWrittenForOtherTools(t *testing.T) {
	if file := os.Getenv("UPKEEP_OPENAPI"); file != "" {
		require.NoError(t, os.WriteFile(file, described(t).text, 0o644))
	}
}

// body returns the schema of what an operation takes, or nil.
func (d *description) body(path, method string) map[string]any {
	return d.at("paths", path, method, "requestBody", "content", "application/json", "schema")
}

// encoding/json, which fills what bind does not look into, would take ITEMID
// for itemId.
func TestBodiesHaveOnlyMembersWhoseNamesMatchExactly(t *testing.T) {
	d := described(t)
	bodies := 0
	for path := range d.at("paths") {
		if body := d.body(path, "post"); body != nil {
			requireExact(t, d, body, path)
			bodies++
		}
	}
	require.Equal(t, 6+2*13+7+6+11+15, bodies)
}

// requireExact requires of the members of a body that they are without names,
// objects and arrays of them, which bind looks into, or have names of any kind.
func requireExact(t *testing.T, d *description, body map[string]any, path string) {
	for name, property := range body["properties"].(map[string]any) {
		schema := d.resolve(property.(map[string]any))
		at := path + " " + name
		if items, ok := schema["items"].(map[string]any); ok {
			if items = d.resolve(items); items["properties"] != nil {
				requireExact(t, d, items, at)
			} else {
				require.NotEqual(t, "array", items["type"], at)
			}
			continue
		}
		if schema["properties"] != nil {
			requireExact(t, d, schema, at)
			continue
		}
		require.Contains(t, []any{nil, "string", "boolean", "integer", "number", "object"}, schema["type"], at)
	}
}

// TestBodiesAreBoundAsDescribed: without a member that is needed, or with one
// that is beyond a bound, a good body is refused; at the bound it is not.
func TestBodiesAreBoundAsDescribed(t *testing.T) {
	t.Parallel()
	d := described(t)
	status := func(target target, body string) int {
		r := target.good()
		r.body = body
		got, err := hostileSite(t, nil).answer(r)
		require.NoError(t, err)
		return got.StatusCode
	}
	for _, target := range hostileSite(t, nil).targets() {
		body := d.body(target.Pattern, operations[target.method])
		if body == nil || strings.HasPrefix(target.Pattern, "/api/lv") {
			continue
		}
		at := target.method + " " + target.Pattern
		operation := d.at("paths", target.Pattern, operations[target.method], "requestBody")
		require.Equal(t, operation["required"], status(target, "") == http.StatusBadRequest, at)
		require.Equal(t, target.isGood(), !isRefusal(status(target, target.body)), at)
		required, _ := body["required"].([]any)
		for name := range body["properties"].(map[string]any) {
			less := without(target.body, name)
			refused := less == "{}" && body["minProperties"] != nil || slices.Contains(required, any(name))
			if less != target.body || refused {
				got := status(target, less)
				refused = refused || name == "upload_type"                                           // unless rollback is true
				noLease := got == http.StatusConflict && strings.HasSuffix(target.Pattern, "/break") // none has the token 0
				require.Equal(t, refused, got == http.StatusBadRequest || got == http.StatusUnauthorized || noLease, "%s without %s", at, name)
			}
		}
		for name, property := range body["properties"].(map[string]any) {
			for value, refused := range atBounds(d.resolve(property.(map[string]any))) {
				got := status(target, withMember(target.body, name, value))
				require.Equal(t, refused, got == http.StatusBadRequest, "%s: %s = %.40s: %d", at, name, value, got)
			}
		}
	}
}

// TestParametersAreBoundAsDescribed: a value that is none is refused, and so is
// a request without a parameter that is needed.
func TestParametersAreBoundAsDescribed(t *testing.T) {
	d, s := described(t), hostileSite(t, nil)
	for _, target := range s.targets() {
		parameters, _ := d.at("paths", target.Pattern, operations[target.method])["parameters"].([]any)
		for _, one := range parameters {
			p := one.(map[string]any)
			name := p["name"].(string)
			schema := p["schema"].(map[string]any)
			low, _ := schema["minimum"].(float64)
			if choices, ok := schema["anyOf"].([]any); ok {
				schema = choices[0].(map[string]any)
			}
			value := map[any]string{"boolean": "maybe", "integer": strconv.Itoa(int(low) - 1), nil: "99"}[schema["type"]]
			r := target.good()
			query, err := url.ParseQuery(r.query)
			require.NoError(t, err)
			switch {
			case p["in"] == "query" && p["required"] == true:
				query.Del(name)
			case p["in"] == "query" && value != "":
				query.Set(name, value)
			case p["in"] == "header" && p["required"] == true:
				r = r.with(name)
			default:
				continue
			}
			r.query = query.Encode()
			got, err := s.answer(r)
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, got.StatusCode, "%s %s: %s", target.method, target.Pattern, name)
		}
	}
}

// TestNoWordIsForgotten: each constant of a type of which all values are
// described is among them.
func TestNoWordIsForgotten(t *testing.T) {
	d := described(t)
	found := 0
	for _, domain := range []string{"update", "lv", "firmware", "rollout", "sync"} {
		files, err := filepath.Glob("../" + domain + "/*.go")
		require.NoError(t, err)
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				spec, _ := n.(*ast.ValueSpec)
				if spec == nil || spec.Type == nil || len(spec.Values) != 1 {
					return true
				}
				kind, _ := spec.Type.(*ast.Ident)
				value, _ := spec.Values[0].(*ast.BasicLit)
				if kind == nil || value == nil {
					return true
				}
				schema := d.at("components", "schemas", strings.ToUpper(domain[:1])+domain[1:]+kind.Name)
				if schema == nil || spec.Names[0].Name == "OpForget" { // which no version has done
					return true
				}
				var word any
				require.NoError(t, json.Unmarshal([]byte(value.Value), &word))
				require.Contains(t, schema["enum"], word, "%s.%s", domain, spec.Names[0])
				found++
				return true
			})
		}
	}
	require.Equal(t, 23+16+31+36+39, found)
}

// without returns an object without a member.
func without(object, name string) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		panic(err)
	}
	delete(members, name)
	return encodedText(members)
}

// atBounds are values at the bounds of a schema, and whether they are beyond.
func atBounds(schema map[string]any) map[string]bool {
	values := map[string]bool{}
	for keyword, bound := range schema {
		n, _ := bound.(float64)
		switch keyword {
		case "maxLength":
			values[encodedText(strings.Repeat("x", int(n)))] = false
			values[encodedText(strings.Repeat("x", int(n)+1))] = true
		case "minItems":
			values["[]"] = true
		case "maxItems":
			if kind := schema["items"].(map[string]any)["type"]; kind == "string" {
				values[encodedText(slices.Repeat([]string{"a"}, int(n)+1))] = true
			}
		case "const", "enum":
			values["99"], values[`"99"`] = true, true
		}
	}
	return values
}
