package crowd

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// newCarrier returns the way by which this crowd's bytes are carried.
func newCarrier(c *Crowd, secure bool) (carrier, error) {
	if secure {
		return newPlain(c, true), nil
	}
	return newEngine(c)
}

// spare are descriptors that a process needs besides its listeners'.
const spare = 200

// engineMost is how many listeners one loop holds: one that has more would be late.
const engineMost = 30_000

// Most returns how many listeners this process holds, behind TLS or not, and what
// sets the limit.
func Most(secure bool) (listeners int, why string) {
	most, why := engineMost, "one loop serves them all"
	if secure {
		most, why = plainMost, "behind TLS each takes a goroutine"
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return most, why
	}
	if n := max(0, int(min(limit.Cur, 1<<30))-spare); n < most {
		return n, fmt.Sprintf("it may open %d files (ulimit -n)", limit.Cur)
	}
	return most, why
}

// cpuSeconds is the processor time that this process took.
func cpuSeconds() float64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
