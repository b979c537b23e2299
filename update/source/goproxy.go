package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/update"
)

const (
	maxList = 4 << 20
	maxInfo = 64 << 10
)

// GoProxy reads the versions of Go modules from a module proxy, by the
// protocol of "go help goproxy". A zero field means its documented default.
//
// A module without tagged versions has the one that the proxy calls latest,
// a pre-release by its form: set Package.AllowPrerelease for such modules.
// Only that one has a Release.Time. Retracted versions are not left out: that
// would need the go.mod of the newest version.
//
// A module that the proxy does not have is update.ErrNotFound.
type GoProxy struct {
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

var _ update.Source = GoProxy{}

// Versions implements update.Source with one request, or two for a module
// without tagged versions.
func (p GoProxy) Versions(ctx context.Context, pkg string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) {
		releases, err := p.releases(ctx, pkg)
		if err != nil {
			yield(update.Release{}, err)
			return
		}
		for _, r := range releases {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (p GoProxy) releases(ctx context.Context, pkg string) ([]update.Release, error) {
	module := p.Module
	if module == "" {
		module = pkg
	}
	path, err := escapePath(module)
	if err != nil {
		return nil, err
	}
	base, err := p.base(ctx, module)
	if err != nil {
		return nil, err
	}
	releases, err := p.list(ctx, base, path)
	if err != nil || len(releases) > 0 {
		return releases, err
	}
	latest, err := p.latest(ctx, base, path)
	return []update.Release{latest}, err
}

func (p GoProxy) list(ctx context.Context, base *url.URL, path string) ([]update.Release, error) {
	data, err := p.read(ctx, base.JoinPath(path, "@v/list"), maxList)
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

func (p GoProxy) latest(ctx context.Context, base *url.URL, path string) (update.Release, error) {
	data, err := p.read(ctx, base.JoinPath(path, "@latest"), maxInfo)
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
		return update.Release{}, errors.New("source: the proxy's latest version has no name")
	}
	return update.Release{Version: info.Version, Time: info.Time.UTC()}, nil
}

// read returns what is at u, at most limit bytes.
func (p GoProxy) read(ctx context.Context, u *url.URL, limit int64) ([]byte, error) {
	body, err := p.open(ctx, u)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", public(u), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("source: %s has more than %d bytes", public(u), limit)
	}
	return data, nil
}

func (p GoProxy) open(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	if u.Scheme == "file" {
		f, err := os.Open(filePath(u))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s", update.ErrNotFound, u)
		}
		return f, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	client := p.Client
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
	resp, err := client.Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // its URL may hold secrets, also of where it was redirected to
		}
		return nil, fmt.Errorf("asking %s: %w", public(u), err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return nil, fmt.Errorf("%w: %s", update.ErrNotFound, public(u))
	}
	return nil, fmt.Errorf("source: %s answered %s", public(u), resp.Status)
}

// base returns the URL of the proxy to ask for module.
func (p GoProxy) base(ctx context.Context, module string) (*url.URL, error) {
	if p.URL != "" {
		return parseProxy(p.URL)
	}
	list, private, err := settings(ctx)
	if err != nil {
		return nil, err
	}
	if pattern := matchPrefix(private, module); pattern != "" {
		return nil, fmt.Errorf("source: GONOPROXY or GOPRIVATE has %q, so that no proxy is asked for %q: %w",
			pattern, module, errors.ErrUnsupported)
	}
	for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == '|' }) {
		switch entry = strings.TrimSpace(entry); entry {
		case "":
			continue
		case "direct", "off":
			return nil, fmt.Errorf("source: GOPROXY begins with %s, so that there is no proxy to ask: %w", entry, errors.ErrUnsupported)
		}
		if strings.ContainsAny(entry, ".:/") && !strings.Contains(entry, ":/") && !path.IsAbs(entry) {
			entry = "https://" + entry // as the go command has it
		}
		return parseProxy(entry)
	}
	return nil, errors.New("source: GOPROXY names no proxy")
}

// settings returns GOPROXY and GONOPROXY as the go command sees them, which
// need not be installed if the environment says what GOPROXY is.
func settings(ctx context.Context) (proxies, private string, err error) {
	proxies, private = os.Getenv("GOPROXY"), os.Getenv("GONOPROXY")
	if proxies != "" && private != "" {
		return proxies, private, nil
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOPROXY", "GONOPROXY").Output()
	if errors.Is(err, exec.ErrNotFound) && proxies != "" {
		return proxies, os.Getenv("GOPRIVATE"), nil
	}
	if err != nil {
		return "", "", fmt.Errorf("asking go for GOPROXY and GONOPROXY: %w", err)
	}
	proxies, private, _ = strings.Cut(string(out), "\n")
	return strings.TrimSpace(proxies), strings.TrimSpace(private), nil
}

// matchPrefix returns the first of the patterns, separated by commas, that
// matches as many of the module's first path elements as it has itself, or "".
// The go command describes them in "go help private".
func matchPrefix(patterns, module string) string {
	elements := strings.Split(module, "/")
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern = strings.TrimSuffix(pattern, "/")
		n := strings.Count(pattern, "/") + 1
		if pattern == "" || n > len(elements) {
			continue
		}
		// As for the go command, a pattern that is malformed matches nothing.
		if ok, _ := path.Match(pattern, strings.Join(elements[:n], "/")); ok {
			return pattern
		}
	}
	return ""
}

func parseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("source: the URL of the module proxy cannot be parsed")
	}
	switch {
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return u, nil
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && strings.HasPrefix(u.Path, "/"):
		return u, nil
	}
	return nil, fmt.Errorf("source: %q is not the URL of a module proxy", public(u))
}

// public is u without what is nobody's business.
func public(u *url.URL) string {
	shown := *u
	shown.User, shown.RawQuery = nil, ""
	return shown.String()
}

// filePath is the file that a file URL names.
func filePath(u *url.URL) string {
	path := filepath.FromSlash(u.Path)
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, `\`) // of /C:/folder
	}
	return path
}

// escapePath writes a module path as a proxy wants it: "!a" for "A".
func escapePath(path string) (string, error) {
	var b strings.Builder
	for _, r := range path {
		switch {
		case 'A' <= r && r <= 'Z':
			b.WriteByte('!')
			b.WriteRune(r + 'a' - 'A')
		case r >= utf8.RuneSelf, r <= ' ', strings.ContainsRune(`!"#$%&'()*:;<=>?@[\]^{|}`+"`\x7f", r):
			return "", fmt.Errorf("%w: %q is not a module path", update.ErrInvalid, path)
		default:
			b.WriteRune(r)
		}
	}
	for element := range strings.SplitSeq(path, "/") {
		if strings.Trim(element, ".") == "" {
			return "", fmt.Errorf("%w: %q is not a module path", update.ErrInvalid, path)
		}
	}
	return b.String(), nil
}
