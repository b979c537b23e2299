package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
}

func newCredentials() credentials {
	secret := func() string { return strings.ToLower(rand.Text()) }
	return credentials{
		APIToken: secret(),
		AppID:    "demo", SchemaID: "site", AuthID: secret(), AuthKey: secret(), StaffName: "editor",
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

// print tells how to use the server. Secrets are shown at the first start only.
func (c credentials) print(out io.Writer, state string, first bool) {
	token, key := "'$TOKEN'", "$AUTHKEY" // leaves the single quotes of its line
	fmt.Fprintf(out, "\nThe site:  http://%s/site/\nThe state: %s\n", c.Addr, state)
	if first {
		token, key = c.APIToken, c.AuthKey
		fmt.Fprintf(out, `Shown this once, and kept in credentials.json there:
  the API token: %s
  for the rows:  appid %s, schemaid %s, authid %s, authkey %s
`, c.APIToken, c.AppID, c.SchemaID, c.AuthID, c.AuthKey)
	} else {
		file := filepath.Join(state, "credentials.json")
		fmt.Fprintf(out, `For the lines below:
  TOKEN=$(sed -n 's/.*"api_token": "\([^"]*\)".*/\1/p' '%[1]s')
  AUTHKEY=$(sed -n 's/.*"authkey": "\([^"]*\)".*/\1/p' '%[1]s')
`, file)
	}
	fmt.Fprintf(out, `
Update the site:
  curl -X POST "http://%[1]s/api/v1/update" -H "Content-Type: application/json" \
    -d '{"api_token": "%[2]s", "package": "demo/site"}'
Ask whether an update runs:
  curl -X POST "http://%[1]s/api/v1/update/progress" -H "Content-Type: application/json" \
    -d '{"api_token": "%[2]s", "itemId": "core"}'
List the banners and pages:
  curl "http://%[1]s/lv/status/0?appid=%[3]s&schemaid=%[4]s&authid=%[5]s&authkey=%[6]s"

`, c.Addr, token, c.AppID, c.SchemaID, c.AuthID, key)
}
