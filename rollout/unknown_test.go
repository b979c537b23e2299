package rollout_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestWhatIsNotFoundIsSaidWithItsEnvironment(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		there := request("v1")
		there.Service.Env = "demo"
		_, err := c.Roll(t.Context(), there)
		require.NoError(t, err)
		missing := `rollout: not found: no service "web" in environment ""`
		for what, ask := range map[string]func(rollout.ServiceID) error{
			"Status": func(id rollout.ServiceID) error { _, err := c.Status(t.Context(), id); return err },
			"Hold":   func(id rollout.ServiceID) error { return c.Hold(t.Context(), id, ann) },
			"Plan": func(id rollout.ServiceID) error {
				_, err := c.Plan(t.Context(), rollout.Request{Service: id, Replace: "v1"})
				return err
			},
		} {
			require.EqualError(t, ask(web), missing, what)
		}
		require.NoError(t, c.RemoveService(t.Context(), there.Service, ann))
		_, err = c.Status(t.Context(), there.Service)
		require.EqualError(t, err, `rollout: not found: no service "web" in environment "demo"`)
	})
}
