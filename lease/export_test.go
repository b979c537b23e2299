package lease

// StopExpiry stops the timer that ends h, as if the process had been stopped.
func StopExpiry(h *Held) { h.expiry.Stop() }
