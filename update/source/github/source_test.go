package github_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/github"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
)

const (
	linux   = "app_linux_amd64.tar.gz"
	windows = "app_windows_amd64.zip"
	sums    = "app_1.0.0_checksums.txt"
)

// listed is a list of checksums, as goreleaser writes it.
func listed(contents ...string) string {
	var b strings.Builder
	for _, c := range contents {
		file, content, ok := strings.Cut(c, "=")
		if !ok {
			content = file
		}
		fmt.Fprintf(&b, "%x  %s\n", digest(content), file)
	}
	return b.String()
}

func TestGitHubOffersTheAssetForThisSystem(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{
		g.release("v1.1.0", windows, linux, linux+".sha256", "checksums.txt", "app_darwin_all.tar.gz"),
		g.release("v1.0.0", windows),
		g.release("v0.9.0", "app-x86_64-unknown-linux-musl.tgz"),
	}
	releases, err := sourcetest.Collect(t.Context(), g.source(), "demo/app")
	require.NoError(t, err)
	published := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	require.Equal(t, []update.Release{
		{Version: "v1.1.0", Time: published, URL: g.content.URL + "/v1.1.0/" + linux, Digest: digest(linux), Size: int64(len(linux))},
		{
			Version: "v0.9.0", Time: published, URL: g.content.URL + "/v0.9.0/app-x86_64-unknown-linux-musl.tgz",
			Digest: digest("app-x86_64-unknown-linux-musl.tgz"), Size: int64(len("app-x86_64-unknown-linux-musl.tgz")),
		},
	}, releases)
	require.Len(t, g.requests(), 1, "GitHub says everything at once")
}

func TestGitHubIsAskedAsItWantsToBe(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("v1.0.0", linux)}
	s := g.source()
	s.Token, s.Repository = secret, "demo/app"
	_, err := sourcetest.Collect(t.Context(), s, "anything")
	require.NoError(t, err)
	require.Len(t, g.asked, 1)
	r := g.asked[0]
	require.Equal(t, "/repos/demo/app/releases?per_page=100", r.URL.RequestURI())
	require.Equal(t, "application/vnd.github+json", r.Header.Get("Accept"))
	require.Equal(t, "2022-11-28", r.Header.Get("X-Github-Api-Version"))
	require.Equal(t, "Bearer "+secret, r.Header.Get("Authorization"))
	require.Equal(t, "upkeep", r.Header.Get("User-Agent"))
}

func TestAChannelSaysWhichReleasesCount(t *testing.T) {
	g := newHub(t)
	stable, pre, draft := g.release("v1.0.0", linux), g.release("v1.1.0-rc.1", linux), g.release("v1.2.0", linux)
	pre.Prerelease, draft.Draft, draft.Published = true, true, nil
	g.tags = []tag{draft, pre, stable}
	for channel, want := range map[string][]string{
		"":                {"v1.0.0"},
		github.Stable:     {"v1.0.0"},
		github.Prerelease: {"v1.1.0-rc.1", "v1.0.0"},
		github.Draft:      {"v1.2.0", "v1.1.0-rc.1", "v1.0.0"},
	} {
		s := g.source()
		s.Channel = channel
		releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
		require.NoError(t, err)
		require.Equal(t, want, sourcetest.Versions(releases), channel)
	}
	s := g.source()
	s.Channel = "beta"
	_, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.ErrorIs(t, err, update.ErrInvalid)
}

func TestTagsOfOtherProductsAreLeftOut(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("server/v2.0.0", linux), g.release("cli/v1.0.0", linux), g.release("nightly", linux)}
	s := g.source()
	s.TagPrefix = "cli/"
	releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.NoError(t, err)
	require.Equal(t, []string{"v1.0.0"}, sourcetest.Versions(releases))
}

func TestGitHubRefusesToGuess(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("v1.0.0", linux, "helper_linux_amd64.tar.gz")}
	s := g.source()
	releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.ErrorIs(t, err, github.ErrAmbiguous)
	require.ErrorContains(t, err, "helper_linux_amd64.tar.gz")
	require.Empty(t, releases)

	for pattern, want := range map[string]string{
		"app_{os}_{arch}.tar.gz":    linux,
		"helper_*":                  "helper_linux_amd64.tar.gz",
		"app_{version}_{os}":        "",
		"helper_[{arch}":            "invalid",
		"*_linux_amd64.tar.gz":      "ambiguous",
		"{tag}/app_linux_amd64.tgz": "",
	} {
		s.Asset = pattern
		releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
		switch want {
		case "invalid":
			require.ErrorIs(t, err, update.ErrInvalid, pattern)
		case "ambiguous":
			require.ErrorIs(t, err, github.ErrAmbiguous, pattern)
		case "":
			require.NoError(t, err, pattern)
			require.Empty(t, releases, pattern)
		default:
			require.NoError(t, err, pattern)
			require.Equal(t, g.content.URL+"/v1.0.0/"+want, releases[0].URL, pattern)
		}
	}
}

