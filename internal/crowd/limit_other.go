//go:build !linux

package crowd

// newCarrier returns the way by which this crowd's bytes are carried.
func newCarrier(c *Crowd, secure bool) (carrier, error) { return newPlain(c, secure), nil }

// Most returns how many listeners this process holds, and what sets the limit.
func Most(bool) (listeners int, why string) {
	return plainMost, "on this system each takes a goroutine"
}

// cpuSeconds is the processor time that this process took: not measured here.
func cpuSeconds() float64 { return 0 }
