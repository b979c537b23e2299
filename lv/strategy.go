package lv

import "encoding/json"

// Strategy shows a version of one row to the visitors that its rules match.
// Of those that match, the highest Priority wins, then the newest.
type Strategy struct {
	ID       int64
	Title    string
	Row      string // the row of Target; set by the store
	Target   VersionID
	Priority int64 // default Target
	Disabled bool
	Rules    Rules           // required, never empty
	Extra    json.RawMessage // fields of the document that are kept and not read
	Rev      int64
	Seq      int64 // of the event that saved it
	Deleted  bool
}