func TestAPatternKnowsTheVersion(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("cli/v1.0.0", "app-1.0.0[linux].zip", "app-1.0.1[linux].zip")}
	s := g.source()
	s.TagPrefix, s.Asset = "cli/", "app-{version}\\[{os}].zip"
	releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.NoError(t, err)
	require.Equal(t, digest("app-1.0.0[linux].zip"), releases[0].Digest)
}

func TestAnAssetThatIsBeingUploadedDoesNotCount(t *testing.T) {
	g := newHub(t)
	r := g.release("v1.0.0", linux)
	r.Assets[0].State = "starter"
	g.tags = []tag{r}
	s := g.source()
	for _, s.Asset = range []string{"", linux} {
		releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
		require.NoError(t, err)
		require.Empty(t, releases)
	}
	r = g.release("v1.0.0", linux, "app_linux_x64.tar.gz")
	r.Assets[0].State = "starter"
	g.tags = []tag{r}
	releases, err := sourcetest.Collect(t.Context(), g.source(), "demo/app")
	require.NoError(t, err)
	require.Equal(t, digest("app_linux_x64.tar.gz"), releases[0].Digest)
}

func TestDigestsComeFromTheListOfChecksums(t *testing.T) {
	const wrong = "0000000000000000000000000000000000000000000000000000000000000000"
	list := listed(windows, linux)
	tests := []struct {
		name      string
		api       bool // whether GitHub says digests
		checksums string
		assets    []string
		want      []byte
		err       string
	}{
		{"goreleaser's", false, "", []string{linux, sums + "=" + list}, digest(linux), ""},
		{"its signature is no list", false, "", []string{linux, "checksums.txt=" + list, "checksums.txt.sig", "checksums.txt.pem", "checksums.json"}, digest(linux), ""},
		{"the file's own", false, "", []string{linux, linux + ".sha256=" + hex.EncodeToString(digest(linux)) + "\n", sums + "=x"}, digest(linux), ""},
		{"coreutils'", false, "", []string{linux, "SHA256SUMS=" + strings.Replace(list, "  ", " *./", -1)}, digest(linux), ""},
		{"BSD's", false, "", []string{linux, "sha256sum.txt=SHA256 (" + linux + ") = " + hex.EncodeToString(digest(linux))}, digest(linux), ""},
		{"with Windows' ends of lines", false, "", []string{linux, sums + "=" + strings.ReplaceAll(list, "\n", "\r\n")}, digest(linux), ""},
		{"a name that only ends the same", false, "", []string{linux, sums + "=" + wrong + "  other-" + linux}, nil, ""},
		{"nothing at all", false, "", []string{linux}, nil, ""},
		{"no SHA-256", false, "", []string{linux, sums + "=d41d8cd98f00b204e9800998ecf8427e  " + linux}, nil, "is no SHA-256"},
		{"two that differ", false, "", []string{linux, sums + "=" + list + wrong + "  " + linux}, nil, "two checksums"},
		{"two lists", false, "", []string{linux, sums + "=" + list, "SHA256SUMS=" + list}, nil, "lists of checksums"},
		{"one of two lists", false, "SHA256SUMS", []string{linux, sums + "=" + list, "SHA256SUMS=" + list}, digest(linux), ""},
		{"the list that is named", false, "app_{version}_checksums.txt", []string{linux, sums + "=" + list}, digest(linux), ""},
		{"the list of the asset", false, "{asset}.sum", []string{linux, linux + ".sum=" + list}, digest(linux), ""},
		{"GitHub and the list agree", true, sums, []string{linux, sums + "=" + list}, digest(linux), ""},
		{"GitHub and the list differ", true, sums, []string{linux, sums + "=" + wrong + "  " + linux}, nil, "different digests"},
		{"the list that is named lacks it", true, sums, []string{linux, sums + "=" + listed(windows)}, nil, ""},
		{"the list that is named is missing", true, sums, []string{linux}, nil, ""},
		{"the list is not asked if GitHub says it", true, "", []string{linux, sums + "=x"}, digest(linux), ""},
		{"a long list", false, "", []string{linux, sums + "=" + strings.Repeat("x", 1<<20+1)}, nil, "more than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newHub(t)
			g.digests = tt.api
			g.tags = []tag{g.release("v1.0.0", tt.assets...)}
			s := g.source()
			s.Checksums = tt.checksums
			releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				require.ErrorContains(t, err, `release "v1.0.0" of demo/app`)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, releases[0].Digest)
		})
	}
}

