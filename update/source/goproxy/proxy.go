package goproxy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/update"
)

// base returns the URL of the proxy to ask for module.
func (s Source) base(ctx context.Context, module string) (*url.URL, error) {
	if s.URL != "" {
		return parseProxy(s.URL)
	}
	list, private, err := settings(ctx)
	if err != nil {
		return nil, err
	}
	if pattern := matchPrefix(private, module); pattern != "" {
		return nil, fmt.Errorf("goproxy: GONOPROXY or GOPRIVATE has %q, so that no proxy is asked for %q: %w",
			pattern, module, errors.ErrUnsupported)
	}
	for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == '|' }) {
		switch entry = strings.TrimSpace(entry); entry {
		case "":
			continue
		case "direct", "off":
			return nil, fmt.Errorf("goproxy: GOPROXY begins with %s, so that there is no proxy to ask: %w", entry, errors.ErrUnsupported)
		}
		if strings.ContainsAny(entry, ".:/") && !strings.Contains(entry, ":/") && !path.IsAbs(entry) {
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
