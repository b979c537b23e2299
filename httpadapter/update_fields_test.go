package httpadapter_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/update"
)

// textsOf returns the texts in a value, by their paths.
func textsOf(v reflect.Value, path string) map[string]string {
	all := map[string]string{}
	add := func(v reflect.Value, path string) {
		for p, text := range textsOf(v, strings.TrimPrefix(path, ".")) {
			all[p] = text
		}
	}
	switch v.Kind() {
	case reflect.String:
		all[path] = v.String()
	case reflect.Pointer:
		add(v.Elem(), path)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				add(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			add(v.Index(i), fmt.Sprint(path, "[", i, "]"))
		}
	}
	return all
}

// untold returns the paths of the texts in a value that a reply does not have.
func untold(value any, reply string) (paths []string) {
	for path, text := range textsOf(reflect.ValueOf(value), "") {
		if !strings.Contains(reply, `"`+text+`"`) {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestNoTextOfARunIsForgotten(t *testing.T) {
	s := new(site).open(t)
	run := filltest.New[update.Run]()
	run.State = update.StateRunning
	for i := range run.Steps {
		run.Steps[i].Phase = update.PhaseDoing
	}
	_, err := s.db.Journal().Create(t.Context(), run, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	r := s.get(runs + "/" + strings.ReplaceAll(run.ID, " ", "%20"))
	require.ElementsMatch(t, []string{
		"Release.Version", "Release.URL", // of the source, which readers may have to do without
		"Request.Package",  // is the run's
		"Cancel.RequestID", // serves the caller
	}, untold(run, r.text), "what is not told is named here")
}

func TestNoTextOfAnEventIsForgotten(t *testing.T) {
	s := new(site).open(t)
	run, event := update.Run{ID: "run", Package: "p", State: update.StateSucceeded}, filltest.New[update.Event]()
	event.Kind = update.EventEnded
	_, err := s.db.Journal().Create(t.Context(), run, event)
	require.NoError(t, err)
	event.Run, event.Package, event.State = run.ID, run.Package, run.State
	require.Empty(t, untold(event, s.get(events+"?run=run").text))
}
