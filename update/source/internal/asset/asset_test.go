package asset_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/internal/asset"
)

func TestANameSaysWhatItsFileIsFor(t *testing.T) {
	for name, want := range map[string]asset.System{
		"app_1.2.3_linux_amd64.tar.gz":               {OS: "linux", Arch: "amd64"},
		"app_Darwin_arm64.tar.gz":                    {OS: "darwin", Arch: "arm64"},
		"app_1.2.3_Linux_x86_64.tar.gz":              {OS: "linux", Arch: "amd64"},
		"app_Windows_i386.zip":                       {OS: "windows", Arch: "386"},
		"app-windows-amd64.exe":                      {OS: "windows", Arch: "amd64"},
		"app-amd64.exe":                              {OS: "windows", Arch: "amd64"},
		"app-linux-amd64":                            {OS: "linux", Arch: "amd64"},
		"app_1.2.3_linux_arm64":                      {OS: "linux", Arch: "arm64"},
		"app-linux-amd64-1.2.3":                      {OS: "linux", Arch: "amd64"},
		"app-2.45.0.linux-armv7.tar.gz":              {OS: "linux", Arch: "armv7"},
		"app-2.45.0.linux-armv6":                     {OS: "linux", Arch: "armv6"},
		"app-x86_64-unknown-linux-musl.tar.gz":       {OS: "linux", Arch: "amd64", Libc: "musl"},
		"app-x86_64-unknown-linux-gnu.tgz":           {OS: "linux", Arch: "amd64", Libc: "gnu"},
		"app-arm-unknown-linux-gnueabihf.tar.gz":     {OS: "linux", Arch: "arm", Libc: "gnu"},
		"app-armv7l-unknown-linux-musleabihf.tar.gz": {OS: "linux", Arch: "armv7", Libc: "musl"},
		"app-x86_64-pc-windows-gnu.zip":              {OS: "windows", Arch: "amd64"},
		"app-aarch64-apple-darwin.tar.gz":            {OS: "darwin", Arch: "arm64"},
		"app-aarch64-linux-android.zip":              {OS: "android", Arch: "arm64"},
		"app_darwin_all.tar.gz":                      {OS: "darwin", Arch: asset.All},
		"app-macos-universal.zip":                    {OS: "darwin", Arch: asset.All},
		"all-app-macos-x64.zip":                      {OS: "darwin", Arch: "amd64"},
		"app_Linux-64bit.tar.gz":                     {OS: "linux", Arch: "amd64"},
		"app_Linux-32-bit.tar.gz":                    {OS: "linux", Arch: "386"},
		"app-linux64.tar.gz":                         {OS: "linux", Arch: "amd64"},
		"app-win32.zip":                              {OS: "windows", Arch: "386"},
		"app_linux_amd64_v1.tar.gz":                  {OS: "linux", Arch: "amd64"},
		"app_linux_amd64v3.tar.gz":                   {OS: "linux", Arch: "amd64v3"},
		"app-linux-amd64-v2.0.1.tar.gz":              {OS: "linux", Arch: "amd64"},
		"app-linux-arm-v7.0.1.tar.gz":                {OS: "linux", Arch: "arm"},
		"app_linux_arm_v6.tar.gz":                    {OS: "linux", Arch: "armv6"},
		"app-linux-powerpc64le.tar.gz":               {OS: "linux", Arch: "ppc64le"},
		"windows_exporter-0.25.1-linux-amd64.tar.gz": {OS: "linux", Arch: "amd64"},
		"arm-tool_linux_amd64.tar.gz":                {OS: "linux", Arch: "amd64"},
	} {
		s, ok := asset.Parse(name)
		require.True(t, ok, name)
		require.Equal(t, want, s, name)
	}
}

func TestFilesThatAreNotToBeInstalledAreForNothing(t *testing.T) {
	for _, name := range []string{
		"", "app", "app.tar.gz", "app-linux.tar.gz", "app-amd64.tar.gz", "checksums.txt", "app_1.2.3_checksums.txt",
		"app_linux_amd64.tar.gz.sha256", "app_linux_amd64.tar.gz.minisig", "app_linux_amd64.sig", "app_linux_amd64.tar.gz.sbom.json",
		"app_1.2.3_linux_amd64.deb", "app-1.2.3.linux.amd64.rpm", "app_linux_amd64.tar.xz", "app_linux_amd64.apk",
		"app_linux_all.tar.gz", "src-1.2.3.tar.gz", "linuxish-amd64ish",
	} {
		s, ok := asset.Parse(name)
		require.False(t, ok, "%s: %v", name, s)
	}
}

