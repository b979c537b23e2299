package sqlstore

import (
	"strconv"
	"strings"
	"time"
)

// Dialect says where an engine differs, above all its SQL.
type Dialect struct {
	// Int and Bytes are the types of an integer of 64 bits and of bytes. End
	// stands at the end of a table's definition; Keyed does so if the rows are
	// to lie in the order of the primary key.
	Int, Bytes, End, Keyed string
	// SchemaLock is executed first in a write that makes the tables of the
	// domain ?1. It keeps those writes apart where an engine lets writers run
	// side by side. Empty where it has one writer.
	SchemaLock string
	// Now and Tick are SQL expressions of the clock of the database's server:
	// Unix milliseconds, and the microseconds that leases are judged by. An
	// engine without a server leaves both empty and has a Host.
	Now, Tick string
	// Host is the machine that all processes of the database run on.
	Host Host
	// EventLock is executed first in every write that gives events of a domain,
	// whose table is {events}. It keeps those writes apart, and so in order,
	// where an engine lets writers run side by side. Empty where it has one
	// writer.
	EventLock string
	// Feeds is how many pages of its feed a store reads at once: a share of the
	// connections, so that other reads find one, however many watch. Default 1.
	Feeds int
}

// Host is a machine with a clock of its own, and this process on it.
type Host struct {
	// Boot names the present boot of the machine; a lease of another boot has
	// ended. Empty where a system does not name its boots.
	Boot string
	// Tick returns microseconds since some moment of this boot, the same for
	// all processes. It never goes back.
	Tick func() int64
	// Process names this process.
	Process string
	// Ended reports that the process of this name has certainly ended.
	Ended func(process string) bool
}

// eventsOf is the table of a domain's events.
func eventsOf(domain string) string { return "upkeep_" + domain + "_event" }

// eventLock is EventLock for a domain.
func (d Dialect) eventLock(domain string) string {
	return strings.ReplaceAll(d.EventLock, "{events}", eventsOf(domain))
}

// clocked writes the clock into a statement that has n parameters of its own:
// {now} and {tick} become SQL where the engine's server has a clock, else the
// parameters n+1 and n+2.
func (d Dialect) clocked(n int, query string) string {
	now, tick := d.Now, d.Tick
	if now == "" {
		now, tick = "?"+strconv.Itoa(n+1), "?"+strconv.Itoa(n+2)
	}
	return strings.NewReplacer("{now}", now, "{tick}", tick).Replace(query)
}

// withNow adds the argument of {now}, if it is a parameter.
func (d Dialect) withNow(args ...any) []any {
	if d.Now != "" {
		return args
	}
	return append(args, time.Now().UnixMilli())
}

// withTick adds the arguments of {now} and {tick}, if they are parameters.
func (d Dialect) withTick(args ...any) []any {
	if d.Now != "" {
		return args
	}
	return append(args, time.Now().UnixMilli(), d.Host.Tick())
}
