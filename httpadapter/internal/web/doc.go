// Package web serves tables of routes as the APIs of package httpadapter are
// served, and knows no word of any domain: the way of a request through its
// method, size, origin, credential and rights to a handler, strict JSON, event
// streams, long replies, failures in the envelope of each API, openapi.json.
//
// Read route.go first, the table and what a row of it is, then server.go,
// guard.go and call.go, the way of a request. wire.go and scan.go have how
// bodies are read, long.go, feed.go, events.go and socket.go the replies that take long,
// problem.go and refusal.go how failures are told.
package web
