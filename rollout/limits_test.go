package rollout_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

var (
	long    = strings.Repeat("x", 200<<10)
	digest  = make([]byte, 32)
	million = entries(1000, strings.Repeat("x", 2000))
)

func entries(n int, value string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m["N"+strconv.Itoa(i)] = value
	}
	return m
}

func TestWhatIsTooLongOrNoTextIsRefusedAndNamed(t *testing.T) {
	t.Parallel()
	health := func(h rollout.Health) rollout.Spec { return rollout.Spec{Health: &h} }
	for field, specs := range map[string][]rollout.Spec{
		"Command": {
			{Command: []string{"a", "b\x00"}}, {Command: []string{"a", long}}, {Command: make([]string, 2000)},
			{Command: slices.Repeat([]string{strings.Repeat("x", 100<<10)}, 20)},
		},
		"Archive.URL":      {{Archive: &rollout.Archive{URL: long, Digest: digest}}, {Archive: &rollout.Archive{URL: "a\nb", Digest: digest}}},
		"Archive.Command":  {{Archive: &rollout.Archive{URL: "http://a", Digest: digest, Command: []string{long}}}},
		"Image.Repository": {{Image: &rollout.Image{Repository: long}}, {Image: &rollout.Image{Repository: "a\x1b[2J"}}},
		"Image.Tag":        {{Image: &rollout.Image{Repository: "a", Tag: long}}},
		"Image.URL":        {{Image: &rollout.Image{URL: long}}},
		"Package.Name":     {{Package: &rollout.Package{Name: long}}},
		"Package.Version":  {{Package: &rollout.Package{Name: "a", Version: "\xff"}}},
		"Source.URL":       {{Source: &rollout.Source{URL: long}}},
		"Source.Branch":    {{Source: &rollout.Source{URL: "a", Branch: "a\nb"}}},
		"Source.Kind":      {{Source: &rollout.Source{URL: "a", Kind: long}}},
		"Addresses":        {{Addresses: []string{"http://" + long}}},
		"Environment": {
			{Environment: map[string]string{"A B": "1"}}, {Environment: map[string]string{"Ä": "1"}},
			{Environment: map[string]string{"A": long}}, {Environment: million}, {Environment: entries(1001, "")},
		},
		"Extra":           {{Extra: million}},
		"Health.Path":     {health(rollout.Health{Path: "/a\r\nX: y"}), health(rollout.Health{Path: "/" + long})},
		"Health.Host":     {health(rollout.Health{Host: "a\nb"})},
		"Health":          {health(rollout.Health{Host: "a/b"}), health(rollout.Health{Path: "/a b"})},
		"Health.Headers":  {health(rollout.Health{Headers: map[string]string{"A\n": "b"}}), health(rollout.Health{Headers: map[string]string{"A": "b\r\nC: d"}})},
		"Volumes[0].Name": {{Volumes: []rollout.Volume{{Name: long, Path: "/a"}}}},
		"Volumes[0].From": {{Volumes: []rollout.Volume{{Path: "/a", From: "a\x00"}}}},
		"Logs":            {{Logs: new("a\nb")}},
		"Scaling":         {{Scaling: slices.Repeat([]rollout.Scaling{{Resource: "cpu", Threshold: 50}}, 17)}},
	} {
		for i, spec := range specs {
			passes(t, func(t *testing.T, w *world) {
				if spec.Command == nil && spec.Archive == nil && spec.Image == nil && spec.Package == nil && spec.Source == nil && spec.Addresses == nil {
					spec.Command = []string{"web"}
				}
				_, err := w.controller().Start(t.Context(), rollout.Request{Service: web, Version: "v1", Spec: spec})
				require.ErrorIs(t, err, rollout.ErrInvalid, "%s %d", field, i)
				require.Contains(t, err.Error(), field)
				require.Less(t, len(err.Error()), 2000)
				_, err = w.db.Rollouts().Service(t.Context(), web)
				require.ErrorIs(t, err, rollout.ErrNotFound, "nothing is changed")
			})
		}
	}
}

