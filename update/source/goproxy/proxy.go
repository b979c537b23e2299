package goproxy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/internal/fetch"
)

// base returns the URL of the proxy to ask for the module with this path.
func (s Source) base(ctx context.Context, path string) (*url.URL, error) {
	if s.URL != "" {
		return parseProxy(s.URL)
	}
	list, private, err := settings(ctx)
	if err != nil {
		return nil, err
	}
	if module.MatchPrefixPatterns(private, path) {
		return nil, fmt.Errorf("goproxy: GONOPROXY or GOPRIVATE has %q, so that no proxy is asked for %q: %w",
			private, path, errors.ErrUnsupported)
	}
	for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == '|' }) {
		switch entry = strings.TrimSpace(entry); entry {
		case "":
			continue
		case "direct", "off":
			return nil, fmt.Errorf("goproxy: GOPROXY begins with %s, so that there is no proxy to ask: %w", entry, errors.ErrUnsupported)
		}
		if strings.ContainsAny(entry, ".:/") && !strings.Contains(entry, ":/") && !strings.HasPrefix(entry, "/") {
			entry = "https://" + entry // as the go command has it
		}
		return parseProxy(entry)
	}
	return nil, errors.New("goproxy: GOPROXY names no proxy")
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

func parseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("goproxy: the URL of the module proxy cannot be parsed")
	}
	switch {
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return u, nil
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && strings.HasPrefix(u.Path, "/"):
		return u, nil
	}
	return nil, fmt.Errorf("goproxy: %q is not the URL of a module proxy", fetch.Redacted(u))
}
