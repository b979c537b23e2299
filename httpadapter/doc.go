// Package httpadapter serves documented HTTP APIs, byte for byte, and the
// library's own routes under /upkeep/v1/, on any mux.
package httpadapter
