package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
)

// TestTheWalkOfTheDeviceRunsWordForWord runs what the README says of the device,
// kills included, in one shell.
func TestTheWalkOfTheDeviceRunsWordForWord(t *testing.T) {
	if os.Getenv("UPKEEP_FULL") == "" {
		t.Skip("UPKEEP_FULL=1 runs it: it waits so that people can watch, for more than a minute")
	}
	t.Parallel()
	out, wrong := walkThrough(t, "## Update a device", "## Sync a folder")
	said := regexp.MustCompile(`(?m)^server: .*\n`).FindAllString(wrong, -1)
	require.Equal(t, []string{"server: the server answered 409 Conflict\n", "server: the server answered 422 Unprocessable Entity\n"}, said, wrong)
	requireInOrder(t, out,
		"\n0 1.0.0 0 \n", "2 1.0.0 0 \n", `"up_to_date":false,"pull":{"patch":`,
		"4 1.0.0 0 \n", "4 1.0.0 ", "8 1.0.0 0 \n", "16 1.0.0 0 install\n", "64 1.0.0 0 \n", "1 1.0.0 0 \n", "0 1.1.0 0 \n",
		`"state":"succeeded","percent":100,"pulled":{"patch":`,
		"event: ended\n", `"kind":"ended","state":"succeeded"`,
		`object="1.2.0 patch from 1.1.0" range="bytes=0-`, "there=false", `object="1.2.0 zstd" range="bytes=0-`, // before the kill
		`object="1.2.0 zstd" range="bytes=`, `"state":"succeeded","percent":100,"pulled":{"chunks":`, // after it
		"64 1.2.0 0 by admin: to bring it by hand\n", "0 1.1.0 0 \n", `"pulled":{"bundle":`, "0 1.2.0 0 \n",
		"0 1.1.0 0 the window opens on ", "0 1.2.0 0 \n",
		"512 1.2.0 0 \n", "not confirmed within 3s: the image in slot b says of itself that it is not well", "rolled back on this device", `firmware: older catalog than before`,
	)
	after := strings.SplitN(out, "\n8 1.1.0 0 \n", 2)
	require.Len(t, after, 2)
	require.NotRegexp(t, `object="1.2.0 zstd" range="bytes=0-`, after[1], "what was in the slot is not fetched again")
}

// walkThrough runs what the README says from one heading up to another, with
// what it defines before "Kill it", and cleans up as it says, in one shell.
func walkThrough(t *testing.T, from, until string) (said, wrong string) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	needstest.Tool(t, "sh", err == nil)
	_, err = exec.LookPath("curl")
	needstest.Tool(t, "curl", err == nil)
	goTool, err := exec.LookPath("go")
	needstest.Tool(t, "go", err == nil)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	state, dir := filepath.Join(t.TempDir(), "a state"), t.TempDir()
	for name, of := range map[string]string{"program": ".", "syncdir": "../syncdir"} {
		// As the walk builds it: with the race detector the feed would take minutes.
		built, err := exec.CommandContext(t.Context(), goTool, "build", "-o", filepath.Join(dir, name), of).CombinedOutput()
		require.NoError(t, err, "%s", built)
	}
	program := fmt.Sprintf("#!/bin/sh\nexec '%s' -state '%s' -addr %s \"$@\"\n", filepath.Join(dir, "program"), state, addr)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server"), []byte(program), 0o755))

	before, all, whole := walk(t, from), walk(t, until), walk(t, "")
	script := "set -u; NOW=; trap 'test -z \"$SERVER\" || kill -9 $SERVER' EXIT; trap 'exit 1' INT; sleep 300 & SERVER=$!\n" +
		before[0] + strings.Join(all[len(before):], "\n") + whole[len(whole)-1]
	t.Cleanup(func() {
		left := running(t, state)
		if _, err := os.Stat(state); err == nil { // it did not get so far
			said, err := exec.Command(filepath.Join(dir, "server"), "-stop").CombinedOutput()
			require.NoError(t, err, "%s", said)
		}
		require.True(t, len(left) == 0 || t.Failed(), left)
		require.Empty(t, running(t, state))
	})
	script = regexp.MustCompile("(?m)^go build .*$").ReplaceAllString(script, "")
	script = strings.NewReplacer("/tmp/upkeep", dir, "127.0.0.1:8080", addr).Replace(script)
	ctx, cancel := context.WithTimeout(t.Context(), 2*waitAtMost)
	defer cancel()
	var out, failed bytes.Buffer
	cmd := exec.CommandContext(ctx, sh, "-c", script)
	cmd.Stdout, cmd.Stderr = &out, &failed
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // its trap ends the server
	cmd.WaitDelay = 5 * time.Second
	began := time.Now()
	err = cmd.Run()
	require.NoError(t, err, "%s%s", &out, &failed)
	t.Log(time.Since(began))
	return out.String(), failed.String()
}

