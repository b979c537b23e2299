package github_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/github"
)

func FuzzChecksums(f *testing.F) {
	f.Add([]byte(listed(linux, windows)), linux)
	f.Add([]byte("SHA256 (app) = 00\n"), "app")
	f.Add([]byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), "")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		sum, err := github.Checksum(text, name)
		if err != nil {
			require.Nil(t, sum)
			return
		}
		if sum != nil {
			require.Len(t, sum, 32)
		}
		same, err := github.Checksum(append(text, "\n\n"...), name)
		require.NoError(t, err, "empty lines are nobody's")
		require.Equal(t, sum, same)
	})
}

func FuzzGitHubReleases(f *testing.F) {
	f.Add([]byte(`[{"tag_name":"v1","draft":true,"published_at":null,"assets":[{"name":"a","size":1,"digest":null}]}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		releases, err := github.DecodePage(text)
		if err != nil {
			require.Nil(t, releases)
			return
		}
		for _, r := range releases {
			for _, a := range r.Assets {
				require.GreaterOrEqual(t, a.Size, int64(0))
			}
		}
	})
}

func FuzzNextLink(f *testing.F) {
	f.Add(`<https://example.com/?page=2>; rel="next", <https://example.com/?page=5>; rel="last"`)
	f.Fuzz(func(t *testing.T, header string) {
		next := github.NextLink([]string{header})
		require.NotContains(t, next, ",")
		_, _ = url.Parse(next)
		require.Equal(t, next, github.NextLink([]string{"", header}))
	})
}
