package httpadapter

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// dirOf is the cloud directory in use.
func dirOf(st cloudsync.Status) string { return cmp.Or(st.Settings.Remote, cloudsync.DefaultRemote) }

func (s *syncRoutes) enable(c *web.Call) error {
	var b enableBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	if b.Enabled == nil {
		return web.BadBody.With("enabled is needed")
	}
	return s.configured(c, func(now *cloudsync.Settings) { now.Enabled = *b.Enabled })
}

func (s *syncRoutes) setDir(c *web.Call) error {
	name, err := s.named(c)
	if err != nil {
		return err
	}
	return s.configured(c, func(now *cloudsync.Settings) { now.Remote = name })
}

// configured answers once the settings are changed.
func (s *syncRoutes) configured(c *web.Call, change func(*cloudsync.Settings)) error {
	why, err := c.Because("reason", "", "")
	if err != nil {
		return err
	}
	if err := s.folder.Configure(c.Context(), change, cloudsync.By(why)); err != nil {
		return err
	}
	return c.Reply(http.StatusOK, siyuanReply{})
}

// named is the cloud directory that a body names.
func (s *syncRoutes) named(c *web.Call) (string, error) {
	var b dirBody
	if err := c.Decode(&b); err != nil {
		return "", err
	}
	if b.Name == "" || len(b.Name) > maxDir {
		return "", web.BadBody.With(fmt.Sprintf("name is not of 1 to %d bytes", maxDir))
	}
	return b.Name, nil
}

const maxDir = 63 // bytes of a name

// listDirs tells of names only: to know how much is in a remote is to list it.
func (s *syncRoutes) listDirs(c *web.Call) error {
	st, err := s.syncer.Status(c.Context())
	if err != nil {
		return err
	}
	dirs := web.Map(s.remotes.List(c.Context()), func(name string, err error) (siyuanDir, error) {
		return siyuanDir{CloudName: name, SaveDir: true}, err
	})
	return web.List(c, `{"code":0,"msg":"","data":{"syncDirs":[`, dirs,
		fmt.Sprintf(`],"hSize":"","checkedSyncDir":%s}}`, web.Encode(dirOf(st))))
}

func (s *syncRoutes) createDir(c *web.Call) error {
	name, err := s.named(c)
	if err != nil {
		return err
	}
	if err := s.remotes.Create(c.Context(), name); err != nil {
		return err
	}
	return c.Reply(http.StatusOK, siyuanReply{})
}

// removeDir refuses the one in use, which the public program would leave for
// another one.
func (s *syncRoutes) removeDir(c *web.Call) error {
	name, err := s.named(c)
	if err != nil {
		return err
	}
	st, err := s.syncer.Status(c.Context())
	switch {
	case err != nil:
		return err
	case dirOf(st) == name || st.Run != nil && st.Run.Request.Remote == name:
		return fmt.Errorf("%w: remote %q is in use", cloudsync.ErrInvalid, name)
	}
	if err := s.remotes.Remove(c.Context(), name); err != nil {
		return err
	}
	return c.Reply(http.StatusOK, siyuanReply{Data: dirOf(st)})
}
