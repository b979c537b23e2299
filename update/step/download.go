package step

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/internal/owned"
	"github.com/upkeep-go/upkeep/update"
)

// ErrInsecure reports that a server redirected a download from https to where
// anybody on the way could answer for it.
var ErrInsecure = fetch.ErrInsecure

// Artifact says how the file of a release is fetched and what makes it good. A
// zero field means its documented default.
type Artifact struct {
	// Dir is required: a folder for downloads. It is made, with mode 0700, if
	// it is not there; one of somebody else, or that others can write in, is
	// refused.
	Dir string
	// Keys are who may sign: each artifact needs a signature by one of them.
	// Default: the release's digest alone tells what is good, which is as
	// good as the source that it came from.
	Keys []Key
	// MaxSize bounds an artifact, in bytes. Default 1 GiB.
	MaxSize int64
	// Header is sent with each request to the host and scheme of Release.URL,
	// and to no other that it redirects to.
	Header http.Header
	// Stall is how long a server may take for the next byte. Keep it below
	// Config.LockTTL, after which the step stalls. Default 30 seconds.
	Stall time.Duration
	// Attempts is how often in a row the server may bring nothing, or less
	// than 64 KiB, before the step gives up. Default 8.
	Attempts int
	// Client sends the requests; of a Client, Timeout and CheckRedirect are
	// not used. Default: one without cookies.
	Client *http.Client
}

// Download fetches the artifact of a release from its URL, http, https or
// file, into a file that [Artifact.File] names, which is there whole and
// checked or not at all.
//
// Do streams to a file with a random name and mode 0600 and computes the
// SHA-256, and what the signature needs, as the bytes pass. A transfer that is
// cut, stalls, or is answered by 408, 425, 429 or 5xx is tried again after a
// random pause of at most half a second, which doubles with each failure up to
// 30 seconds, or after what Retry-After says; any other answer is an error. A
// transfer goes on where it was cut, also in another process, if the server
// gave a strong ETag, and begins anew if the file has changed there. What the
// server says of length, range and ETag has to fit; bytes beyond Release.Size,
// or MaxSize, and compressed answers are refused. Redirects are followed, ten
// in a row, but not from https to http, which is [ErrInsecure]. The file is synced before it gets its
// name, and the name is. When digest or signature do not fit, what was
// downloaded is dropped; if some of it came from an earlier attempt, all of it
// is fetched again once.
//
// Undo removes what was downloaded. Do also removes what earlier runs of the
// package have left in Dir.
//
// Check refuses a release that nothing could be good for: one without digest
// and signature, with a signature by none of the Keys, too large, or without a
// URL. It looks whether Dir can be written.
func Download(a Artifact) update.Step { return newDownload(a, durable.OS) }

func newDownload(a Artifact, disk durable.Disk) update.Step {
	a.Keys, a.Header = slices.Clone(a.Keys), a.Header.Clone()
	a.MaxSize = cmp.Or(a.MaxSize, 1<<30)
	a.Stall = cmp.Or(a.Stall, 30*time.Second)
	a.Attempts = cmp.Or(a.Attempts, 8)
	return update.Step{
		Name:  "download",
		Check: func(_ context.Context, t *update.Task) error { return a.check(t) },
		Do: func(ctx context.Context, t *update.Task) error {
			d := &download{Artifact: a, task: t, disk: disk}
			return doing(fmt.Sprintf("downloading release %q", t.Release.Version), d.do(ctx))
		},
		Undo: func(_ context.Context, t *update.Task) error {
			return sweepDownloads(disk, a.Dir, func(name string) bool { return isDownloadOf(t, name) })
		},
	}
}

// File names the downloaded artifact of the run of t, for the steps that come
// after Download.
func (a Artifact) File(t *update.Task) string { return filepath.Join(a.Dir, downloadOf(t)) }

// downloadOf names the download of the run of t.
func downloadOf(t *update.Task) string { return downloadsOf(t) + owner(t.Run) }

// isDownloadOf tells whether a file is the download of the run of t, or a part of it.
func isDownloadOf(t *update.Task, name string) bool {
	return name == downloadOf(t) || strings.HasPrefix(name, downloadOf(t)+".")
}

// downloadsOf is what the names of all downloads of t's package begin with.
func downloadsOf(t *update.Task) string {
	sum := sha256.Sum256([]byte(t.Run.Package))
	return fmt.Sprintf("download-%x-", sum[:4])
}

// ofDownload is what Download calls its files.
var ofDownload = regexp.MustCompile(`^download-[0-9a-f]{8}-[^.]+(\.[A-Z2-7]{26})?$`)

// sweepDownloads removes the downloads in dir that picks names.
func sweepDownloads(disk durable.Disk, dir string, picks func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && ofDownload.MatchString(e.Name()) && picks(e.Name()) {
			if err := durable.RemoveOn(disk, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a Artifact) check(t *update.Task) error {
	if a.Dir == "" {
		return errors.New("step: an Artifact needs a Dir")
	}
	if _, err := newSeal(t.Release, a.Keys); err != nil {
		return err
	}
	if t.Release.Size < 0 || t.Release.Size > a.MaxSize {
		return fmt.Errorf("step: release %q has %d bytes, at most %d are allowed", t.Release.Version, t.Release.Size, a.MaxSize)
	}
	if _, err := artifactURL(t.Release.URL); err != nil {
		return err
	}
	return checkPrivateFolder(a.Dir)
}

// artifactURL reads where an artifact is.
func artifactURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("step: the URL of the artifact cannot be parsed")
	}
	switch {
	case u.Scheme == "file" && u.Host == "" && u.Path != "":
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	default:
		return nil, fmt.Errorf("step: the artifact's URL %q is not an http, https or file URL", fetch.Redacted(u))
	}
	return u, nil
}

// checkPrivateFolder tells whether dir, or the folder in which it would have
// to be made, can be written, and by this user alone.
func checkPrivateFolder(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() && (owned.Writable(info) || owned.Foreign(info)) {
		return fmt.Errorf("step: folder %q can be written by others", dir)
	}
	return checkMakable(dir)
}
