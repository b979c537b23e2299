package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the site's own database

	"github.com/upkeep-go/upkeep/lv"
)

// site is a web site whose pages are templates in a folder, filled from a
// database and from the rows that a visitor sees, and kept in another folder
// once made. It knows nothing of updates but the flag that closes it.
type site struct {
	dir  string
	db   *sql.DB
	rows lv.Typed[block]
	log  *slog.Logger
}

func openSite(ctx context.Context, dir string, table *lv.Table, log *slog.Logger) (*site, error) {
	s := &site{dir: dir, rows: lv.Of[block](table), log: log}
	if err := os.MkdirAll(s.cache(), 0o700); err != nil {
		return nil, err
	}
	if err := seed(ctx, table); err != nil {
		return nil, err
	}
	file, err := filepath.Abs(filepath.Join(dir, "site.db"))
	if err != nil {
		return nil, err
	}
	uri := url.URL{ // a path may have any characters
		Scheme: "file", Path: filepath.ToSlash(file), RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)",
	}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	s.db = db
	return s, db.PingContext(ctx)
}

func (s *site) Close() error { return s.db.Close() }

func (s *site) public() string     { return filepath.Join(s.dir, "public") }
func (s *site) cache() string      { return filepath.Join(s.dir, "cache") }
func (s *site) closedFlag() string { return filepath.Join(s.dir, "closed.json") }

func (s *site) closed() bool {
	_, err := os.Stat(s.closedFlag())
	return err == nil
}

// ServeHTTP answers below /site/.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/site/")
	if name == "" {
		name = "index.html"
	}
	switch {
	case strings.Contains(name, "\x00"): // the name of no file, on any system
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed here", http.StatusMethodNotAllowed)
	case name == "healthz":
		s.health(w, r)
	case s.closed():
		w.Header().Set("Retry-After", "5")
		http.Error(w, "The site is being updated. Please come back in a moment.", http.StatusServiceUnavailable)
	case path.Ext(name) == ".html":
		s.page(w, r, name)
	default:
		s.file(w, r, name)
	}
}

// health makes the first page anew and says which release made it.
func (s *site) health(w http.ResponseWriter, r *http.Request) {
	version, err := s.read("VERSION")
	if err == nil {
		_, err = s.render(r.Context(), "index.html", view{})
	}
	if err != nil {
		s.log.Warn("server: the site is not healthy", "err", err)
		http.Error(w, "not healthy: the log says why", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "healthy %s", version)
}

// page answers with a page as this visitor sees it, from the cache or made.
func (s *site) page(w http.ResponseWriter, r *http.Request, name string) {
	text, err := s.shown(r.Context(), name, visitorOf(r))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		http.NotFound(w, r)
	case err != nil:
		s.log.Error("server: a page cannot be made", "page", name, "err", err)
		http.Error(w, "This page cannot be made.", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache") // by the next request something may be published
		_, _ = w.Write(text)
	}
}

func (s *site) shown(ctx context.Context, name string, visitor lv.Attributes) ([]byte, error) {
	seen, err := s.view(ctx, visitor)
	if err != nil {
		return nil, err
	}
	key := seen.key(name)
	if text, err := s.cached(key); err == nil {
		return text, nil
	}
	text, err := s.render(ctx, name, seen)
	if err == nil {
		s.keep(key, text)
	}
	return text, err
}

func (s *site) file(w http.ResponseWriter, r *http.Request, name string) {
	text, err := s.read(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

// read returns a file of the release that is published, and nothing outside it.
func (s *site) read(name string) ([]byte, error) {
	root, err := os.OpenRoot(s.public())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return fs.ReadFile(root.FS(), name)
}

// render fills a page: that of a row, or one that the release has.
func (s *site) render(ctx context.Context, name string, seen view) ([]byte, error) {
	file, page := name, seen.page(name)
	if page != nil {
		file = "page.tmpl"
	}
	text, err := s.read(file)
	if err != nil {
		return nil, err
	}
	t, err := template.New(file).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	articles, err := s.articles(ctx)
	if err != nil {
		return nil, err
	}
	var made bytes.Buffer
	if err := t.Execute(&made, map[string]any{
		"Articles": articles, "Banners": seen.banners, "Pages": seen.pages, "Page": page,
	}); err != nil {
		return nil, err
	}
	return made.Bytes(), nil
}

// articles are those of the database, with whatever columns its release gave them.
func (s *site) articles(ctx context.Context) ([]map[string]any, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT * FROM article ORDER BY id DESC")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []map[string]any
	for rows.Next() {
		values, article := make([]any, len(columns)), map[string]any{}
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		for i, c := range columns {
			article[c] = *values[i].(*any)
		}
		all = append(all, article)
	}
	return all, rows.Err()
}

// cached returns a page that was made before.
func (s *site) cached(name string) ([]byte, error) {
	root, err := os.OpenRoot(s.cache())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return fs.ReadFile(root.FS(), name)
}

// keep puts a page into the cache, unless an update may just have emptied it.
// A page that is not kept is made again: errors do not matter.
func (s *site) keep(name string, text []byte) {
	f, err := os.CreateTemp(s.cache(), ".page-*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, bytes.NewReader(text))
	if errors.Join(err, f.Close()) == nil && !s.closed() && path.Base(name) == name {
		_ = os.Rename(f.Name(), filepath.Join(s.cache(), name))
	}
}
