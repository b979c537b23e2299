package rollout_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// secretive is a content with so many secrets as one can have, all of which end
// with which.
func secretive(kind, which string) rollout.Spec {
	secret := "s3cret-" + which
	s := rollout.Spec{
		Environment: map[string]string{"TOKEN": secret, "TOKEN_" + which: secret},
		Health: &rollout.Health{
			Path: "/up?token=" + secret + "&" + secret, Headers: map[string]string{"Authorization": "Bearer " + secret},
		},
	}
	address := "https://ann:" + secret + "@example.com/a?signature=" + secret
	switch kind {
	case "command":
		s.Command = []string{"bin/web", "--token", secret}
	case "archive":
		s.Archive = &rollout.Archive{URL: address, Digest: make([]byte, 32), Command: []string{"bin/web", secret}}
	case "image":
		s.Image = &rollout.Image{URL: address}
	case "source":
		s.Source = &rollout.Source{URL: address}
	}
	return s
}

func TestAPlanShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"command", "archive", "image", "source"} {
		passes(t, func(t *testing.T, w *world) {
			c := w.controller()
			shows := func(r rollout.Request) rollout.Plan {
				plan, err := c.Plan(t.Context(), r)
				require.NoError(t, err)
				written, err := json.Marshal(plan)
				require.NoError(t, err)
				require.NotContains(t, string(written), "s3cret")
				require.NotContains(t, fmt.Sprintf("%+v %+v", plan, plan.Spec.Health), "s3cret")
				return plan
			}
			rules := []rollout.Match{{Header: "X-Key", Value: "s3cret"}, {Cookie: "key", Value: "s3cret"}, {Query: "key"}}
			looked := &rollout.Strategy{Steps: []rollout.Step{{Percent: 10, Hold: -1, Match: rules}, {Percent: 100, Hold: -1}}}
			first := rollout.Request{Service: web, Version: "v1", Spec: secretive(kind, "one"), Strategy: looked}
			require.NotEmpty(t, shows(first).Diff)
			w.rolls(c, first)
			next := rollout.Request{Service: web, Spec: secretive(kind, "two"), Strategy: looked}
			fields := map[string]bool{}
			for _, d := range shows(next).Diff {
				fields[d.Field] = true
			}
			require.True(t, fields["Health"] && fields["Environment.TOKEN"] && fields["Environment.TOKEN_one"], "what changes is said: %v", fields)
			step := shows(next).Steps[0]
			require.Equal(t, []rollout.Match{{Header: "X-Key", Value: "***"}, {Cookie: "key", Value: "***"}, {Query: "key"}}, step.Step.Match)
			require.Len(t, step.Split.Rules, 3)
			require.Equal(t, "s3cret", looked.Steps[0].Match[0].Value, "what is asked for stays as it is")
			next.Spec.Health.Path = "no path of s3cret"
			_, err := c.Plan(t.Context(), next)
			require.ErrorIs(t, err, rollout.ErrInvalid)
		})
	}
}