func TestNamesAndStepsHaveLimits(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		match := func(m rollout.Match) func(*rollout.Request) {
			return func(r *rollout.Request) {
				r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Match: []rollout.Match{m}}}}
			}
		}
		for field, change := range map[string]func(*rollout.Request){
			"Service.Name": func(r *rollout.Request) { r.Service.Name = "web\n" },
			"Service.Env":  func(r *rollout.Request) { r.Service.Env = "\xff" },
			"Version":      func(r *rollout.Request) { r.Version = "v2\x1b" },
			"RequestID":    func(r *rollout.Request) { r.By.RequestID = "a\tb" },
			"Strategy.Steps[0].Match": func(r *rollout.Request) {
				many := slices.Repeat([]rollout.Match{{Header: "A"}}, 101)
				r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Match: many}}}
			},
			"Steps[0].Match": match(rollout.Match{Header: "A: b\r\nC"}),
			".Match":         match(rollout.Match{Cookie: "a=b"}),
			"[0].Match":      match(rollout.Match{Query: "a", Value: "b\n"}),
		} {
			r := request("v2")
			change(&r)
			_, err := c.Plan(t.Context(), r)
			require.ErrorIs(t, err, rollout.ErrInvalid, field)
			require.Contains(t, err.Error(), field)
		}
		for field, split := range map[string]rollout.Split{
			"Weights": {Weights: slices.Repeat([]rollout.Weight{{Version: "v1"}}, 1001)},
			"Rules": {
				Weights: []rollout.Weight{{Version: "v1", Percent: 100}},
				Rules:   []rollout.Rule{{Version: "v1", Match: rollout.Match{Header: "A"}, Priority: math.MinInt32}},
			},
		} {
			err := c.Shift(t.Context(), web, split, ann)
			require.ErrorIs(t, err, rollout.ErrInvalid)
			require.Contains(t, err.Error(), field)
		}
		for _, tail := range []int{-1, 1_000_001} {
			_, err := c.Logs(t.Context(), rollout.RevisionID{Service: web}, rollout.LogQuery{Tail: tail})
			require.ErrorIs(t, err, rollout.ErrInvalid)
			require.Contains(t, err.Error(), "Tail")
		}
	})
}

func TestFunctionsOfAConfigHaveLimits(t *testing.T) {
	t.Parallel()
	measure := func(context.Context, rollout.Scope) (rollout.Measurement, error) { return rollout.Measurement{}, nil }
	do := func(context.Context, rollout.Run) error { return nil }
	w := newWorld(t)
	for field, change := range map[string]func(*rollout.Config){
		"Config.Analyses":          func(c *rollout.Config) { c.Analyses = make([]rollout.Analysis, 101) },
		"Config.Analyses.Name":     func(c *rollout.Config) { c.Analyses = []rollout.Analysis{{Name: long, Measure: measure}} },
		"Config.Analyses.Interval": func(c *rollout.Config) { c.Analyses = []rollout.Analysis{{Name: "a", Measure: measure, Interval: -1}} },
		"Config.Analyses.From":     func(c *rollout.Config) { c.Analyses = []rollout.Analysis{{Name: "a", Measure: measure, From: -1}} },
		"Config.Before":            func(c *rollout.Config) { c.Before = make([]rollout.Hook, 101) },
		"Config.After.Name":        func(c *rollout.Config) { c.After = []rollout.Hook{{Name: "a\n", Do: do}} },
		"Config.AfterStep.Timeout": func(c *rollout.Config) {
			c.AfterStep = []rollout.Hook{{Name: "a", Do: do, Timeout: 1000 * time.Hour}}
		},
	} {
		config := rollout.Config{Store: w.db, Deployer: w.fleet, Router: w.router}
		change(&config)
		_, err := rollout.New(config)
		require.ErrorIs(t, err, rollout.ErrInvalid, field)
		require.Contains(t, err.Error(), field)
	}
	require.Len(t, slices.Collect(maps.Keys(million)), 1000)
}
