package manifest_test

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// Each of these servers comes after a good answer with serial 5, and before
// another one, which is accepted though the broken one was not.
func TestServersThatLieAreNotBelieved(t *testing.T) {
	write := func(text []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"evil"`)
			_, _ = w.Write(text)
		}
	}
	other := list(9, offer("6.6.6", ""))
	other.Product = "demo/other"
	beta := list(9, offer("6.6.6", ""))
	beta.Channel = "beta"
	expired := list(9, offer("6.6.6", ""))
	expired.Issued, expired.Expires = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	changed := published(t, list(9, offer("6.6.6", "")))
	changed[len(changed)/2] ^= 1
	tests := []struct {
		name   string
		broken http.HandlerFunc
		err    error
		says   string
	}{
		{"nobody signed", write(published(t, list(9, offer("6.6.6", "")), 9)), manifest.ErrSignature, ""},
		{"changed on the way", write(changed), nil, "manifest:"},
		{"older", write(published(t, list(4, offer("6.6.6", "")))), manifest.ErrReplayed, "serial 4 after 5"},
		{"as old, and another", write(published(t, list(5, offer("6.6.6", "")))), manifest.ErrReplayed, "another content"},
		{"of another product", write(published(t, other)), manifest.ErrMismatch, "demo/other"},
		{"of another channel", write(published(t, beta)), manifest.ErrMismatch, "beta"},
		{"expired", write(published(t, expired)), manifest.ErrExpired, ""},
		{"a portal", write([]byte("<html>please log in</html>")), manifest.ErrMalformed, ""},
		{"nothing", write(nil), manifest.ErrMalformed, ""},
		{"very much", func(w http.ResponseWriter, r *http.Request) {
			for block := make([]byte, 1<<16); r.Context().Err() == nil; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, nil, "more than 4194304 bytes"},
		{"very much in little", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 5<<20))
			_ = z.Close()
		}, nil, "more than 4194304 bytes"},
		{"less than it says", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"manifest":`))
		}, nil, "unexpected EOF"},
		{"a line that is cut", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"manifest":`))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, nil, "unexpected EOF"},
		{"404", status(http.StatusNotFound), update.ErrNotFound, ""},
		{"410", status(http.StatusGone), update.ErrNotFound, ""},
		{"500", status(http.StatusInternalServerError), nil, "answered 500"},
		{"no content", status(http.StatusNoContent), nil, "answered 204"},
		{"a part", status(http.StatusPartialContent), nil, "answered 206"},
		{"a redirect to nowhere", status(http.StatusFound), nil, "answered 302"},
		{"a redirect to plain http", redirect("http://example.com/manifest.json"), source.ErrInsecure, "example.com"},
		{"a redirect to a file", redirect("file:///etc/passwd"), source.ErrInsecure, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, published(t, list(5, offer("1.0.0", ""))))
			m := newSource(s.URL, manifest.StateFile(filepath.Join(t.TempDir(), "state")))
			_, err := sourcetest.Collect(t.Context(), m, "demo/app")
			require.NoError(t, err)

			s.once(tt.broken)
			releases, err := sourcetest.Collect(t.Context(), m, "demo/app")
			require.ErrorContains(t, err, tt.says)
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
			}
			require.Empty(t, releases)

			s.serve(published(t, list(6, offer("1.1.0", ""))))
			releases, err = sourcetest.Collect(t.Context(), m, "demo/app")
			require.NoError(t, err)
			require.Equal(t, []string{"1.1.0"}, sourcetest.Versions(releases))
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func TestRedirectsAreFollowedToAnEnd(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""))))
	s.once(redirect("/moved/manifest.json"))
	releases, err := sourcetest.Collect(t.Context(), newSource(s.URL, &shelf{}), "demo/app")
	require.NoError(t, err)
	require.Equal(t, s.URL+"/app/dist/app-1.0.0", releases[0].URL, "seen from where the program looks")

	requests := 0
	circle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		redirect("/app/manifest.json")(w, r)
	}))
	defer circle.Close()
	_, err = sourcetest.Collect(t.Context(), newSource(circle.URL, &shelf{}), "demo/app")
	require.ErrorContains(t, err, "more than 10 redirects")
	require.Equal(t, 11, requests)

	m := newSource(circle.URL, &shelf{})
	m.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	_, err = sourcetest.Collect(t.Context(), m, "demo/app")
	require.ErrorContains(t, err, "answered 302", "a client may know better")
}

// Else the program would have the bad one until the manifest changes again.
func TestAnAnswerThatIsBadIsNotTakenForTheGoodOneWithItsETag(t *testing.T) {
	good := published(t, list(1, offer("1.0.0", "")))
	s := newSite(t, good)
	s.once(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", etag(good))
		_, _ = w.Write([]byte("<html>please log in</html>"))
	})
	m := newSource(s.URL, &shelf{})
	_, err := sourcetest.Collect(t.Context(), m, "demo/app")
	require.ErrorIs(t, err, manifest.ErrMalformed)
	_, err = sourcetest.Collect(t.Context(), m, "demo/app")
	require.NoError(t, err)
}

func TestAServerThatSaysNotModifiedToTheFirstRequestHasNothingToSay(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""))))
	s.once(status(http.StatusNotModified))
	_, err := sourcetest.Collect(t.Context(), newSource(s.URL, &shelf{}), "demo/app")
	require.ErrorContains(t, err, "answered 304")
}

func TestAServerThatHangsIsLeftWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"manifest":`))
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	_, err := sourcetest.Collect(ctx, newSource(s.URL, &shelf{}), "demo/app")
	require.ErrorIs(t, err, context.Canceled)
}

