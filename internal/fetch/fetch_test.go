package fetch_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetch"
)

func TestNoSecretOfAURLIsShown(t *testing.T) {
	for text, want := range map[string]string{
		"https://user:secret@example.com:8080/a%2fb/c?secret#secret": "https://example.com:8080/a%2fb/c",
		"file:///srv/a%20b":  "file:///srv/a%20b",
		"user:secret@host/x": "user:",
		"example.com/a":      "example.com/a",
	} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, fetch.Redacted(u))
	}
}

func TestTheCauseHasNoURL(t *testing.T) {
	refused := errors.New("refused")
	require.Equal(t, refused, fetch.Cause(fmt.Errorf("asking: %w", &url.Error{Op: "Get", URL: "http://secret", Err: refused})))
	require.Equal(t, refused, fetch.Cause(refused))
}

func TestAServerSaysHowLongToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC() // on a full second
		for _, tt := range []struct {
			after, date string
			want        time.Duration
			asked       bool
		}{
			{"", "", 0, false},
			{"soon", "", 0, false},
			{"-5", "", 0, false},
			{"0", "", 0, true},
			{"90", now.Add(time.Hour).Format(http.TimeFormat), 90 * time.Second, true},
			{"2147483647", "", 2147483647 * time.Second, true},
			{"2147483648", "", 0, false},
			{now.Add(time.Minute).Format(http.TimeFormat), "", time.Minute, true},
			{now.Add(time.Minute).Format(http.TimeFormat), now.Add(-time.Minute).Format(http.TimeFormat), 2 * time.Minute, true},
			{now.Add(-time.Minute).Format(http.TimeFormat), "", 0, true},
		} {
			wait, asked := fetch.RetryAfter(http.Header{"Retry-After": {tt.after}, "Date": {tt.date}})
			require.Equal(t, tt.asked, asked, "%q", tt.after)
			if asked {
				require.Equal(t, tt.want, wait, "%q at %q", tt.after, tt.date)
			}
		}
	})
}
