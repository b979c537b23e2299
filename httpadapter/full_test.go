package httpadapter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
)

func TestWhatTheEngineCannotDoNowIsToldApart(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		slug   string
		text   string
	}{
		{storage.ErrFull, 507, "full", "No space is left"},
		{storage.ErrBusy, 503, "busy", "The database is busy"},
		{storage.ErrReadOnly, 503, "unwritable", "The database cannot be written to"},
	} {
		s := new(site).open(t)
		s.engine.refuses = fmt.Errorf("writing /secret/path: %w", tt.err)
		s.journal.before = func() error { return s.engine.refuses }
		s.journal.save = s.journal.before
		own := s.own("PUT", "rows/a", `{"content":{}}`)
		require.Equal(t, tt.slug, own.problem(t))
		require.Equal(t, tt.slug, s.get(runs+"/x").problem(t))
		documented := s.documented("POST", "/lv/publish/a", "")
		require.JSONEq(t, fmt.Sprintf(`{"code":%d,"msg":%q,"data":null}`, tt.status, tt.text), documented.text)
		for _, r := range []reply{own, documented} {
			require.Equal(t, tt.status, r.StatusCode)
			require.NotContains(t, r.text, "secret")
		}
		require.Equal(t, 3, strings.Count(s.log.String(), "/secret/path"), "the log has it for who runs the server: %s", s.log.String())
	}
}