func TestAReplayIsKnownAfterARestart(t *testing.T) {
	state := manifest.StateFile(filepath.Join(t.TempDir(), "state"))
	s := newSite(t, published(t, list(5, offer("1.1.0", ""))))
	_, err := sourcetest.Collect(t.Context(), newSource(s.URL, state), "demo/app")
	require.NoError(t, err)
	s.serve(published(t, list(4, offer("1.0.0", ""))))
	_, err = sourcetest.Collect(t.Context(), newSource(s.URL, state), "demo/app")
	require.ErrorIs(t, err, manifest.ErrReplayed)

	fresh := newSource(s.URL, &shelf{})
	fresh.MinSerial = 5
	_, err = sourcetest.Collect(t.Context(), fresh, "demo/app")
	require.ErrorIs(t, err, manifest.ErrReplayed, "a program that was never run knows when it was built")
}

func TestRotatedKeysAreKnownAfterARestart(t *testing.T) {
	state := manifest.StateFile(filepath.Join(t.TempDir(), "state"))
	var file manifest.File
	require.NoError(t, file.Rotate(manifest.Rotation{Product: "demo/app", Serial: 1, Keys: publicKeys(2)}, key(1)))
	require.NoError(t, file.Sign(list(5, offer("1.0.0", "")), key(2)))
	text, err := file.Encode()
	require.NoError(t, err)
	s := newSite(t, text)
	_, err = sourcetest.Collect(t.Context(), newSource(s.URL, state), "demo/app")
	require.NoError(t, err)

	s.serve(published(t, list(6, offer("6.6.6", "")), 1))
	_, err = sourcetest.Collect(t.Context(), newSource(s.URL, state), "demo/app")
	require.ErrorIs(t, err, manifest.ErrSignature, "the old key, and the rotation left out")
	s.serve(published(t, list(6, offer("1.1.0", "")), 2))
	_, err = sourcetest.Collect(t.Context(), newSource(s.URL, state), "demo/app")
	require.NoError(t, err)
}

