package delivery

import "unsafe"

const (
	// joinedKept is how many sequences of pieces a loop keeps joined: one for each
	// container, rung and depth that are common at a time.
	joinedKept = 8
	// joinedMost is how long they may be, in bytes: a delivery of 24 s is 144 kB.
	joinedMost = 256 << 10
)

// joiner makes one piece of several. Those whose turns are near each other are sent
// the same blocks, so it does so once for most of them; and one write of one piece is
// cheaper than writev(2) of ten by a fifth, and encrypts in fewer records.
type joiner struct {
	kept [joinedKept]joined
	next int // to be replaced
}

type joined struct {
	pieces [][]byte
	bytes  []byte
}

// of returns the pieces in one, or nil if that would be too long. It is good until
// the next call.
func (j *joiner) of(pieces [][]byte) []byte {
	for i := range j.kept {
		if same(j.kept[i].pieces, pieces) {
			return j.kept[i].bytes
		}
	}
	total := 0
	for _, piece := range pieces {
		total += len(piece)
	}
	if total > joinedMost {
		return nil
	}
	at := &j.kept[j.next]
	j.next = (j.next + 1) % joinedKept
	at.pieces = append(at.pieces[:0], pieces...) // kept alive, so that none of them can become another
	at.bytes = at.bytes[:0]
	for _, piece := range pieces {
		at.bytes = append(at.bytes, piece...)
	}
	return at.bytes
}

// same says whether these are the very same pieces. Sequences mostly differ at their
// end.
func same(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := len(a) - 1; i >= 0; i-- {
		if len(a[i]) != len(b[i]) || unsafe.SliceData(a[i]) != unsafe.SliceData(b[i]) {
			return false
		}
	}
	return true
}
