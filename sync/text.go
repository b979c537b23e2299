package sync

import "github.com/upkeep-go/upkeep/internal/text"

// cut shortens what people, or others, have written.
func cut[S ~string](s S, most int) string { return text.Cut(string(s), most) }
