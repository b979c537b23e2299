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
