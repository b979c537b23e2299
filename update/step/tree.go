package step

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/upkeep-go/upkeep/update"
)

// Tree finds the files of a release. [MigrateSQL] and [PublishFiles] take one.
// It is called before and during an update, and returns the same files each time.
type Tree func(r update.Release) (fs.FS, error)

// Sub is the Tree of the releases in fsys, often an embed.FS: the files of a
// release are in folder dir, in which "{version}" stands for its version.
// Releases without such a folder have no files, which is an error.
//
//	//go:embed releases
//	var releases embed.FS
//
//	pages := step.Sub(releases, "releases/{version}/pages")
func Sub(fsys fs.FS, dir string) Tree {
	return func(r update.Release) (fs.FS, error) {
		if strings.ContainsAny(r.Version, `/\`) {
			return nil, fmt.Errorf("step: version %q cannot name a folder", r.Version)
		}
		name := strings.ReplaceAll(dir, "{version}", r.Version)
		info, err := fs.Stat(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("finding the files of release %q: %w", r.Version, err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("step: %q of release %q is not a folder", name, r.Version)
		}
		return fs.Sub(fsys, name)
	}
}
