package httpadapter_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIDsComeAsTheyAreSent(t *testing.T) {
	s := new(site).open(t)
	require.Contains(t, s.documented("POST", "/lv/check", `{"ids":[1,2]}`).text, "ids: want an array of strings")
	require.Contains(t, s.documented("POST", "/lv/record/publish", `{"actionId":true}`).text, "actionId: want a string")
	require.Equal(t, 404, s.documented("POST", "/lv/record/publish", `{"actionId":1e3}`).StatusCode)
	require.Equal(t, 404, s.documented("POST", "/lv/record/publish", `{"actionId":12345678}`).StatusCode)
	for _, id := range []string{"%2e", "%2e%2e"} {
		r := s.documented("POST", "/lv/publish/"+id, "")
		require.Equal(t, 400, r.StatusCode, r.text)
		require.Equal(t, 400, s.documented("POST", "/lv/publish2gray/"+id+"/a", "").StatusCode)
		require.Equal(t, "invalid-id", s.own("PUT", "rows/"+id, `{"content":{}}`).problem(t))
	}
	require.Equal(t, 400, s.documented("POST", "/lv/check", `{"ids":[".."]}`).StatusCode)
}

func TestARuleAboutAnAttributeThatNobodyHasIsRefused(t *testing.T) {
	s := new(site).open(t)
	for _, rules := range []string{
		`[{"field":"country","relation":"eq","value":"de"}]`,
		`[{"type":"and","rules":[{"object":"","field":"country","relation":"eq","value":"de"}]}]`,
	} {
		body, err := json.Marshal(map[string]any{"rules": json.RawMessage(rules)})
		require.NoError(t, err)
		require.Contains(t, s.own("POST", "strategies/test", string(body)).text, "an object is needed")
		require.Contains(t, s.documented("POST", "/lv/strategy", strategyBody("3", "rules", rules)).text, "an object is needed")
	}
}
