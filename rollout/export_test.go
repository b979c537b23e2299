package rollout

// Remembers counts what a Controller keeps of services, of runs of which OnFinish
// is told, and of revisions that it scales.
func (c *Controller) Remembers() (services, told, scaled int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.services {
		scaled += len(k.asked)
	}
	return len(c.services), len(c.telling), scaled
}
