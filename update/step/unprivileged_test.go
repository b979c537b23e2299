//go:build unix

package step_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// writers are steps that write in a folder.
func writers(dir string) map[string]update.Step {
	on, _ := step.Maintenance(filepath.Join(dir, "maintenance.json"))
	artifact := step.Artifact{Dir: filepath.Join(dir, "downloads")}
	return map[string]update.Step{
		"publish": step.PublishFiles(step.Publish{Files: pagesOf, Dir: filepath.Join(dir, "site")}), "maintenance": on, "clear": step.ClearDir(dir),
		"download": step.Download(artifact), "swap": step.SwapBinary(step.Binary{Path: filepath.Join(dir, "app"), Artifact: artifact}),
	}
}

// writersTask is one that they can work on.
func writersTask() *update.Task {
	tk := task("one", "1.0.0")
	tk.Release = releaseOf(nil)
	tk.Release.Version = "1.0.0"
	return tk
}

func init() {
	// check runs the checks of the writers as a user who owns nothing.
	children["check"] = func(args []string) {
		if os.Getuid() == 0 {
			if err := syscall.Setuid(65534); err != nil {
				panic(err)
			}
		}
		for name, s := range writers(args[0]) {
			err := s.Check(context.Background(), writersTask())
			fmt.Println(name, err != nil && strings.Contains(err.Error(), "cannot be written: permission denied"))
		}
	}
}

func TestAFolderThatCannotBeWrittenIsFoundBeforehand(t *testing.T) {
	dir := t.TempDir()
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		require.NoError(t, os.Chmod(path, 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app"), nil, 0o755))
	for _, s := range writers(dir) {
		require.NoError(t, s.Check(t.Context(), writersTask()))
	}
	require.NoError(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { require.NoError(t, os.Chmod(dir, 0o755)) })
	args := child("check", dir)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"publish true", "maintenance true", "clear true", "download true", "swap true"}, strings.Split(strings.TrimSpace(string(out)), "\n"))
}
