package sync_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestObjectsOfJSONAreMergedByMembers(t *testing.T) {
	for name, tt := range map[string]struct{ base, ours, theirs, want string }{
		"other members":                   {`{"a":1,"b":2}`, `{"a":3,"b":2}`, `{"a":1,"b":4}`, `{"a":3,"b":4}`},
		"at depth":                        {`{"a":{"b":1,"c":1}}`, `{"a":{"b":2,"c":1}}`, `{"a":{"b":1,"c":2,"d":3}}`, `{"a":{"b":2,"c":2,"d":3}}`},
		"a member that is new":            {`{}`, `{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		"a deletion":                      {`{"a":1,"b":2}`, `{"b":2}`, `{"a":1,"b":3}`, `{"b":3}`},
		"an edit beats a deletion":        {`{"a":1}`, `{}`, `{"a":2}`, `{"a":2}`},
		"without a base":                  {"", `{"a":1,"c":null}`, `{"b":2,"c":null}`, `{"a":1,"b":2,"c":null}`},
		"the same edit":                   {`{"a":1}`, `{ "a" : 2 }`, `{"a":2}`, `{"a":2}`},
		"numbers keep their digits":       {`{"a":1.0,"b":1}`, `{"a":1.0,"b":9007199254740993}`, `{"a":1.00,"b":1}`, `{"a":1.00,"b":9007199254740993}`},
		"arrays are one value":            {`{"a":[1]}`, `{"a":[1,2]}`, `{"a":[1,3]}`, "error"},
		"the same member":                 {`{"a":1}`, `{"a":2}`, `{"a":3}`, "error"},
		"new members with other values":   {"", `{"a":1}`, `{"a":2}`, "error"},
		"no objects":                      {`1`, `2`, `3`, "error"},
		"not JSON":                        {`{}`, `{`, `{"a":1}`, "error"},
		"lines, if both have them":        {`{"a":1}`, "{\n \"a\":1,\n \"b\":2}\n", "{\n}", "{\n  \"b\": 2\n}\n"},
		"no lines, if one side does well": {`{"a":1}`, "{\n \"a\":1,\n \"b\":2}\n", `{"a":1}`, `{"a":1,"b":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			var base []byte
			if tt.base != "" {
				base = []byte(tt.base)
			}
			got, err := cloudsync.MergeJSON(base, []byte(tt.ours), []byte(tt.theirs))
			swapped, e := cloudsync.MergeJSON(base, []byte(tt.theirs), []byte(tt.ours))
			require.Equal(t, err == nil, e == nil)
			if tt.want == "error" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
			require.Equal(t, tt.want, string(swapped))
		})
	}
}

// merging is a world of devices that merge files.
func merging(t *testing.T, merge map[string]cloudsync.Merge) (w *world, a, b *device) {
	w = newWorld(t, 2)
	w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Merge = merge }
	return w, w.devices[0], w.devices[1]
}

func TestTwoEditsAreMergedWhereAMergeIsKnown(t *testing.T) {
	w, a, b := merging(t, map[string]cloudsync.Merge{".json": cloudsync.MergeJSON})
	a.disk.write("d/x.JSON", `{"a":1,"b":1}`)
	w.settle()
	a.disk.write("d/x.JSON", `{"a":2,"b":1}`)
	a.disk.write("new.json", `{"of":{"a":1}}`)
	b.disk.write("d/x.JSON", `{"a":1,"b":2}`)
	b.disk.write("new.json", `{"of":{"b":1}}`)
	w.must(a)
	plan, err := w.engine(b, new(process), false).Plan(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	require.Equal(t, "[merge d/x.JSON (13 bytes) merge new.json (20 bytes)]", fmt.Sprint(plan.Actions))
	r, err := w.sync(b, new(process), cloudsync.Request{Plan: plan.ID})
	require.NoError(t, err)
	require.Empty(t, r.Conflicts)
	w.settle()
	w.equal()
	require.Equal(t, `d/ d/x.JSON={"a":2,"b":2} new.json={"of":{"a":1,"b":1}}`, a.disk.String())
}

func TestWhatIsEditedWhileItIsMergedIsNotLost(t *testing.T) {
	w, a, b := merging(t, map[string]cloudsync.Merge{".json": cloudsync.MergeJSON})
	a.disk.write("x.json", `{}`)
	w.settle()
	a.disk.write("x.json", `{"a":1}`)
	w.must(a)
	for call := 1; call < 100; call++ {
		try := newWorld(t, 1)
		try.cloud, try.planted = newCloud(), w.planted
		for name, object := range w.cloud.objects {
			try.cloud.objects[name], try.cloud.content[name] = object, w.cloud.content[name]
		}
		d := try.devices[0]
		for key, value := range b.notes {
			d.notes[key] = bytes.Clone(value)
		}
		for path, n := range b.disk.all {
			same := *n
			d.disk.all[path] = &same
		}
		d.disk.now = b.disk.now + 8
		d.disk.write("x.json", `{"b":1}`)
		d.disk.now += 8
		seen := false // what the other has written, by who edits
		p := &process{during: map[int]func(){call: func() {
			seen = strings.Contains(d.disk.all["x.json"].content, "a")
			d.disk.write("x.json", `{"b":2}`)
		}}}
		_, err := try.sync(d, p, cloudsync.Request{})
		require.NoError(t, err)
		if p.calls < call { // it was over before
			require.Greater(t, call, 20)
			return
		}
		try.settle()
		require.Contains(t, d.disk.String(), `"b":2`, "call %d", call)
		require.True(t, seen || strings.Contains(d.disk.String(), `"a":1`), "call %d", call)
	}
	require.Fail(t, "it has no end")
}

func TestBothAreKeptWhereAMergeDoesNotDo(t *testing.T) {
	first := func(_, ours, _ []byte) ([]byte, error) { return ours, nil }
	fails := func(_, _, _ []byte) ([]byte, error) { return nil, fmt.Errorf("no") }
	grows := func(_, _, _ []byte) ([]byte, error) { return make([]byte, 16<<20+1), nil }
	rude := func(base, ours, theirs []byte) ([]byte, error) {
		clear(base)
		clear(ours)
		return bytes.Clone(theirs), nil
	}
	for name, merge := range map[string]cloudsync.Merge{"another way round": first, "an error": fails, "too large": grows, "changes what it gets": rude} {
		t.Run(name, func(t *testing.T) {
			w, a, b := merging(t, map[string]cloudsync.Merge{".x": merge})
			a.disk.write("f.x", "base")
			w.settle()
			a.disk.write("f.x", "left")
			b.disk.write("f.x", "right")
			w.settle()
			w.equal()
			require.Regexp(t, `^f \(conflict [0-9a-f]{8}\)\.x=right f\.x=left$`, a.disk.String())
		})
	}
	w, a, b := merging(t, map[string]cloudsync.Merge{".x": func(_, _, _ []byte) ([]byte, error) { return nil, nil }})
	a.disk.write("f.x", strings.Repeat("a", 16<<20+1))
	b.disk.write("f.x", "small")
	w.settle()
	require.Len(t, copies(a), 1)
}
