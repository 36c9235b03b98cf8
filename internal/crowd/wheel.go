package crowd

import "time"

// none is the end of a list of listeners.
const none int32 = -1

// wheel keeps listeners until they are due. A turn of it is 41 s; who is due later
// goes round again.
type wheel struct {
	slots [4096]int32 // first listener of each, and one more: 0 is none
	done  int64       // slots before this one, counted from the beginning, are empty
}

const slot = 10 * time.Millisecond

// add puts a listener in, by its due; it must not be in already.
func (w *wheel) add(all []listener, i int32) {
	at := max(int64(all[i].due/slot), w.done)
	at = min(at, w.done+int64(len(w.slots))-1)
	first := &w.slots[at%int64(len(w.slots))]
	all[i].next = *first - 1
	*first = i + 1
}

// due takes out all whose time has come and gives each to do, which may add it again.
func (w *wheel) due(all []listener, now time.Duration, do func(i int32)) {
	for until := int64(now / slot); w.done <= until; {
		first := &w.slots[w.done%int64(len(w.slots))]
		i := *first - 1
		*first = 0
		w.done++ // who is added from now on goes behind
		for i != none {
			next := all[i].next
			all[i].next = none
			if all[i].due >= now+slot {
				w.add(all, i)
			} else {
				do(i)
			}
			i = next
		}
	}
}
