package main

import (
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
}

// loadCredentials reads the credentials of an earlier start, or makes them:
// then first is true. The file always has the address of this start.
func loadCredentials(state, addr string) (c credentials, first bool, err error) {
	path := filepath.Join(state, "credentials.json")
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		first = true
	case err != nil:
		return c, false, err
	default:
		if err := json.Unmarshal(text, &c); err != nil {
			return c, false, fmt.Errorf("reading %q: %w", path, err)
		}
	}
	if c.APIToken == "" {
		c.APIToken = strings.ToLower(rand.Text())
	}
	c.Addr = addr
	text, err = json.MarshalIndent(c, "", "  ")
	if err != nil {
		return c, first, err
	}
	return c, first, writePrivate(path, append(text, '\n'))
}

// writePrivate replaces a file, whole or not at all, by one that only its
// owner can read.
func writePrivate(path string, text []byte) error {
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
	return os.Rename(f.Name(), path)
}

// print tells how to use the server. Secrets are shown at the first start only.
func (c credentials) print(out io.Writer, state string, first bool) {
	token := "'$TOKEN'" // leaves the single quotes of the line
	fmt.Fprintf(out, "\nThe site:  http://%s/site/\nThe state: %s\n", c.Addr, state)
	if first {
		token = c.APIToken
		fmt.Fprintf(out, "The API token, shown this once and kept in credentials.json there: %s\n", token)
	} else {
		fmt.Fprintf(out, "For the lines below: TOKEN=$(sed -n 's/.*\"api_token\": \"\\([^\"]*\\)\".*/\\1/p' '%s')\n",
			filepath.Join(state, "credentials.json"))
	}
	fmt.Fprintf(out, `
Update the site:
  curl -X POST "http://%[1]s/api/v1/update" -H "Content-Type: application/json" \
    -d '{"api_token": "%[2]s", "package": "demo/site"}'
Ask whether an update runs:
  curl -X POST "http://%[1]s/api/v1/update/progress" -H "Content-Type: application/json" \
    -d '{"api_token": "%[2]s", "itemId": "core"}'

`, c.Addr, token)
}