func TestAnAddressThatIsNotSecureIsNotAsked(t *testing.T) {
	var asked int
	text := published(t, list(1, offer("1.0.0", "")))
	client := served(&text, nil)
	client.Transport = transport(func(inner http.RoundTripper) transport {
		return func(r *http.Request) (*http.Response, error) { asked++; return inner.RoundTrip(r) }
	}(client.Transport))
	for _, address := range []string{
		"http://example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://127.1.example",
		"ftp://example.com", "file://example.com", "example.com", "//example.com", "https://", "",
	} {
		m := newSource(address, &shelf{})
		m.Client = client
		_, err := sourcetest.Collect(t.Context(), m, "demo/app")
		require.ErrorIs(t, err, source.ErrInsecure, address)
	}
	require.Zero(t, asked)
	for _, address := range []string{"https://example.com", "http://127.0.0.1", "http://127.8.0.1:80", "http://[::1]:8080", "http://localhost"} {
		m := newSource(address, &shelf{})
		m.Client = client
		_, err := sourcetest.Collect(t.Context(), m, "demo/app")
		require.NoError(t, err, address)
	}
	m := newSource("http://example.com", &shelf{})
	m.Client, m.AllowHTTP = client, true
	_, err := sourcetest.Collect(t.Context(), m, "demo/app")
	require.NoError(t, err)
}

func TestAnArtifactAtAnAddressThatIsNotSecureIsRefused(t *testing.T) {
	for _, address := range []string{"http://example.com/app", "file:///etc/passwd", "ftp://example.com/app", "https:///app"} {
		bad := offer("1.0.0", "")
		bad.Artifacts[0].URL = address
		s := newSite(t, published(t, list(1, bad)))
		m := newSource(s.URL, &shelf{})
		releases, err := sourcetest.Collect(t.Context(), m, "demo/app")
		require.ErrorIs(t, err, source.ErrInsecure, address)
		require.ErrorContains(t, err, `version "1.0.0"`)
		require.Empty(t, releases)
	}
}

func TestAManifestRepeatsNoSecretInItsErrors(t *testing.T) {
	answers := http.NewServeMux()
	answers.Handle("/redirect/app/manifest.json", redirect("http://127.0.0.1:1/?signature=token-three"))
	answers.Handle("/broken/app/manifest.json", text("token-four"))
	answers.Handle("/failed/app/manifest.json", status(500))
	p := httptest.NewServer(answers)
	defer p.Close()
	base := strings.Replace(p.URL, "://", "://token-one:token-two@", 1)
	for _, address := range []string{base + "/redirect", base + "/broken", base + "/failed", base + "/missing", "http://token-one@example.com", "http://token-one:\x00"} {
		_, err := sourcetest.Collect(t.Context(), newSource(address, &shelf{}), "demo/app")
		require.Error(t, err)
		require.NotContains(t, err.Error(), "token-")
	}
}

// certificate is for 127.0.0.1, and counts for a day around then.
func certificate(t *testing.T, then time.Time) (tls.Certificate, *x509.CertPool) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: then.Add(-12 * time.Hour), NotAfter: then.Add(12 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, pool
}

// With a wrong clock https fails before any manifest is seen.
func TestACertificateThatIsAYearOffMeansTheClock(t *testing.T) {
	year := 365 * 24 * time.Hour
	for what, tt := range map[string]struct {
		then  time.Time
		trust bool
		clock bool
	}{
		"a year old":      {time.Now().Add(-year), true, true},
		"a year too new":  {time.Now().Add(year), true, true},
		"an hour too old": {time.Now().Add(-13 * time.Hour), true, false},
		"a stranger's":    {time.Now(), false, false},
	} {
		cert, pool := certificate(t, tt.then)
		if !tt.trust {
			pool = x509.NewCertPool()
		}
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.Config.ErrorLog = quiet()
		s.StartTLS()
		m := newSource(s.URL, &shelf{})
		m.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		_, err := sourcetest.Collect(t.Context(), m, "demo/app")
		s.Close()
		require.Error(t, err, what)
		if tt.clock {
			require.ErrorIs(t, err, manifest.ErrClock, what)
			require.ErrorContains(t, err, "current time", what)
		} else {
			require.NotErrorIs(t, err, manifest.ErrClock, what)
		}
	}
}
