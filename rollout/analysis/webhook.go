package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// Webhook posts the scope as JSON, and judges by the status of the reply: 2xx
// passes, and 4xx fails, with its first line as the reason. Anything else is an
// error and no verdict, and so are 408, 425 and 429, which say: later.
//
// The body is {"service": {"env", "name"}, "stable": {"version", "run"}, "new":
// {"version", "run"}, "step": 0, "since": "2026-01-02T15:04:05Z"}. There is no
// "stable" for the first revision.
type Webhook struct {
	URL    string       // required
	Client *http.Client // default: one that waits 10 seconds
}

type scope struct {
	Service struct {
		Env  string `json:"env"`
		Name string `json:"name"`
	} `json:"service"`
	Stable *revision `json:"stable,omitempty"`
	New    revision  `json:"new"`
	Step   int       `json:"step"`
	Since  time.Time `json:"since"`
}

type revision struct {
	Version string `json:"version"`
	Run     string `json:"run"`
}

// Measure is a rollout.Analysis's.
func (h Webhook) Measure(ctx context.Context, s rollout.Scope) (rollout.Measurement, error) {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" {
		return rollout.Measurement{}, errors.New("analysis: the URL of a webhook cannot be parsed")
	}
	wire := scope{New: revision{s.New.Version, s.New.Run}, Step: s.Step, Since: s.Since.UTC()}
	wire.Service.Env, wire.Service.Name = s.New.Service.Env, s.New.Service.Name
	if s.Stable != (rollout.RevisionID{}) {
		wire.Stable = &revision{s.Stable.Version, s.Stable.Run}
	}
	body, err := json.Marshal(wire)
	if err != nil {
		return rollout.Measurement{}, fmt.Errorf("analysis: %w", err)
	}
	reply, err := ask(ctx, h.Client, u, "application/json", body)
	if err != nil {
		return rollout.Measurement{}, err
	}
	reason := firstLine(reply.text)
	later := reply.status == http.StatusRequestTimeout || reply.status == http.StatusTooEarly || reply.status == http.StatusTooManyRequests
	switch {
	case reply.status/100 == 2:
		return rollout.Measurement{Verdict: rollout.VerdictPass, Reason: reason}, nil
	case reply.status/100 == 4 && !later:
		if reason == "" {
			reason = fmt.Sprintf("the webhook answered %d %s", reply.status, http.StatusText(reply.status))
		}
		return rollout.Measurement{Verdict: rollout.VerdictFail, Reason: reason}, nil
	}
	return rollout.Measurement{}, fmt.Errorf("analysis: the webhook answered %d: %s", reply.status, reason)
}
