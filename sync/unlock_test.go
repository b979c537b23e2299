package sync_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func with(passphrase string) func(*cloudsync.Config) {
	return func(c *cloudsync.Config) { c.Vault = latch(passphrase) }
}

func TestAWrongPassphraseOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		newDesk(t, "laptop", cloud, nil).sync(cloudsync.Request{})
		for passphrase, why := range map[string]string{"wrong": "wrong passphrase: none of 1 keys opens", "": "wrong passphrase: it is empty: none of 1 keys opens"} {
			b := newDesk(t, "phone", cloud, with(passphrase))
			b.disk.write("b", "of the phone")
			_, err := b.Sync(t.Context(), cloudsync.Request{})
			require.ErrorIs(t, err, cloudsync.ErrPassphrase)
			require.ErrorContains(t, err, why)
			_, err = b.Plan(t.Context(), cloudsync.Request{})
			require.ErrorIs(t, err, cloudsync.ErrPassphrase)
		}
		require.Len(t, objects(t, cloud), 2, "config and key")
	})
}

// objects are the names of what a remote has.
func objects(t *testing.T, r cloudsync.Remote) (names []string) {
	for o, err := range r.List(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, o.Name)
	}
	return names
}

func TestADeviceThatHasOpenedTheRemoteNeedsNoPassphrase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a := newDesk(t, "laptop", cloud, nil)
		a.sync(cloudsync.Request{})
		a.c.Vault = latch("")
		a.open()
		a.disk.write("a", "more")
		a.sync(cloudsync.Request{})
	})
}

func TestKeysComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a := newDesk(t, "laptop", cloud, nil)
		a.sync(cloudsync.Request{})
		keys := func() (names []string, ids []string) {
			for key, err := range a.Keys(t.Context()) {
				require.NoError(t, err)
				names, ids = append(names, key.Name), append(ids, key.ID)
			}
			return names, ids
		}
		names, ids := keys()
		require.Equal(t, []string{"laptop"}, names)
		require.ErrorIs(t, a.RemoveKey(t.Context(), ids[0], cloudsync.By{}), cloudsync.ErrInvalid)
		require.ErrorIs(t, a.RemoveKey(t.Context(), "none", cloudsync.By{}), cloudsync.ErrNotFound)
		_, err := a.AddKey(t.Context(), "", "another", cloudsync.By{})
		require.ErrorIs(t, err, cloudsync.ErrInvalid)
		added, err := a.AddKey(t.Context(), "for bob", "another", cloudsync.By{})
		require.NoError(t, err)
		require.False(t, added.Time.IsZero())
		newDesk(t, "phone", cloud, with("another")).sync(cloudsync.Request{})
		require.NoError(t, a.RemoveKey(t.Context(), ids[0], cloudsync.By{Actor: "ann"}))
		names, _ = keys()
		require.Equal(t, []string{"for bob"}, names)
		_, err = newDesk(t, "tablet", cloud, nil).Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrPassphrase)
		newDesk(t, "desktop", cloud, with("another")).sync(cloudsync.Request{})
		a.sync(cloudsync.Request{})
	})
}

func TestTwoDevicesThatBeginAtOnceHaveOneRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newSlow(memory.New().Remote("notes"))
		a, b := newDesk(t, "laptop", cloud, nil), newDesk(t, "phone", cloud, nil)
		a.disk.write("a", "of the laptop")
		b.disk.write("b", "of the phone")
		one, err := a.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		two, err := b.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		for range 2 {
			<-cloud.at // neither has found anything
		}
		close(cloud.waits)
		_, err = a.Wait(t.Context(), one.ID)
		require.NoError(t, err)
		_, err = b.Wait(t.Context(), two.ID)
		require.NoError(t, err)
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		require.Equal(t, a.disk.String(), b.disk.String())
		require.Contains(t, a.disk.String(), "b")
		slots := 0
		for _, name := range objects(t, cloud) {
			if strings.HasPrefix(name, "keys/") {
				slots++
			}
			require.False(t, strings.HasPrefix(name, "probe/"), name)
		}
		require.Equal(t, 1, slots)
	})
}

// careless is a remote that overwrites what is there.
type careless struct{ cloudsync.Remote }

func (c careless) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if err := c.Delete(ctx, name); err != nil {
		return err
	}
	return c.Remote.PutIfAbsent(ctx, name, body)
}

// forgetfulRemote keeps what was there, and does not say so.
type forgetfulRemote struct{ cloudsync.Remote }

func (c forgetfulRemote) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if r, err := c.Get(ctx, name, 0, -1); err == nil {
		_, _ = io.Copy(io.Discard, r)
		return r.Close()
	}
	return c.Remote.PutIfAbsent(ctx, name, body)
}

func TestARemoteThatOverwritesIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, cloud := range []cloudsync.Remote{careless{memory.New().Remote("a")}, forgetfulRemote{memory.New().Remote("b")}} {
			_, err := newDesk(t, "laptop", cloud, nil).Sync(t.Context(), cloudsync.Request{})
			require.ErrorIs(t, err, cloudsync.ErrUnsafe)
			require.Empty(t, objects(t, cloud))
		}
	})
}

func TestAPlanMakesNoRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("a", "of the laptop")
		plan, err := a.Plan(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		require.Equal(t, "upload a (13 bytes)", plan.Actions[0].String())
		require.Empty(t, objects(t, cloud))
		run := a.sync(cloudsync.Request{Plan: plan.ID})
		require.Equal(t, 1, run.Uploaded)
	})
}

func TestARemoteWhoseConfigIsGoneIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("a", "of the laptop")
		a.sync(cloudsync.Request{})
		for _, name := range objects(t, cloud) {
			require.NoError(t, cloud.Delete(t.Context(), name))
		}
		_, err := a.Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrForked)
		a.sync(cloudsync.Request{Fresh: true})
		b := newDesk(t, "phone", cloud, nil)
		b.sync(cloudsync.Request{})
		require.Equal(t, a.disk.String(), b.disk.String())
		for _, name := range objects(t, cloud) {
			require.NoError(t, cloud.Delete(t.Context(), name))
		}
		newDesk(t, "tablet", cloud, with("another")).sync(cloudsync.Request{})
		_, err = a.Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrForked)
		_, err = a.Sync(t.Context(), cloudsync.Request{Fresh: true})
		require.ErrorIs(t, err, cloudsync.ErrPassphrase)
		a.c.Vault = latch("another")
		a.open()
		a.sync(cloudsync.Request{Fresh: true})
	})
}

func TestEachRemoteHasABaseOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		clouds := db.Remotes()
		for _, name := range []string{"main", "other"} {
			require.NoError(t, clouds.Create(t.Context(), name))
		}
		a := newDesk(t, "laptop", nil, func(c *cloudsync.Config) { c.Remotes = clouds })
		_, err := a.Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrInvalid, "which one?")
		require.NoError(t, a.Configure(t.Context(), func(s *cloudsync.Settings) { s.Remote = "main" }, cloudsync.By{}))
		a.disk.write("a", "of the laptop")
		first := a.sync(cloudsync.Request{})
		require.Equal(t, "main", first.Request.Remote)
		run := a.sync(cloudsync.Request{Remote: "other"})
		require.Equal(t, 1, run.Uploaded)
		require.NotEqual(t, first.Commit, run.Commit)
		status, err := a.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, first.Commit, status.Commit)
		a.disk.remove("a")
		a.sync(cloudsync.Request{})
		require.NotContains(t, a.disk.String(), "a")
		_, err = a.Sync(t.Context(), cloudsync.Request{Remote: "other"})
		require.NoError(t, err)
		require.NotContains(t, a.disk.String(), "laptop", "it was deleted since the base of the other remote, too")
	})
}

func TestSettingsNameARemoteThatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		require.NoError(t, db.Remotes().Create(t.Context(), "other"))
		to := func(d *desk, remote string) error {
			return d.Configure(t.Context(), func(s *cloudsync.Settings) { s.Remote = remote }, cloudsync.By{})
		}
		settings := func(d *desk) cloudsync.Settings {
			status, err := d.Status(t.Context())
			require.NoError(t, err)
			return status.Settings
		}
		a := newDesk(t, "laptop", nil, func(c *cloudsync.Config) { c.Remotes = db.Remotes() })
		require.NoError(t, to(a, "other"))
		_, err := a.Start(t.Context(), cloudsync.Request{Remote: "none"})
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
		for run, err := range a.History(t.Context(), cloudsync.Query{}) {
			require.NoError(t, err)
			require.Fail(t, "it has begun", "%v", run)
		}
		require.ErrorIs(t, to(a, "none"), cloudsync.ErrNotFound)
		require.ErrorIs(t, to(a, ""), cloudsync.ErrInvalid, "there is no Config.Remote")
		require.Equal(t, cloudsync.Settings{Enabled: true, Remote: "other"}, settings(a))

		b := newDesk(t, "phone", db.Remote("notes"), nil)
		require.ErrorIs(t, to(b, "other"), cloudsync.ErrNotFound, "there are no Remotes")
		require.Equal(t, cloudsync.Settings{Enabled: true}, settings(b))

		require.NoError(t, db.Remotes().Remove(t.Context(), "other"))
		require.NoError(t, a.Configure(t.Context(), func(s *cloudsync.Settings) { s.Enabled = false }, cloudsync.By{}), "what is gone is no hindrance to that")
	})
}

func TestTheRemoteOfTheConfigCanBeNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		require.NoError(t, db.Remotes().Create(t.Context(), "other"))
		a := newDesk(t, "laptop", db.Remote("notes"), func(c *cloudsync.Config) { c.Remotes = db.Remotes() })
		to := func(remote string) cloudsync.Settings {
			require.NoError(t, a.Configure(t.Context(), func(s *cloudsync.Settings) { s.Remote = remote }, cloudsync.By{}))
			status, err := a.Status(t.Context())
			require.NoError(t, err)
			return status.Settings
		}
		byName := cloudsync.Request{Remote: cloudsync.DefaultRemote}
		a.disk.write("a", "of the laptop")
		first := a.sync(byName)
		require.Equal(t, "other", to("other").Remote)
		again := a.sync(byName)
		require.Empty(t, again.Request.Remote)
		require.Equal(t, first.Commit, again.Commit)
		plan, err := a.Plan(t.Context(), byName)
		require.NoError(t, err)
		require.Equal(t, first.Commit, plan.Base)
		require.Empty(t, to(cloudsync.DefaultRemote).Remote)

		require.NoError(t, db.Remotes().Create(t.Context(), cloudsync.DefaultRemote))
		require.Equal(t, cloudsync.DefaultRemote, a.sync(byName).Request.Remote, "one of Remotes comes first")
	})
}
