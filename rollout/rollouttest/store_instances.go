package rollouttest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

// instanceCase is a promise of rollout.InstanceStore, in words, and its check.
type instanceCase struct {
	Name string
	Run  func(*instanceTest)
}

func (h InstanceHarness) cases() []suitetest.Case {
	cases := []instanceCase{
		{"a new host has no instances", (*instanceTest).none},
		{"an instance comes back as it was put", (*instanceTest).trip},
		{"an instance needs an id", (*instanceTest).needsID},
		{"put replaces an instance, and remove forgets it", (*instanceTest).replaces},
		{"instances are listed in the order of their ids", (*instanceTest).order},
		{"instances may be changed while they are listed", (*instanceTest).slowly},
		{"hosts do not see each other", (*instanceTest).apart},
		{"texts of an instance come back byte by byte", (*instanceTest).texts},
		{"a context that has ended puts and lists nothing", (*instanceTest).ended},
		{"what is put and what is listed is the caller's to change", (*instanceTest).copies},
	}
	if h.Again != nil {
		cases = append(cases, instanceCase{"two handles see the same instances", (*instanceTest).handles})
	}
	if h.Damage != nil {
		cases = append(cases, instanceCase{"an instance that cannot be read is named, and the others are listed", (*instanceTest).damaged})
	}
	return suitetest.On(func(t testing.TB) *instanceTest {
		all := h.Open(t)
		return &instanceTest{t, all.Instances("host"), all, h}
	}, slices.Clone(cases))
}

// instanceTest is what a case of RunInstances works with.
type instanceTest struct {
	testing.TB
	rollout.InstanceStore // of host, over fresh state
	hosts                 Hosts
	h                     InstanceHarness
}

func (t *instanceTest) put(all ...rollout.Instance) {
	t.Helper()
	for _, i := range all {
		require.NoError(t, t.Put(t.Context(), i))
	}
}

func (t *instanceTest) all(s rollout.InstanceStore) (all []rollout.Instance) {
	t.Helper()
	for i, err := range s.List(t.Context()) {
		require.NoError(t, err)
		all = append(all, i)
	}
	return all
}

func (t *instanceTest) none() {
	require.Empty(t, t.all(t))
	require.NoError(t, t.Remove(t.Context(), "none"), "what is gone is not an error")
}

func (t *instanceTest) trip() {
	i := filltest.New[rollout.Instance]()
	bare := rollout.Instance{ID: "a"}
	empty := rollout.Instance{ID: "b", Spec: rollout.Spec{Command: []string{}, Environment: map[string]string{}, Health: &rollout.Health{}}}
	t.put(i, empty, bare)
	require.Equal(t, []rollout.Instance{bare, empty, i}, t.all(t))
	require.Empty(t, filltest.Zeros(t.all(t)[2]), "no field is forgotten")
}

func (t *instanceTest) needsID() {
	require.ErrorIs(t, t.Put(t.Context(), rollout.Instance{Endpoint: "http://127.0.0.1"}), rollout.ErrInvalid)
	require.Empty(t, t.all(t))
}

func (t *instanceTest) replaces() {
	a, b := filltest.New[rollout.Instance](), rollout.Instance{ID: "b", Process: "1"}
	a.ID = "a"
	t.put(a, b)
	a = rollout.Instance{ID: "a", Process: "2"}
	t.put(a)
	require.Equal(t, []rollout.Instance{a, b}, t.all(t), "put replaces all of an instance")
	for range 2 {
		require.NoError(t, t.Remove(t.Context(), "a"))
		require.Equal(t, []rollout.Instance{b}, t.all(t))
	}
	t.put(a)
	require.Len(t, t.all(t), 2, "what was forgotten may come back")
}

func (t *instanceTest) order() {
	const n = 300
	for i := range n {
		t.put(rollout.Instance{ID: fmt.Sprintf("%03d", i*7%n)})
	}
	for i, instance := range t.all(t) {
		require.Equal(t, fmt.Sprintf("%03d", i), instance.ID)
	}
	require.Len(t, t.all(t), n)
}

func (t *instanceTest) slowly() {
	t.put(rollout.Instance{ID: "1"}, rollout.Instance{ID: "2"}, rollout.Instance{ID: "3"})
	list := t.List(t.Context())
	for range 2 {
		n := 0
		for i, err := range list {
			require.NoError(t, err)
			i.Process += "x"
			t.put(i)
			n++
		}
		require.Equal(t, 3, n, "each range over the list begins anew")
	}
	for range list {
		break
	}
	for _, i := range t.all(t) {
		require.Equal(t, "xx", i.Process)
	}
}

func (t *instanceTest) apart() {
	names := append(suitetest.Names(), "")
	for _, name := range names {
		require.NoError(t, t.hosts.Instances(name).Put(t.Context(), rollout.Instance{ID: "same", Process: name}))
	}
	for _, name := range names {
		require.Equal(t, []rollout.Instance{{ID: "same", Process: name}}, t.all(t.hosts.Instances(name)), "%.40q", name)
	}
	require.Empty(t, t.all(t), "they are of others")
	require.NoError(t, t.Remove(t.Context(), "same"))
	require.Len(t, t.all(t.hosts.Instances("core")), 1, "they are of others")
}

func (t *instanceTest) texts() {
	for _, text := range oddTexts {
		i := filltest.New[rollout.Instance]()
		retext(reflect.ValueOf(&i).Elem(), text)
		i.ID = text[:min(len(text), 128)]
		t.put(i)
		found := false
		for _, got := range t.all(t) {
			found = found || reflect.DeepEqual(i, got)
		}
		require.True(t, found, "a text comes back byte by byte")
	}
	require.Len(t, t.all(t), len(oddTexts))
}

func (t *instanceTest) ended() {
	t.put(rollout.Instance{ID: "1"})
	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, t.Put(ended, rollout.Instance{ID: "2"}), context.Canceled)
	require.ErrorIs(t, t.Remove(ended, "1"), context.Canceled)
	n := 0
	for _, err := range t.List(ended) {
		require.ErrorIs(t, err, context.Canceled)
		n++
	}
	require.Equal(t, 1, n, "an error is the last pair")
	require.Equal(t, []rollout.Instance{{ID: "1"}}, t.all(t))
}

func (t *instanceTest) copies() {
	i := filltest.New[rollout.Instance]()
	t.put(i)
	filltest.Scribble(i)
	want := []rollout.Instance{filltest.New[rollout.Instance]()}
	got := t.all(t)
	require.Equal(t, want, got, "what was put is the caller's")
	filltest.Scribble(got)
	require.Equal(t, want, t.all(t), "what is listed is the caller's")
}

func (t *instanceTest) handles() {
	other := t.h.Again(t, t.hosts).Instances("host")
	i := filltest.New[rollout.Instance]()
	t.put(i)
	require.Equal(t, []rollout.Instance{i}, t.all(other))
	require.NoError(t, other.Remove(t.Context(), i.ID))
	require.Empty(t, t.all(t))
}

func (t *instanceTest) damaged() {
	t.put(rollout.Instance{ID: "1"}, rollout.Instance{ID: "2"}, rollout.Instance{ID: "3"})
	t.h.Damage(t, t.hosts, "host", "2")
	var all []string
	for i, err := range t.List(t.Context()) {
		if all = append(all, i.ID); i.ID != "2" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, rollout.ErrCorrupt)
		require.ErrorContains(t, err, `"2"`)
	}
	require.Equal(t, []string{"1", "2", "3"}, all, "the list goes on")
}
