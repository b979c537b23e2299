// Package sqlite is the default engine: one file, any number of processes of
// one machine.
package sqlite

import _ "modernc.org/sqlite"
