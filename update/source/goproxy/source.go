package goproxy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/internal/web"
)

const (
	maxList = 4 << 20
	maxInfo = 64 << 10
)

// Source reads the versions of Go modules from a module proxy, by the
// protocol of "go help goproxy". A zero field means its documented default.
//
// A module without tagged versions has the one that the proxy calls latest,
// a pre-release by its form: set Package.AllowPrerelease for such modules.
// Only that one has a Release.Time. Retracted versions are not left out: that
// would need the go.mod of the newest version.
//
// A module that the proxy does not have is update.ErrNotFound.
type Source struct {
	// URL is where the proxy is: http, https, or file for a folder laid out
	// like one. It may hold a user and a password, which no error repeats.
	// Default: the first entry of GOPROXY, from the environment or else from
	// "go env". If that is direct or off, or if the module is one that
	// GONOPROXY or GOPRIVATE keeps away from proxies, the go command would
	// ask none either: that is errors.ErrUnsupported.
	URL string
	// Module is the module's path. Default: the name of the package.
	Module string
	// Client sends the requests. Default: one that takes 30 seconds at most.
	Client *http.Client
}

var _ update.Source = Source{}

// Versions implements update.Source with one request, or two for a module
// without tagged versions.
func (s Source) Versions(ctx context.Context, pkg string) iter.Seq2[update.Release, error] {
	return web.Releases(func() ([]update.Release, error) { return s.releases(ctx, pkg) })
}

func (s Source) releases(ctx context.Context, pkg string) ([]update.Release, error) {
	path := cmp.Or(s.Module, pkg)
	escaped, err := module.EscapePath(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", update.ErrInvalid, err)
	}
	base, err := s.base(ctx, path)
	if err != nil {
		return nil, err
	}
	releases, err := s.list(ctx, base, escaped)
	if err != nil || len(releases) > 0 {
		return releases, err
	}
	latest, err := s.latest(ctx, base, escaped)
	return []update.Release{latest}, err
}

func (s Source) list(ctx context.Context, base *url.URL, path string) ([]update.Release, error) {
	data, err := s.read(ctx, base.JoinPath(path, "@v/list"), maxList)
	if err != nil {
		return nil, err
	}
	var releases []update.Release
	for line := range bytes.Lines(data) {
		// A proxy may say more about a version after a space.
		if fields := bytes.Fields(line); len(fields) > 0 {
			releases = append(releases, update.Release{Version: string(fields[0])})
		}
	}
	return releases, nil
}

func (s Source) latest(ctx context.Context, base *url.URL, path string) (update.Release, error) {
	data, err := s.read(ctx, base.JoinPath(path, "@latest"), maxInfo)
	if err != nil {
		return update.Release{}, err
	}
	var info struct {
		Version string
		Time    time.Time
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return update.Release{}, fmt.Errorf("reading the latest version: %w", err)
	}
	if info.Version == "" {
		return update.Release{}, errors.New("goproxy: the proxy's latest version has no name")
	}
	return update.Release{Version: info.Version, Time: info.Time.UTC()}, nil
}

// read returns what is at u, at most limit bytes.
func (s Source) read(ctx context.Context, u *url.URL, limit int64) ([]byte, error) {
	if u.Scheme == "file" {
		return web.ReadFile(u, limit)
	}
	client := s.Client
	if client == nil {
		client = &http.Client{Timeout: web.Timeout}
	}
	resp, err := web.Get(ctx, client, u, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := web.Refusal(resp, u); err != nil {
		return nil, err
	}
	return web.Read(resp.Body, u, limit)
}
