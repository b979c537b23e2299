package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/upkeep-go/upkeep/internal/signed"
)

// keys makes a pair of keys.
func (t tool) keys(args []string) error {
	f := t.flags("keys [-key file]", "Keys makes a private key, which signs, and beside it a public key (.pub), which\n"+
		"is built into the program. It overwrites nothing.")
	file := f.String("key", "upkeep.key", "`file` of the private key; only its owner may read it")
	if err := f.parse(args, 0); err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	text, err := signed.FormatPrivateKey(private)
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
	line := signed.FormatPublicKey(public)
	if err := create(publicFile, []byte(line+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "private key: %s (keep it secret, and a copy safe)\npublic key:  %s, id %s\n\n%s\n",
		*file, publicFile, signed.KeyID(public), line)
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

// readKeys reads keys, each as text, in a file, or "-" for standard input. A
// private key has its public key in it.
func (t tool) readKeys(texts []string) (public []ed25519.PublicKey, private []ed25519.PrivateKey, err error) {
	const limit = 64 << 10
	for _, text := range texts {
		if key, err := signed.ParsePublicKey(text); err == nil {
			public = append(public, key)
			continue
		}
		in := t.in
		if text != "-" {
			f, err := os.Open(text)
			if err != nil {
				return nil, nil, err
			}
			defer f.Close()
			in = f
		}
		content, err := io.ReadAll(io.LimitReader(in, limit))
		if err != nil {
			return nil, nil, err
		}
		if key, err := signed.ParsePrivateKey(content); err == nil {
			private = append(private, key)
			public = append(public, key.Public().(ed25519.PublicKey))
			continue
		}
		key, err := signed.ParsePublicKey(string(content))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", text, err)
		}
		public = append(public, key)
	}
	return public, private, nil
}
