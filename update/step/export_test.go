package step

import "github.com/upkeep-go/upkeep/update"

// Exchange is how this system swaps two folders.
var Exchange = exchange

// PublishBy is PublishFiles with another way to swap two folders.
func PublishBy(exchange func(a, b string) error, src Tree, dir string) update.Step {
	return newPublisher(src, dir, exchange).step()
}

// Vouch is how a step shows that it lives during a long statement.
var Vouch = vouch
