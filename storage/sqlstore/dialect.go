package sqlstore

// Dialect says where an engine's SQL differs.
type Dialect struct{}
