package rollouttest

import (
	"context"
	"math"
	"reflect"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/rollout"
)

// oddTexts are those that engines have been seen to change.
var oddTexts = []string{
	"nul \x00 inside", "\x00", `quotes " ' \ and <html> & %s ?1 $1`, "lines\r\n\t\u2028\u2029\x1b[0m\x7f",
	"核心更新 é e\u0301 \U0001f680 \ufeff \ufffd \ufdd0", strings.Repeat("long ", 20_000), " spaces ",
	"not \xff\xfe UTF-8 \xc3", "\xed\xa0\x80", "\U0010ff00 \U0010ffff",
}

func texts(t *storeTest) {
	for i, text := range oddTexts {
		name := text[:min(len(text), 128)]
		given := full(name)
		id := rollout.ServiceID{Env: name, Name: name}
		retext(reflect.ValueOf(&given).Elem(), name)
		given.Run.Service, given.Service.ID, given.Run.Reason, given.Events[0].Message = id, id, text, text
		event := given.Events[0].Clone()
		saved := t.create(given)
		given.Events = nil
		require.True(t, reflect.DeepEqual(asStored(given, saved), asStored(saved, saved)), "a text comes back byte by byte")
		require.True(t, reflect.DeepEqual(*saved.Run, t.get(name)), "an id is any text")
		require.True(t, reflect.DeepEqual(*saved.Service, t.service(id)), "a service has any name")
		require.Equal(t, []string{name}, t.list(rollout.Query{RequestID: name}), "a RequestID is any text")
		require.Equal(t, []string{name}, t.list(rollout.Query{Service: id}), "a service has any name")
		stored := t.events(0, i+1)[i]
		event.Seq, event.Time = stored.Seq, stored.Time
		require.True(t, reflect.DeepEqual(event, stored), "a text comes back byte by byte")
	}
}

// retext gives every text that a value has, at any depth, another value.
func retext(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				retext(v.Field(i), text)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			retext(v.Elem(), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			retext(v.Index(i), text)
		}
	case reflect.Map:
		value := v.MapIndex(v.MapKeys()[0])
		v.Clear()
		key := reflect.New(v.Type().Key()).Elem()
		retext(key, text)
		fresh := reflect.New(v.Type().Elem()).Elem()
		fresh.Set(value)
		retext(fresh, text)
		v.SetMapIndex(key, fresh)
	}
}

func oddNumbers(t *storeTest) {
	values := map[string]float64{
		"nan": math.NaN(), "inf": math.Inf(1), "minus": math.Inf(-1), "tenth": 0.1, "least": math.SmallestNonzeroFloat64, "most": math.MaxFloat64,
	}
	r := aRun("1")
	r.States = []rollout.StateRecord{{Measurements: []rollout.Measurement{{Values: values}}}}
	t.create(of(r))
	got := t.get("1").States[0].Measurements[0].Values
	require.True(t, math.IsNaN(got["nan"]))
	delete(got, "nan")
	delete(values, "nan")
	require.Equal(t, values, got)
}

func endedContext(t *storeTest) {
	saved := t.create(full("1"))
	ended, end := context.WithCancel(t.Context())
	end()
	t.refused(func() {
		_, err := t.Create(ended, of(done("2"), about("2")))
		require.ErrorIs(t, err, context.Canceled)
		_, err = t.Save(ended, saved)
		require.ErrorIs(t, err, context.Canceled)
		_, err = t.Get(ended, "1")
		require.ErrorIs(t, err, context.Canceled)
		_, err = t.Service(ended, web)
		require.ErrorIs(t, err, context.Canceled)
		for _, err := range t.Services(ended, rollout.ServiceQuery{}) {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

func resultsAreCopies(t *storeTest) {
	saved := t.create(full("1"))
	want := saved.Clone()
	filltest.Scribble(saved)
	saved = want.Clone()
	saved.Events = nil
	check := func() {
		t.Helper()
		require.Equal(t, *want.Run, t.get("1"), "what a call returns is the caller's")
		require.Equal(t, *want.Service, t.service(web), "what a call returns is the caller's")
	}
	check()
	filltest.Scribble(t.get("1"))
	filltest.Scribble(t.service(web))
	for r, err := range t.History(t.Context(), rollout.Query{}) {
		require.NoError(t, err)
		filltest.Scribble(r)
	}
	for _, s := range t.all(rollout.ServiceQuery{}) {
		filltest.Scribble(s)
	}
	check()
	again, err := t.Create(t.Context(), full("1"))
	require.ErrorIs(t, err, rollout.ErrExists)
	filltest.Scribble(again)
	check()
	saved = t.save(saved)
	want = saved.Clone()
	filltest.Scribble(saved)
	check()
	event := t.log()[0].Clone()
	filltest.Scribble(t.log()[0])
	require.Equal(t, event, t.log()[0], "events are the caller's")
}

func argumentsAreCopied(t *storeTest) {
	given := full("1")
	saved := t.create(given).Clone() // it may share memory with what was given
	require.Equal(t, full("1"), given, "a call leaves alone what it was given")
	check := func() {
		t.Helper()
		require.Equal(t, *saved.Run, t.get("1"), "what a call was given is the caller's")
		require.Equal(t, *saved.Service, t.service(web), "what a call was given is the caller's")
	}
	split := given.Events[0].Clone().Split
	filltest.Scribble(given)
	check()
	require.Equal(t, split, t.log()[0].Split, "events are the caller's")
	next := saved.Clone()
	next.Events = nil
	saved = t.save(next).Clone()
	filltest.Scribble(next)
	check()
}
