package process

import "time"

// Oversleep lets the time pass for which services that sleep keep what they need.
func (d *Deployer) Oversleep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, s := range d.asleep {
		s.until = time.Time{}
		d.asleep[id] = s
	}
}
