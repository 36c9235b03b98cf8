package delivery

import (
	"math/bits"
	"time"
)

const (
	// slotTime is how finely turns are told apart by a loop that has much to do.
	slotTime = 4 * time.Millisecond
	// A loop that has little to do tells them apart less finely, see wheel.adapt, but
	// no turn comes later than this because of it, nor than a share of the time up to it.
	coarsest = 32 // slots: 128 ms
	part     = 16
	// slots reach 32 s ahead: more than the longest T of 24 s, and than the 30 s after
	// which a listener is closed. What is later looks again on the way.
	slots = 8192
)

// wheel keeps listeners by the time at which they are to be looked at. Lists go
// through the listeners, so nothing is allocated. Times are since the loop's beginning.
type wheel struct {
	heads [slots]*listener
	used  [slots / 64]uint64 // a bit for each slot that has somebody
	now   int64              // number of a slot: none before it has anybody
	// grain is how many slots are as good as one, 1 to coarsest, a power of two: turns
	// are put off to the next multiple of it.
	grain int64
}

// adapt is told how long a loop worked between two sleeps. Waking up costs as much as
// several deliveries, so a loop that had little to do will look less often, until it
// has a few spells of work each time: which is no burst yet.
func (w *wheel) adapt(worked time.Duration) {
	switch {
	case worked > 6*spell && w.grain > 1:
		w.grain /= 2
	case worked < 2*spell && w.grain < coarsest:
		w.grain *= 2
	}
}

// slotOf returns the slot for a time that is so far away: the first that begins then
// or later, and fits the grain.
func (w *wheel) slotOf(at, away time.Duration) int64 {
	grain := w.grain
	for grain > 1 && away < time.Duration(grain)*slotTime*part {
		grain /= 2
	}
	n := int64((at + slotTime - 1) / slotTime)
	return (n + grain - 1) &^ (grain - 1)
}

// put sets the time of a listener, in place of the one that it had. It never comes up
// before that, nor before the next slot: a listener who is always due does not hold
// up the rest.
func (w *wheel) put(l *listener, at, now time.Duration) {
	w.remove(l)
	n := max(w.slotOf(at, at-now), int64(now/slotTime)+1)
	n = min(n, w.now+slots-1)
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
