package delivery

import (
	"math/bits"
	"time"
)

const (
	// slotTime is how finely turns are told apart: fine enough to spread deliveries
	// well over the shortest T of 0.5 s, coarse enough that a loop sleeps in between.
	slotTime = 4 * time.Millisecond
	// slots reach 32 s ahead: more than the longest T of 24 s, and than the 30 s after
	// which a listener is closed. What is later looks again on the way.
	slots = 8192
)

// wheel keeps listeners by the time at which they are to be looked at. Lists go
// through the listeners, so nothing is allocated. Times are since the loop's beginning.
type wheel struct {
	heads [slots]*listener
	used  [slots / 64]uint64 // a bit for each slot that has somebody
	now   int64              // number of the slot that is being emptied: none before it has anybody
}

// put sets the time of a listener, in place of the one that it had. It comes up in
// the first slot that begins at that time or later, but never in the one that is
// being emptied: a listener who is always due does not hold up the rest.
func (w *wheel) put(l *listener, at time.Duration) {
	w.remove(l)
	n := int64((at + slotTime - 1) / slotTime)
	n = min(max(n, w.now+1), w.now+slots-1)
	i := int32(n % slots)
	l.slot = i
	l.next = w.heads[i]
	if l.next != nil {
		l.next.prev = l
	}
	w.heads[i] = l
	w.used[i/64] |= 1 << (i % 64)
}

// remove takes a listener out, if it is in.
func (w *wheel) remove(l *listener) {
	if l.slot < 0 {
		return
	}
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		w.heads[l.slot] = l.next
		if l.next == nil {
			w.used[l.slot/64] &^= 1 << (l.slot % 64)
		}
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	l.next, l.prev, l.slot = nil, nil, -1
}

// take takes out a listener whose time has come, and says when that was.
func (w *wheel) take(now time.Duration) (*listener, time.Duration) {
	next, ok := w.first()
	if !ok || next > int64(now/slotTime) {
		w.now = max(w.now, int64(now/slotTime))
		return nil, 0
	}
	w.now = next
	l := w.heads[next%slots]
	w.remove(l)
	return l, time.Duration(next) * slotTime
}

// next returns when the first listener is due.
func (w *wheel) next() (at time.Duration, ok bool) {
	n, ok := w.first()
	return time.Duration(n) * slotTime, ok
}

// first returns the number of the first slot that has somebody.
func (w *wheel) first() (int64, bool) {
	from := int(w.now % slots)
	word := w.used[from/64] &^ (1<<(from%64) - 1)
	for i := 0; i <= len(w.used); i++ {
		at := (from/64 + i) % len(w.used)
		if i > 0 {
			word = w.used[at]
		}
		if word != 0 {
			slot := at*64 + bits.TrailingZeros64(word)
			return w.now + int64((slot-from+slots)%slots), true
		}
	}
	return 0, false
}
