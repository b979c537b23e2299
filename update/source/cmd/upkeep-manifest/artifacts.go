package main

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/update/source/internal/asset"
	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// artifacts says how files become artifacts.
type artifacts struct {
	os, arch, prefix, key *string
}

// artifacts measures the files, and those of folders.
func (t tool) artifacts(a artifacts, manifestPath string, paths []string) ([]manifest.Artifact, error) {
	var signer ed25519.PrivateKey
	if *a.key != "" {
		keys, err := t.PrivateKeys([]string{*a.key})
		if err != nil {
			return nil, err
		}
		signer = keys[0]
	}
	files, err := t.files(a, paths)
	if err != nil {
		return nil, err
	}
	var all []manifest.Artifact
	for _, file := range files {
		one, err := measure(file)
		if err != nil {
			return nil, err
		}
		if one.OS, one.Arch, err = a.system(file); err != nil {
			return nil, err
		}
		if one.URL, err = a.address(file, manifestPath); err != nil {
			return nil, err
		}
		if signer != nil {
			one.Signature = ed25519.Sign(signer, one.SHA256)
		}
		fmt.Fprintf(t.Out, "%s: %s, %d bytes, SHA-256 %x\n", one.URL, system(one), one.Size, []byte(one.SHA256))
		all = append(all, one)
	}
	return all, nil
}

// files lists the files to add: those named, and of the folders named those
// whose names tell a system.
func (t tool) files(a artifacts, paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		if *a.os != "" {
			return nil, fmt.Errorf("%s is a folder, and -os is for a single file", path)
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if _, ok := asset.Parse(entry.Name()); ok && entry.Type().IsRegular() {
				files = append(files, filepath.Join(path, entry.Name()))
			} else {
				t.Warn("passed over %s", filepath.Join(path, entry.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file in %s has a system and an architecture in its name", strings.Join(paths, ", "))
	}
	return files, nil
}

// measure reads a file's size and digest.
func measure(path string) (manifest.Artifact, error) {
	f, err := os.Open(path)
	if err != nil {
		return manifest.Artifact{}, err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return manifest.Artifact{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return manifest.Artifact{Size: size, SHA256: sum.Sum(nil)}, nil
}

// anything is how a user says that a file is for every system or architecture.
const anything = "any"

// system tells what a file is for.
func (a artifacts) system(file string) (goos, goarch string, err error) {
	if *a.os != "" {
		goos, goarch = *a.os, *a.arch
	} else {
		s, ok := asset.Parse(filepath.Base(file))
		if !ok {
			return "", "", fmt.Errorf("the name of %s does not tell its system and architecture: give -os and -arch", file)
		}
		goos, goarch = s.OS, s.Arch
	}
	if goos == anything {
		goos = ""
	}
	if goarch == anything || goarch == asset.All {
		goarch = ""
	}
	return goos, goarch, nil
}

// address is the URL of a file.
func (a artifacts) address(file, manifestPath string) (string, error) {
	if *a.prefix != "" {
		u, err := url.Parse(*a.prefix)
		if err != nil {
			return "", fmt.Errorf("-url cannot be parsed: %w", err)
		}
		return u.JoinPath(filepath.Base(file)).String(), nil
	}
	folder, err := filepath.Abs(filepath.Dir(manifestPath))
	if err != nil {
		return "", err
	}
	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}
	relative, err := filepath.Rel(folder, file)
	if err != nil || !filepath.IsLocal(relative) {
		return "", fmt.Errorf("%s is not below the manifest: give -url", file)
	}
	return (&url.URL{Path: filepath.ToSlash(relative)}).String(), nil
}

// system names what an artifact is for.
func system(a manifest.Artifact) string {
	return cmp.Or(a.OS, anything) + "/" + cmp.Or(a.Arch, anything)
}
