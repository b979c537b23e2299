package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter"
)

// credentials is the file credentials.json: what a script needs to use the server.
type credentials struct {
	Addr     string `json:"addr"`
	APIToken string `json:"api_token"`

	AppID     string `json:"appid"`
	SchemaID  string `json:"schemaid"`
	AuthID    string `json:"authid"`
	AuthKey   string `json:"authkey"`
	StaffName string `json:"staffname"` // who edits, as far as a script knows

	SID     string `json:"sid"` // the cookies of the status API, mwcloud-sid
	UID     string `json:"uid"` // and mwcloud-uid
	FeedKey string `json:"feed_key"`

	Passphrase string `json:"passphrase"` // of the cloud
}

// feedKey is what the feed of the device is signed with.
func (c credentials) feedKey() (ed25519.PrivateKey, error) {
	seed, err := base64.StdEncoding.DecodeString(c.FeedKey)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("feed_key in credentials.json is no key")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func newCredentials() credentials {
	secret := func() string { return strings.ToLower(rand.Text()) }
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // which never fails
	return credentials{
		APIToken: secret(),
		AppID:    "demo", SchemaID: "site", AuthID: secret(), AuthKey: secret(), StaffName: "editor",
		SID: secret(), UID: "viewer", FeedKey: base64.StdEncoding.EncodeToString(seed),
		Passphrase: secret(),
	}
}

// loadCredentials reads the credentials of the state folder, or makes them:
// then first is true, in one of any number of servers that start at once. The
// file has the address of the server that started last. It is written only if
// it says something else: a server starts on a full disk.
func loadCredentials(state, addr string) (c credentials, first bool, err error) {
	path := filepath.Join(state, "credentials.json")
	c = newCredentials()
	c.Addr = addr
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = writePrivate(path, c.text(), os.Link) // which replaces nothing
		if !errors.Is(err, fs.ErrExist) {
			return c, err == nil, err
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return c, false, err
	}
	if err := json.Unmarshal(text, &c); err != nil { // what an older file lacks stays new
		return c, false, fmt.Errorf("reading %q: %w", path, err)
	}
	c.Addr = addr
	if bytes.Equal(text, c.text()) {
		return c, false, nil
	}
	return c, false, writePrivate(path, c.text(), os.Rename)
}

// auth is who may do what.
func (c credentials) auth() httpadapter.Secrets {
	return httpadapter.Secrets{
		c.APIToken: {ID: "admin", Role: httpadapter.Admin},
		c.AuthKey:  {ID: c.AuthID, Role: httpadapter.Editor, Scopes: []string{c.AppID}},
		c.SID:      {ID: c.UID, Role: httpadapter.Reader},
	}
}

func (c credentials) text() []byte {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		panic(err) // they are strings
	}
	return append(text, '\n')
}

// writePrivate writes a file that only its owner can read, and moves it to its
// path once it is whole.
func writePrivate(path string, text []byte, move func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return move(f.Name(), path)
}

// reveal shows the secrets, at the first start only.
func (c credentials) reveal(out io.Writer) {
	fmt.Fprintf(out, `Shown this once, and kept in credentials.json in the folder of the state:
  the API token: %s
  for the rows:  appid %s, schemaid %s, authid %s, authkey %s
  the device:    cookies mwcloud-sid=%s and mwcloud-uid=%s
  the cloud:     passphrase %s
`, c.APIToken, c.AppID, c.SchemaID, c.AuthID, c.AuthKey, c.SID, c.UID, c.Passphrase)
}

// print tells how to use the server, once it can be used.
func (c credentials) print(out io.Writer, state string) {
	program := "go run ./examples/server"
	if state != defaultState() {
		program += " -state '" + state + "'"
	}
	fmt.Fprintf(out, `
The site:  http://%[1]s/site/
The state: %[2]s
Stop it with Ctrl-C. Its service goes on then, until this ends it too:
  %[3]s -stop

In a second terminal, in the same folder as here, this updates the site:
  %[3]s call POST /api/v1/update '{"package": "demo/site"}'
and so does any other program that has the token:
  TOKEN=$(%[3]s show api_token)
  curl -X POST "http://%[1]s/api/v1/update" -H "Content-Type: application/json" \
    -d '{"api_token": "'$TOKEN'", "package": "demo/site"}'
What else there is to try, and why: examples/server/README.md

`, c.Addr, state, program)
}
