package crowd

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestTheWheelGivesEachItsTurn(t *testing.T) {
	const n = 2000
	var w wheel
	all := make([]listener, n)
	fired := make([]time.Duration, n)
	for i := range all {
		all[i].next, fired[i] = none, -1
		all[i].due = rand.N(2 * time.Minute) // some go round more than once
		w.add(all, int32(i))
	}
	for now := time.Duration(0); now < 2*time.Minute+time.Second; now += rand.N(30 * time.Millisecond) {
		w.due(all, now, func(i int32) {
			if fired[i] >= 0 {
				t.Fatalf("listener %d had its turn twice", i)
			}
			if fired[i] = now; i%7 == 0 && all[i].due > 0 { // comes again at once
				fired[i], all[i].due = -1, 0
				w.add(all, i)
			}
		})
	}
	for i, at := range fired {
		if late := at - all[i].due; at < 0 || late < -slot || (all[i].due > 0 && late > 3*slot) {
			t.Fatalf("listener %d, due at %v, had its turn at %v", i, all[i].due, at)
		}
	}
}