func TestPickTakesTheOneThatRuns(t *testing.T) {
	const (
		plain = "app-linux-amd64.tar.gz"
		gnu   = "app-x86_64-unknown-linux-gnu.tar.gz"
		musl  = "app-x86_64-unknown-linux-musl.tar.gz"
		mac   = "app-darwin-arm64.tar.gz"
		both  = "app-darwin-all.tar.gz"
		v6    = "app-linux-armv6.tar.gz"
		arm   = "app-linux-arm.tar.gz"
		v3    = "app-linux-amd64v3.tar.gz"
	)
	linux := func(libc string) asset.System { return asset.System{OS: "linux", Arch: "amd64", Libc: libc} }
	tests := []struct {
		name  string
		want  asset.System
		files []string
		best  string
	}{
		{"the system's own", linux(""), []string{mac, plain, "app-windows-amd64.zip", "app-linux-arm64.tar.gz"}, plain},
		{"nothing for this system", linux(""), []string{mac, v6, "checksums.txt"}, ""},
		{"a static program takes one without a library's name", linux(""), []string{gnu, musl, plain}, plain},
		{"or else the one that brings its own", linux(""), []string{gnu, musl}, musl},
		{"or else any", linux(""), []string{gnu}, gnu},
		{"a program for gnu stays with it", linux("gnu"), []string{plain, musl, gnu}, gnu},
		{"and takes musl if there is nothing else", linux("gnu"), []string{musl}, musl},
		{"a program for musl stays with it", linux("musl"), []string{plain, musl, gnu}, musl},
		{"takes one without a name", linux("musl"), []string{plain, gnu}, plain},
		{"and never one for gnu", linux("musl"), []string{gnu}, ""},
		{"the machine's own before one for all", asset.System{OS: "darwin", Arch: "arm64"}, []string{both, mac}, mac},
		{"one for all", asset.System{OS: "darwin", Arch: "amd64"}, []string{both, mac}, both},
		{"any arm", asset.System{OS: "linux", Arch: "arm"}, []string{v6}, v6},
		{"the arm that is named", asset.System{OS: "linux", Arch: "armv6"}, []string{arm, v6}, v6},
		{"no later arm", asset.System{OS: "linux", Arch: "armv5"}, []string{v6}, ""},
		{"no later amd64", linux(""), []string{v3}, ""},
		{"a later amd64 that is named", asset.System{OS: "linux", Arch: "amd64v3"}, []string{plain, v3}, v3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			best, err := asset.Pick(tt.files, tt.want)
			require.NoError(t, err)
			require.Equal(t, tt.best, best)
		})
	}
}

func TestPickRefusesToGuess(t *testing.T) {
	for _, files := range [][]string{
		{"app-linux-amd64.tar.gz", "app-linux-amd64.zip"},
		{"app-linux-amd64", "helper-linux-amd64", "app-linux-arm64"},
		{"app-linux-x86_64", "app-linux-x64"},
	} {
		_, err := asset.Pick(files, asset.System{OS: "linux", Arch: "amd64"})
		require.ErrorIs(t, err, asset.ErrAmbiguous)
		require.ErrorContains(t, err, files[1])
	}
	_, err := asset.Pick([]string{"app-linux-armv6", "app-linux-armv7"}, asset.System{OS: "linux", Arch: "arm"})
	require.ErrorIs(t, err, asset.ErrAmbiguous)
}

func FuzzParse(f *testing.F) {
	f.Add("app_1.2.3_linux_amd64.tar.gz")
	f.Add("app-x86_64-unknown-linux-musl")
	f.Fuzz(func(t *testing.T, name string) {
		s, ok := asset.Parse(name)
		if !ok {
			return
		}
		require.NotEmpty(t, s.OS)
		require.NotEmpty(t, s.Arch)
		again, _ := asset.Parse(strings.ToUpper(name))
		if strings.EqualFold(strings.ToUpper(name), name) {
			require.Equal(t, s, again, "case says nothing")
		}
		best, err := asset.Pick([]string{name}, s)
		require.NoError(t, err)
		require.Equal(t, name, best, "it is for what it says")
	})
}

func TestLibcReadsWhatAProgramIsLinkedTo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, loader string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, program(loader), 0o600))
		return path
	}
	require.Equal(t, "musl", asset.Libc(write("musl", "/lib/ld-musl-x86_64.so.1")))
	require.Equal(t, "gnu", asset.Libc(write("gnu", "/lib64/ld-linux-x86-64.so.2")))
	require.Empty(t, asset.Libc(write("static", "")))
	require.Empty(t, asset.Libc(filepath.Join(dir, "missing")))
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte("#!/bin/sh\n"), 0o600))
	require.Empty(t, asset.Libc(text))
}
