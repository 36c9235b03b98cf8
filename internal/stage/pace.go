package stage

import (
	"context"
	"time"
)

// tickTime is the beat of a stage.
const tickTime = 20 * time.Millisecond

// pace calls tick for every 20 ms since its own start, until ctx ends or tick
// returns false. The deadlines are absolute: a tick that is late makes none after
// it late, and after a pause the ticks that were missed follow at once, each told
// how late it is. So n ticks have been called when n times 20 ms have passed,
// however long it runs.
func pace(ctx context.Context, tick func(late time.Duration) bool) {
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		} else if ctx.Err() != nil {
			return
		}
		if !tick(time.Since(due)) {
			return
		}
		due = due.Add(tickTime)
	}
}
