package sqlstore

// anchor is the event that a reader stands at, as it is now: a database may be
// exchanged for another under those who read it.
type anchor struct {
	there bool  // it is kept
	time  int64 // Unix milliseconds
}

// holds reports whether a reader at the event after can go on: the event is the
// one that it was, at the time at, unless that is not known and 0. One that is
// not kept any more has others after it, since the newest is never deleted.
func (a anchor) holds(after, at int64, more bool) bool {
	if a.there {
		return at == 0 || a.time == at
	}
	return more || after == 0
}