func TestTheWalkOfTheServiceRunsWordForWord(t *testing.T) {
	if os.Getenv("UPKEEP_FULL") == "" {
		t.Skip("UPKEEP_FULL=1 runs it: it waits so that people can watch, for most of a minute")
	}
	t.Parallel()
	out, wrong := walkThrough(t, "## Roll a service", "## Update a device")
	require.NotContains(t, wrong, "server: ", "no command is refused")
	shares := "     90 greeter-001 greeter:1 hello\n     10 greeter-001 greeter:2 hello\n" // as the README shows
	requireInOrder(t, out,
		"    100 greeter-001 greeter:1 hello\n", "http://127.0.0.1:", " greeter-001 greeter:1 hello process ",
		`"errcode":0`, "paused\n", shares, "greeter-001 greeter:2 hello\n", // the header leads to it
		"greeter-001 greeter:2 hello process ", "greeter-001 greeter:2 hello\n", shares, "greeter-001 greeter:2 hello process ", "paused\n", // the kill
		"succeeded\n", "    100 greeter-001 greeter:2 hello\n", "300\n",
		`"errcode":0`, "rolled_back\n", "% of ", "requests failed", "    100 greeter-001 greeter:2 hello\n",
		"succeeded\n", "    100 greeter-001 greeter:1 hello\n",
		"in all: greeter-001 greeter:1 hello: ", "greeter-001 greeter:2 hello: ", "failed with 500: ", "lost: 0\n", " of greeter-001 greeter:2 hello\n",
		`"errcode":0`, "rolled_back\n", "503 Service Unavailable: no such database", "not healthy: no such database", `"greeter:0 ends, after `,
		"greeter-001 greeter:1 hello process ",                                                                                     // after the fall of one
		`"errcode":0`, "succeeded\n0\n", "greeter-001 greeter:4 hello\nprocess ", "after ", "greeter-001 greeter:4 hello process ", // it was asleep
		"succeeded\n", "greeter-001 greeter:1 hello process ",
		"greeter-001 greeter:1 hello process ", "ended ", " replicas\n",
	)
	pids := regexp.MustCompile(`greeter:[12] hello process \d+`).FindAllString(out, -1)
	require.Len(t, pids, 2+3*3+2*4+2*2, "none answers at the end:\n%s", out)
	require.Equal(t, pids[2:5], pids[5:8], "the same processes are asked without the server")
	require.ElementsMatch(t, pids[2:5], pids[8:11], "and go on with the next one")
	stayed := 0
	for _, pid := range pids[11:15] {
		if slices.Contains(pids[15:19], pid) {
			stayed++
		}
	}
	require.Equal(t, 3, stayed, "one has been killed:\n%s", out)
	require.Equal(t, pids[19:21], pids[21:23], "and no server runs any more")
	ticks := regexp.MustCompile(`\n(\d+)\ntick (\d+) of greeter-001 greeter:2 hello\n`).FindStringSubmatch(out)
	require.NotNil(t, ticks, out)
	require.Equal(t, ticks[1], ticks[2], "no tick was lost")
	awake := regexp.MustCompile(`greeter-001 greeter:4 hello\s+process \d+`).FindAllString(out, -1)
	require.Len(t, awake, 2+2, "one has been woken, and is kept:\n%s", out)
	for _, same := range awake {
		require.Equal(t, strings.Fields(awake[0]), strings.Fields(same))
	}
}

func TestTheWalkOfTheDeviceEndsWhenTheServerDoesNotStart(t *testing.T) {
	sh, err := exec.LookPath("sh")
	needstest.Tool(t, "sh", err == nil)
	dir, script := t.TempDir(), "sleep() { :; }\n" // nobody has to wait here
	for _, name := range []string{"halt", "device", "states", "begin"} {
		for _, block := range walk(t, "## Harm the device") {
			if f := regexp.MustCompile(`(?ms)^` + name + `\(\) \{.*?\}\n`).FindString(block); f != "" {
				script += f
			}
		}
	}
	script += "status() { :; }\ncall() { false; }\nNOW=; device -verbose || states 0 || begin update '{}'; echo \"ended $?\"\n"
	script = strings.ReplaceAll(script, "/tmp/upkeep", dir)
	program := "#!/bin/sh\necho 'address already in use'; exit 1\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server"), []byte(program), 0o755))
	out, err := exec.CommandContext(t.Context(), sh, "-c", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "address already in use\n")
	require.Contains(t, string(out), "ended ")
}

func requireInOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		require.True(t, found, "%q is missing, or comes too early, in\n%s", part, text)
		rest = after
	}
}

func TestImagesDifferAsTwoBuildsDo(t *testing.T) {
	first, err := firstImage("1.0.0")
	require.NoError(t, err)
	one, two := variant(first, "1.1.0", well, 1), variant(first, "1.1.0", well, 2)
	require.Equal(t, one, variant(first, "1.1.0", well, 1), "the same at every start")
	require.NotEqual(t, one, two)
	require.Len(t, one, len(first)+4<<10)
	changed := 0
	third := len(first) / 3 / lineSize * lineSize
	for line := frontSize; line < len(first)-lineSize; line += lineSize {
		moved := line
		if line >= third {
			moved += 4 << 10
		}
		if !bytes.Equal(first[line:line+lineSize], one[moved:moved+lineSize]) {
			changed++
		}
	}
	require.InDelta(t, len(first)/lineSize/100, changed, 60, "one line of a hundred")
	path := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(path, variant(first, "1.3.0", 0, 3), 0o600))
	version, health, err := readFront(path)
	require.NoError(t, err)
	require.Equal(t, "1.3.0", version)
	require.NotEqual(t, byte(well), health)
}
