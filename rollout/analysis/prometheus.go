// Package analysis asks other systems whether a new revision is good: their
// Measure is that of a rollout.Analysis.
package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/upkeep-go/upkeep/rollout"
)

// Prometheus asks a Prometheus server. It has no verdict, but an error, where
// the server does not answer with one value.
type Prometheus struct {
	URL   string                       // required: of the server
	Query func(s rollout.Scope) string // required: PromQL of one value
	// Pass judges the value. Required. No value, as of a series that does not
	// exist yet, or one that is no number is inconclusive.
	Pass   func(value float64) bool
	Client *http.Client // default: one that waits 10 seconds
}

// Measure is a rollout.Analysis's.
func (p Prometheus) Measure(ctx context.Context, s rollout.Scope) (rollout.Measurement, error) {
	if p.Query == nil || p.Pass == nil {
		return rollout.Measurement{}, errors.New("analysis: Prometheus needs a Query and a Pass")
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" {
		return rollout.Measurement{}, errors.New("analysis: the URL of Prometheus cannot be parsed")
	}
	body, err := ask(ctx, p.Client, u.JoinPath("api/v1/query"), "application/x-www-form-urlencoded",
		[]byte(url.Values{"query": {p.Query(s)}}.Encode()))
	if err != nil {
		return rollout.Measurement{}, err
	}
	value, found, err := valueOf(body.text)
	switch {
	case body.status != http.StatusOK:
		return rollout.Measurement{}, fmt.Errorf("analysis: Prometheus answered %d: %s", body.status, firstLine(body.text))
	case err != nil:
		return rollout.Measurement{}, fmt.Errorf("analysis: reply of Prometheus: %w", err)
	case !found || math.IsNaN(value):
		return rollout.Measurement{Verdict: rollout.VerdictInconclusive, Reason: "there is no value"}, nil
	}
	m := rollout.Measurement{Verdict: rollout.VerdictPass, Reason: fmt.Sprintf("the value is %g", value)}
	if !math.IsInf(value, 0) {
		m.Values = map[string]float64{"value": value}
	}
	if !p.Pass(value) {
		m.Verdict = rollout.VerdictFail
	}
	return m, nil
}

// valueOf finds the one value in a reply.
func valueOf(text []byte) (value float64, found bool, err error) {
	var reply struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return 0, false, err
	}
	var series []struct{ Value [2]any }
	switch reply.Data.ResultType {
	case "vector":
		err = json.Unmarshal(reply.Data.Result, &series)
	case "scalar":
		series = make([]struct{ Value [2]any }, 1)
		err = json.Unmarshal(reply.Data.Result, &series[0].Value)
	default:
		err = fmt.Errorf("it is a %q, not one value", reply.Data.ResultType)
	}
	if err != nil || len(series) == 0 {
		return 0, false, err
	}
	word, isText := series[0].Value[1].(string)
	if len(series) > 1 || !isText {
		return 0, false, fmt.Errorf("it has %d values, not one", len(series))
	}
	value, err = strconv.ParseFloat(word, 64)
	return value, true, err
}
