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

// Rules are rules that all must match.
type Rules []Rule

// Rule compares an attribute with a value, or combines rules.
type Rule struct {
	Type  string // "and", "or"; "" compares
	Rules []Rule // what Type combines, never empty

	Object, Field string
	Relation      Relation
	Value         any // string, number, bool, []string, or Percentage
}

// Relation is how a Rule compares. An attribute that is missing matches
// RelationNotExists alone.
type Relation string

// Some of the relations.
const (
	RelationEquals    Relation = "eq"
	RelationNotEquals Relation = "neq"
	RelationIncludes  Relation = "includes"
	RelationIn        Relation = "in"
	RelationMatches   Relation = "regex" // RE2
	RelationPercent   Relation = "percentage"
	RelationNotExists Relation = "notExists"
)

// Percentage is the value of RelationPercent: a stable share of visitors that only
// grows when Percent does.
type Percentage struct {
	Percent float64 // 0 to 100
	By      string  // the attribute that is hashed, such as "user.id"
	Seed    string  // default: the strategy's id
}

// Attributes describe a visitor: "object.field" to value.
type Attributes map[string]string

// Check returns ErrInvalid and where, if the rules cannot be used: an empty
// group, an unknown relation, too deep, too many, too long.
func (r Rules) Check() error { panic("sketch") }

// Match reports whether a visitor matches. A Service compiles rules once; this
// is for trying them out.
func (r Rules) Match(a Attributes) bool { panic("sketch") }
