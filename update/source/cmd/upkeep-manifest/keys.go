package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// keygen makes a pair of keys.
func (t tool) keygen(args []string) error {
	f := t.flags("keygen [-key file]", "Keygen makes a private key, which signs, and beside it a public key (.pub),\n"+
		"which is built into the program. It overwrites nothing.")
	file := f.String("key", "upkeep.key", "`file` of the private key; only its owner may read it")
	if err := f.parse(args, 0); err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	text, err := manifest.FormatPrivateKey(private)
	if err != nil {
		return err
	}
	publicFile := strings.TrimSuffix(*file, ".key") + ".pub"
	if _, err := os.Lstat(publicFile); err == nil {
		return fmt.Errorf("%s exists, and is not overwritten", publicFile)
	}
	if err := create(*file, text, 0o600); err != nil {
		return err
	}
	line := manifest.FormatPublicKey(public)
	if err := create(publicFile, []byte(line+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "private key: %s (keep it secret, and a copy safe)\npublic key:  %s, id %s\n\n%s\n",
		*file, publicFile, manifest.KeyID(public), line)
	return nil
}

// create writes a file that does not exist yet, durably.
func create(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(name))
	}
	return nil
}

// privateKeys reads the files of private keys, "-" being standard input.
func (t tool) privateKeys(files []string) (keys []ed25519.PrivateKey, err error) {
	for _, file := range files {
		text, err := t.readKey(file)
		if err != nil {
			return nil, err
		}
		key, err := manifest.ParsePrivateKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (t tool) readKey(file string) ([]byte, error) {
	const limit = 64 << 10
	if file == "-" {
		return io.ReadAll(io.LimitReader(t.in, limit))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, err
	}
	if _, bad := manifest.ParsePrivateKey(text); bad == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(t.err, "upkeep-manifest: others may read %s: chmod 600 it\n", file)
	}
	return text, nil
}

// publicKeys reads public keys: as text, or from files, of which a private key
// has its public key in it.
func (t tool) publicKeys(texts []string) (keys []ed25519.PublicKey, private []ed25519.PrivateKey, err error) {
	for _, text := range texts {
		if key, err := manifest.ParsePublicKey(text); err == nil {
			keys = append(keys, key)
			continue
		}
		content, err := t.readKey(text)
		if err != nil {
			return nil, nil, err
		}
		if key, err := manifest.ParsePrivateKey(content); err == nil {
			private = append(private, key)
			keys = append(keys, key.Public().(ed25519.PublicKey))
			continue
		}
		key, err := manifest.ParsePublicKey(string(content))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", text, err)
		}
		keys = append(keys, key)
	}
	return keys, private, nil
}

func publicOf(private []ed25519.PrivateKey) (keys []ed25519.PublicKey) {
	for _, key := range private {
		keys = append(keys, key.Public().(ed25519.PublicKey))
	}
	return keys
}
