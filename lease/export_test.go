package lease

// StopExpiry stops the timer that ends h, as if the process had been stopped.
func StopExpiry(h *Held) { h.expiry.Stop() }

// Items is how many items somebody waits for in l.
func Items(l *Line) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}
