package step

import (
	"fmt"
	"slices"
	"strings"
)

// The notes that a migration file may have.
const (
	noteApart      = "no transaction"
	noteRepeatable = "repeatable"
)

// hindrance is what cannot run in a transaction.
type hindrance struct {
	words      string
	repeatable bool // it may be run again after a crash in the middle of it
}

// The first one that fits counts.
var hindrances = map[engine][]hindrance{
	sqliteEngine: {
		{"VACUUM", true},
		{"ATTACH", true},
		{"DETACH", true},
	},
	postgreSQL: {
		{"VACUUM", true},
		{"CREATE UNIQUE? INDEX CONCURRENTLY IF NOT EXISTS", true},
		{"CREATE UNIQUE? INDEX CONCURRENTLY", false},
		{"DROP INDEX CONCURRENTLY IF EXISTS", true},
		{"DROP INDEX CONCURRENTLY", false},
		{"REINDEX * CONCURRENTLY", true},
		{"REINDEX SCHEMA|DATABASE|SYSTEM", true},
		{"REINDEX ( * ) SCHEMA|DATABASE|SYSTEM", true},
		{"CLUSTER VERBOSE? $", true},
		{"ALTER SYSTEM", true},
		{"DROP DATABASE|TABLESPACE|SUBSCRIPTION IF EXISTS", true},
		{"CREATE|DROP DATABASE|TABLESPACE|SUBSCRIPTION", false},
		{"ALTER DATABASE * SET TABLESPACE", true},
		{"ALTER TABLE * DETACH PARTITION * CONCURRENTLY", false},
		{"COMMIT|ROLLBACK PREPARED", false},
	},
}

// endings begin or end a transaction. What is after ROLLBACK decides.
var endings = []string{"BEGIN", "COMMIT", "END", "ABORT", "ROLLBACK", "START TRANSACTION", "PREPARE TRANSACTION"}

// pragmas of SQLite that do nothing, or fail, in a transaction, and where they
// belong: in a file outside one, or not in a file.
var pragmas = map[string]bool{
	"journal_mode": true, "auto_vacuum": true, "page_size": true, "wal_checkpoint": true,
	"synchronous": false, "encoding": false,
}

// inspect finds out how the file is to be run, and refuses what cannot work.
func (f *migration) inspect(db engine) error {
	f.apart, f.foreignKeys, f.parts = false, nil, nil
	first := true
	err := split(f.sql, db, func(s statement) error {
		if first {
			f.apart = slices.Contains(s.notes, note{noteApart, 1})
			first = false
		}
		return f.take(s, db)
	})
	if err != nil {
		return f.refuse(err)
	}
	return nil
}

func (f *migration) refuse(err error) error { return fmt.Errorf("step: %s: %w", f.name, err) }

// take inspects one statement.
func (f *migration) take(s statement, db engine) error {
	repeatable := false
	for _, n := range s.notes {
		switch {
		case n == note{noteApart, 1}:
		case n.text == noteApart:
			return fmt.Errorf("line %d: %q must be the first line", n.line, "-- upkeep: "+noteApart)
		case n.text == noteRepeatable && f.apart:
			repeatable = true
		case n.text == noteRepeatable:
			return fmt.Errorf("line %d: %q is for files that begin with %q", n.line, "-- upkeep: "+noteRepeatable, "-- upkeep: "+noteApart)
		default:
			return fmt.Errorf("line %d: there is no %q, only %q and %q", n.line, "-- upkeep: "+n.text, noteApart, noteRepeatable)
		}
	}
	if len(s.tokens) == 0 {
		return nil
	}
	if s.back > 0 {
		return fmt.Errorf("line %d: what follows takes the file back for other tools, and would be run here: leave it out, a Backup takes it back", s.back)
	}
	for _, words := range endings {
		if s.begins(words) && !s.begins("ROLLBACK WORK|TRANSACTION? TO") && !s.begins("COMMIT|ROLLBACK PREPARED") {
			return fmt.Errorf("line %d: %s: the step begins and ends transactions itself, leave it out", s.line, words)
		}
	}
	if db == postgreSQL && (s.tokens[0].text == `\` || s.begins("COPY * FROM STDIN")) {
		return fmt.Errorf("line %d: a command of psql, or data for COPY FROM STDIN: a file has only what a server can run by itself", s.line)
	}
	if db == postgreSQL && (s.begins("DISCARD ALL") || f.apart && s.begins("DEALLOCATE PREPARE? ALL")) {
		return fmt.Errorf("line %d: %s would end what the step has in its session: leave it out, each file has one of its own", s.line, said(s, "DISCARD DEALLOCATE ALL"))
	}
	if db == sqliteEngine && s.begins("PRAGMA") {
		return f.takePragma(s)
	}
	p := part{statement: s, bare: repeatable}
	for _, h := range hindrances[db] {
		if !s.begins(h.words) {
			continue
		}
		what := said(s, h.words)
		switch {
		case !f.apart:
			return fmt.Errorf("line %d: %s cannot run in a transaction: begin the file with the line %q", s.line, what, "-- upkeep: "+noteApart)
		case !h.repeatable && !repeatable:
			return fmt.Errorf("line %d: %s would be run again after a crash: write IF [NOT] EXISTS, or %q before it if it bears that", s.line, what, "-- upkeep: "+noteRepeatable)
		}
		p.bare, p.setting = true, s.begins("ATTACH|DETACH")
		break
	}
	if db == postgreSQL && (s.begins("SET|RESET") || s.begins("SELECT set_config (") || s.begins("SELECT pg_catalog . set_config (")) {
		p.bare, p.setting = true, true
	}
	f.keep(p)
	return nil
}

// said names a statement by what of its words is known: the rest may be secret.
func said(s statement, words string) string {
	var all []string
	for _, t := range s.tokens {
		if slices.ContainsFunc(strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(" |?*", r) }), t.is) {
			all = append(all, strings.ToUpper(t.text))
		}
	}
	return strings.Join(all, " ")
}

// takePragma inspects a PRAGMA: one of foreign_keys is for the whole file.
func (f *migration) takePragma(s statement) error {
	rest := s.tokens[1:]
	if len(rest) > 2 && rest[1].text == "." {
		rest = rest[2:] // behind the schema
	}
	if len(rest) == 0 {
		f.keep(part{statement: s, bare: true, setting: true})
		return nil // SQLite will say it
	}
	name, sets := rest[0].name(), len(rest) > 1
	may, hindered := pragmas[name]
	switch {
	case hindered && !may && sets:
		return fmt.Errorf("line %d: PRAGMA %s has no effect in a migration: set it where the database is made or opened", s.line, name)
	case hindered && !f.apart && (sets || name == "wal_checkpoint"):
		return fmt.Errorf("line %d: PRAGMA %s cannot run in a transaction: begin the file with the line %q", s.line, name, "-- upkeep: "+noteApart)
	case name == "foreign_keys" && sets && f.apart:
		return fmt.Errorf("line %d: PRAGMA %s is for files that run in a transaction: there it is honoured, and followed by foreign_key_check", s.line, name)
	case name == "foreign_keys" && sets:
		f.foreignKeys = append(f.foreignKeys, s.text)
	}
	f.keep(part{statement: s, bare: true, setting: true})
	return nil
}

// part is a statement of a file that runs outside a transaction.
type part struct {
	statement
	bare    bool // not in a transaction of its own
	setting bool // for the session: run again when the file goes on after a crash
}

func (f *migration) keep(p part) {
	if f.apart {
		p.tokens = slices.Clone(p.tokens[:min(len(p.tokens), 40)]) // enough for an index
		f.parts = append(f.parts, p)
	}
}
