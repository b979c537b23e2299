package mounttest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/tempdirtest"
)

const inside = "UPKEEP_TEST_NAMESPACE"

// Run runs f, the whole body of a test that is not in parallel, in a process
// with mounts of its own, as root there. Where that is not allowed the test
// is skipped.
func Run(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(inside) != "" {
		f(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	env := append(os.Environ(), "TMPDIR="+tempdirtest.Disk()) // in memory, an older kernel has no overlay for users
	cmd.Env = append(env, inside+"=root")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.Env = append(env, inside+"=user")
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		needstest.Tool(t, "a mount namespace of its own, as root or with user namespaces", false)
	}
	if err != nil {
		t.Fatalf("in the namespace: %v\n%s", err, out)
	}
}

// Mount mounts something until the test has ended.
func Mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("mounting %s at %s: %v", source, target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// Overlay shows lower at target, as a container does its image: what changes is
// in upper.
func Overlay(t *testing.T, lower, upper, work, target string) {
	t.Helper()
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if os.Getenv(inside) == "user" {
		options += ",userxattr" // else folders of lower cannot be removed
	}
	err := unix.Mount("overlay", target, "overlay", 0, options)
	needstest.Tool(t, "overlay file systems (Linux 5.11 where it is not run by root)", err == nil)
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// Bind makes the file or folder source appear at target too.
func Bind(t *testing.T, source, target string) {
	t.Helper()
	Mount(t, source, target, "", unix.MS_BIND, "")
}
