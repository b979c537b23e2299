package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/rollout"
)

const (
	maxName = 255  // bytes, between two slashes
	maxPath = 4096 // bytes
)

// kind is what an unpacker has made.
type kind int

const (
	_       kind = iota
	implied      // a folder that has had no entry of its own
	folder
	file
	link // a symbolic one
)

// refuse is the ErrInvalid of an entry.
func refuse(h *tar.Header, format string, args ...any) error {
	return fmt.Errorf("%w: entry %q of the archive %s", rollout.ErrInvalid, shown(h.Name), fmt.Sprintf(format, args...))
}

// shown is a name that is not too long to be shown.
func shown(name string) string {
	if len(name) > 2*maxName {
		return name[:maxName] + "..." + name[len(name)-maxName:]
	}
	return name
}

// entry makes what an entry says.
func (u *unpacker) entry(h *tar.Header) error {
	name, err := nameOf(h)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return u.folder(h, name)
	}
	if strings.HasSuffix(h.Name, "/") || name == "." {
		return refuse(h, "has the name of a folder and is none")
	}
	if u.made[name] != 0 {
		return refuse(h, "is there already")
	}
	if err := u.around(h, name); err != nil {
		return err
	}
	if err := u.count(h); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		err = u.file(h, name)
	case tar.TypeSymlink:
		err = u.symlink(h, name)
	case tar.TypeLink:
		err = u.hardLink(h, name)
	default:
		return refuse(h, "is of type %q, neither a file nor a folder nor a link", h.Typeflag)
	}
	u.files++
	return taken(h, err)
}

// taken is the error of a name that is another one to the unpacker and the same
// to the disk, which may ignore case.
func taken(h *tar.Header, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return refuse(h, "is there already, by a name that is the same on this disk")
	}
	return err
}

// nameOf is the path of an entry, in its shortest form.
func nameOf(h *tar.Header) (string, error) {
	parts := strings.Split(h.Name, "/")
	for _, part := range parts {
		if part == ".." {
			return "", refuse(h, "leads upwards")
		}
		if len(part) > maxName {
			return "", refuse(h, "has a name of %d bytes, at most %d are allowed", len(part), maxName)
		}
	}
	if len(h.Name) > maxPath {
		return "", refuse(h, "has a path of %d bytes, at most %d are allowed", len(h.Name), maxPath)
	}
	name := path.Clean(h.Name)
	if h.Name == "" || !local(name) || os.PathSeparator == '\\' && strings.Contains(name, `\`) {
		return "", refuse(h, "is not within the archive")
	}
	return name, nil
}

// local reports whether a path with slashes stays below the folder in which it
// begins, on this system.
func local(name string) bool { return filepath.IsLocal(filepath.FromSlash(name)) }

// count counts something that is to be made.
func (u *unpacker) count(h *tar.Header) error {
	if len(u.made) > u.MaxFiles { // one is the folder of all
		return refuse(h, "is one too many: at most %d files and folders are allowed", u.MaxFiles)
	}
	return nil
}

// folder makes a folder that has an entry.
func (u *unpacker) folder(h *tar.Header, name string) error {
	switch u.made[name] {
	case 0:
		if err := u.around(h, name); err != nil {
			return err
		}
		if err := u.mkdir(h, name); err != nil {
			return err
		}
	case implied:
	case folder:
		return refuse(h, "is there already")
	default:
		return refuse(h, "is a folder, and there is something else by its name")
	}
	u.made[name] = folder
	return nil
}

// around makes the folders around an entry that are not there.
func (u *unpacker) around(h *tar.Header, name string) error {
	dir := path.Dir(name)
	switch u.made[dir] {
	case implied, folder:
		return nil
	case file, link:
		return refuse(h, "is below %q, which is no folder", shown(dir))
	}
	if err := u.around(h, dir); err != nil {
		return err
	}
	if err := u.mkdir(h, dir); err != nil {
		return err
	}
	u.made[dir] = implied
	return nil
}

func (u *unpacker) mkdir(h *tar.Header, name string) error {
	if err := u.count(h); err != nil {
		return err
	}
	if err := u.root.Mkdir(name, 0o700); err != nil {
		return taken(h, err)
	}
	u.folders = append(u.folders, name)
	return nil
}

func (u *unpacker) file(h *tar.Header, name string) (err error) {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return refuse(h, "is sparse")
		}
	}
	mode := fs.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	u.made[name] = file
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{u.archive}, u.buffer); err != nil {
		return errors.Join(fmt.Errorf("%q: %w", shown(h.Name), err), f.Close())
	}
	return errors.Join(f.Chmod(mode), f.Sync(), f.Close())
}

// symlink makes a link that cannot lead outside, wherever other links lead: the
// folder around it is a real one, and after it has gone up from there, within
// the archive, it only goes down.
func (u *unpacker) symlink(h *tar.Header, name string) error {
	to := filepath.ToSlash(h.Linkname)
	down := false
	for part := range strings.SplitSeq(to, "/") {
		if part == ".." && down {
			return refuse(h, "leads to %q, which goes down and up again", shown(to))
		}
		down = down || part != ".." && part != "." && part != ""
	}
	if to == "" || len(to) > maxPath || path.IsAbs(to) || !local(path.Join(path.Dir(name), to)) {
		return refuse(h, "leads to %q, which is not within the archive", shown(to))
	}
	u.made[name] = link
	return u.root.Symlink(h.Linkname, name)
}

// hardLink gives a file that is unpacked another name.
func (u *unpacker) hardLink(h *tar.Header, name string) error {
	to, err := nameOf(&tar.Header{Name: h.Linkname})
	if err != nil || u.made[to] != file {
		return refuse(h, "is a hard link to %q, which is no file of the archive before it", shown(h.Linkname))
	}
	u.made[name] = file
	return u.root.Link(to, name)
}
