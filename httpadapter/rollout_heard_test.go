package httpadapter_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsNotFoundOfAServiceNamesItsEnvironment(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		run := s.rolls(t)
		for path, says := range map[string]string{
			ownWeb: `no service \"web\" in environment \"\"`,
			ownWeb + "/revisions/" + run.ID + "/logs": `has made nothing of service \"web\" in environment \"\"`,
		} {
			reply := s.get(path)
			require.Equal(t, http.StatusNotFound, reply.StatusCode)
			require.Contains(t, reply.text, says)
		}
		for body, says := range map[string]string{
			"":                         `no run of service \"web\" in environment \"\" has succeeded`,
			`{"run":"` + run.ID + `"}`: `of service \"web\" in environment \"\"`,
		} {
			require.Contains(t, s.post(ownWeb+"/rollback", body).text, says)
		}
	})
}

func TestTheDescriptionOfRolloutsSaysWhatIsAccepted(t *testing.T) {
	d := described(t)
	body := d.body("/componenttcb/rollupdatecloudbaserunserverversion", "post")["properties"].(map[string]any)
	for _, name := range []string{"cpu", "mem", "min_num", "max_num", "policy_threshold"} {
		require.Equal(t, []any{map[string]any{"type": "string"}, map[string]any{"type": "number"}}, body[name].(map[string]any)["anyOf"], name)
	}
	require.Equal(t, "string", body["upload_type"].(map[string]any)["type"])
	for _, schema := range []string{"RolloutRun", "RolloutEvent"} {
		percent := d.at("components", "schemas", schema, "properties", "percent")
		require.Equal(t, "of the work: what share of the requests it has is in split", percent["description"], schema)
	}
}