func TestADigestOfAnotherKindIsNone(t *testing.T) {
	g := newHub(t)
	r := g.release("v1.0.0", linux)
	g.tags = []tag{r}
	r.Assets[0].Digest = "sha512:00"
	releases, err := sourcetest.Collect(t.Context(), g.source(), "demo/app")
	require.NoError(t, err)
	require.Nil(t, releases[0].Digest)
	r.Assets[0].Digest = "sha256:00"
	_, err = sourcetest.Collect(t.Context(), g.source(), "demo/app")
	require.ErrorContains(t, err, "no SHA-256")
}

func TestASignatureIsAnAssetToo(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("v1.1.0", linux, linux+".minisig=signature"), g.release("v1.0.0", linux)}
	s := g.source()
	s.Signature = "{asset}.minisig"
	releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.NoError(t, err)
	require.Equal(t, []byte("signature"), releases[0].Signature)
	require.Nil(t, releases[1].Signature, "which a step that wants one refuses")
}

func TestPagesAreFollowedToTheLimit(t *testing.T) {
	g := newHub(t)
	for i := range 205 {
		g.tags = append(g.tags, g.release(fmt.Sprintf("v1.0.%d", 300-i), map[bool]string{true: linux, false: windows}[i%2 == 0]))
	}
	s := g.source()
	releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.NoError(t, err)
	require.Len(t, releases, 30)
	require.Len(t, g.requests(), 1)

	s.Limit = 1000
	for _, same := range []int{1, 4} {
		releases, err = sourcetest.Collect(t.Context(), s, "demo/app")
		require.NoError(t, err)
		require.Len(t, releases, 103)
		require.Equal(t, "v1.0.96", releases[102].Version)
		require.Equal(t, []string{
			"/repos/demo/app/releases?per_page=100", "/repos/demo/app/releases?per_page=100&page=2", "/repos/demo/app/releases?per_page=100&page=3",
		}, g.requests())
		require.Equal(t, same, g.same, "what has not changed is not sent again")
	}
}

func TestPagesWithoutEndAreNotFollowedForEver(t *testing.T) {
	g := newHub(t)
	g.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s&again>; rel="next"`, g.api.URL, r.URL.RequestURI()))
		_, _ = io.WriteString(w, "[]")
	}
	releases, err := sourcetest.Collect(t.Context(), g.source(), "demo/app")
	require.NoError(t, err)
	require.Empty(t, releases)
	require.Len(t, g.requests(), 10)
}

func TestWhatHasNotChangedIsNotSentAgain(t *testing.T) {
	g := newHub(t)
	g.digests = false
	g.tags = []tag{g.release("v1.0.0", linux, sums+"="+listed(linux), linux+".minisig=signature")}
	s := g.source()
	s.Signature = "{asset}.minisig"
	for range 2 {
		releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
		require.NoError(t, err)
		require.Equal(t, digest(linux), releases[0].Digest)
		require.Equal(t, []byte("signature"), releases[0].Signature)
	}
	require.Len(t, g.requests(), 4, "the list and the signature are of an asset that cannot change")
	require.Equal(t, 1, g.same)

	g.tags = []tag{g.release("v1.1.0", linux, sums+"="+listed(linux), linux+".minisig=signature")}
	releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.NoError(t, err)
	require.Equal(t, []string{"v1.1.0"}, sourcetest.Versions(releases))
}

func TestAGitHubShowsNoToken(t *testing.T) {
	s := &github.Source{Repository: "demo/app", Token: secret}
	for _, format := range []string{"%v", "%+v", "%s", "%#v", "%q"} {
		require.NotContains(t, fmt.Sprintf(format, s), secret, format)
		require.NotContains(t, fmt.Sprintf(format, update.Package{Source: s}), secret, format)
	}
	var lines bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&lines, nil), slog.NewTextHandler(&lines, nil)} {
		slog.New(handler).Info("updating", "source", s)
	}
	require.Contains(t, lines.String(), "demo/app")
	require.NotContains(t, lines.String(), secret)
}

func TestGitHubStopsWithItsReader(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("v1.1.0", linux), g.release("v1.0.0", linux)}
	n := 0
	for range g.source().Versions(t.Context(), "demo/app") {
		n++
		break
	}
	require.Equal(t, 1, n)
}
