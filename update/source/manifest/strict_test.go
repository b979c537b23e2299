package manifest_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

func TestPayloadsThatParsersReadDifferentlyAreRefused(t *testing.T) {
	m, err := json.Marshal(body(1))
	require.NoError(t, err)
	good := string(m)
	_, err = new(manifest.State).Accept(raw(t, good), check(key(1)))
	require.NoError(t, err)
	for what, payload := range map[string]string{
		"nothing":                 "",
		"no object":               `[]`,
		"no JSON":                 good[:len(good)-1],
		"two values":              good + good,
		"text after it":           good + "x",
		"a name twice":            strings.Replace(good, `{`, `{"serial":99,`, 1),
		"a name twice, escaped":   strings.Replace(good, `{`, `{"seri\u0061l":99,`, 1),
		"a name in other letters": strings.Replace(good, `{`, `{"SERIAL":99,`, 1),
		"a name twice, deep":      strings.Replace(good, `"size"`, `"url":"evil","size"`, 1),
		"a long s for an s":       strings.Replace(good, `"serial"`, `"ſerial"`, 1),
		"not UTF-8":               strings.Replace(good, `demo/app`, "demo/\xff", 1),
		"a mark before it":        "\xEF\xBB\xBF" + good,
		"very deep":               strings.Replace(good, `{`, `{"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+",", 1),
		"a fraction":              strings.Replace(good, `"serial":1`, `"serial":1.5`, 1),
		"more than 64 bits":       strings.Replace(good, `"serial":1`, `"serial":18446744073709551617`, 1),
		"a text for a number":     strings.Replace(good, `"serial":1`, `"serial":"1"`, 1),
		"a digest that is none":   strings.Replace(good, `"sha256":"`, `"sha256":"zz`, 1),
		"a time that is none":     strings.Replace(good, `"issued":"2026`, `"issued":"26`, 1),
	} {
		require.NotEqual(t, good, payload, what)
		_, err := new(manifest.State).Accept(raw(t, payload), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrMalformed, what)
	}
}

func TestFilesThatAreNoneAreRefused(t *testing.T) {
	good := string(signed(t, body(1), key(1)))
	const rotation = `{"payloadType":"` + typeRotation + `"}`
	for what, text := range map[string]string{
		"nothing":             "",
		"a page of a portal":  "<html>please log in</html>",
		"two manifests":       strings.Replace(good, `"manifest"`, `"manifest": {}, "manifest"`, 1),
		"two payloads":        strings.Replace(good, `"payload"`, `"payload": "", "Payload"`, 1),
		"no base64":           strings.Replace(good, `"payload": "`, `"payload": "%`, 1),
		"very many rotations": strings.Replace(good, `{`, `{"rotations": [`+strings.Repeat(rotation+",", 64)+rotation+`],`, 1),
		"very long":           good + strings.Repeat(" ", manifest.MaxSize),
		"no manifest":         `{}`,
		"null":                `null`,
	} {
		require.NotEqual(t, good, text, what)
		_, err := new(manifest.State).Accept([]byte(text), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrMalformed, what)
	}
}

func TestUnknownMembersAreIgnoredUnlessTheyAreCritical(t *testing.T) {
	m, err := json.Marshal(body(1))
	require.NoError(t, err)
	grown := strings.Replace(string(m), `{`, `{"rollout":{"percent":5},"critical":["serial"],`, 1)
	_, err = new(manifest.State).Accept(raw(t, grown), check(key(1)))
	require.NoError(t, err)
	_, err = new(manifest.State).Accept(raw(t, strings.Replace(grown, `["serial"]`, `["serial","rollout"]`, 1)), check(key(1)))
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, `"rollout" is critical`)
}
