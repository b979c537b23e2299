package signtool

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/upkeep-go/upkeep/internal/signed"
)

// MakeKeys is the command, of this name, that makes a pair of keys.
func (t Tool) MakeKeys(name string, args []string) error {
	f := t.Flags(name+" [-key file]", strings.ToUpper(name[:1])+name[1:]+" makes a private key, which signs, and beside it a public key (.pub),\n"+
		"which is built into the program. It overwrites nothing.")
	file := f.String("key", "upkeep.key", "`file` of the private key; only its owner may read it")
	if err := f.Parse(args, 0); err != nil {
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
	fmt.Fprintf(t.Out, "private key: %s (keep it secret, and a copy safe)\npublic key:  %s, id %s\n\n%s\n",
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

// PrivateKeys reads the files of private keys, "-" being standard input.
func (t Tool) PrivateKeys(files []string) ([]ed25519.PrivateKey, error) {
	public, private, err := t.ReadKeys(files)
	if err == nil && len(private) != len(public) {
		err = fmt.Errorf("not all of these are private keys: %s", strings.Join(files, ", "))
	}
	return private, err
}

// ReadKeys reads keys, each as text, in a file, or "-" for standard input. A
// private key has its public key in it. It warns of private keys that others may
// read.
func (t Tool) ReadKeys(texts []string) (public []ed25519.PublicKey, private []ed25519.PrivateKey, err error) {
	for _, text := range texts {
		if key, err := signed.ParsePublicKey(text); err == nil {
			public = append(public, key)
			continue
		}
		content, mode, err := t.read(text)
		if err != nil {
			return nil, nil, err
		}
		key, unread := signed.ParsePrivateKey(content)
		if unread == nil {
			if runtime.GOOS != "windows" && mode.Perm()&0o077 != 0 {
				t.Warn("others may read %s: chmod 600 it", text)
			}
			private = append(private, key)
			public = append(public, key.Public().(ed25519.PublicKey))
			continue
		}
		other, err := signed.ParsePublicKey(string(content))
		if errors.Is(err, signed.ErrPrivate) {
			err = unread
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", text, err)
		}
		public = append(public, other)
	}
	return public, private, nil
}

// read reads a file of a key, and who may.
func (t Tool) read(file string) ([]byte, os.FileMode, error) {
	const limit = 64 << 10
	if file == "-" {
		content, err := io.ReadAll(io.LimitReader(t.In, limit))
		return content, 0, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	content, err := io.ReadAll(io.LimitReader(f, limit))
	return content, info.Mode(), err
}
