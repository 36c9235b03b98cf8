package hearing

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/fmp4"
	"hustings/internal/programme"
	"hustings/internal/wire"
)

// Heard is what is kept of a block until it is proven.
type Heard struct {
	Seq   uint64
	Start int64     // in samples
	Rung  tlog.Hash // programme.HashPackets of what was heard
}

// Verdict is what the signed log says of a block.
type Verdict uint8

// Verdicts.
const (
	Waiting Verdict = iota // nothing yet: no checkpoint covers it, or the server did not answer
	Proven                 // it is in the log as it was heard
	Refuted                // the log has other sound there
	// Lost was heard before a crash took it from the disk; its number was given out again.
	Lost
)

// HeardBlock returns what is to be kept of a block that came as a fragment.
func HeardBlock(f *fmp4.Fragment) Heard {
	return Heard{Seq: uint64(f.Sequence - 1), Start: int64(f.Time), Rung: programme.HashPackets(f.Packets)}
}

// Ledger holds what the crowd heard against the signed log. All who heard a block
// should have heard the same bytes, so each distinct form of it is proven once: who
// proves finds the hash of its own packets there, who compares the hash of its bytes.
type Ledger struct {
	forms map[Form]*form
	size  map[int64]int // bytes of the proven form of a block, by its start
}

// Form names a block as somebody heard it.
type Form struct {
	start int64 // of the block, in samples
	hash  uint64
}

// form is a block as somebody heard it: at one rung, or altered.
type form struct {
	heard   Heard
	known   bool // its bytes were seen as a whole, and heard.Rung is theirs
	size    int  // in bytes
	came    time.Duration
	verdict Verdict
	proving int64 // those who want a proof of their own and wait for the verdict
	others  int64 // those who compare and wait
}

const (
	// mostForms bounds the forms that are kept: a server that sends each listener
	// something else is not to fill our memory.
	mostForms = 20_000
	keepForms = 2 * time.Minute
)

// NewLedger returns an empty one.
func NewLedger() Ledger {
	return Ledger{forms: make(map[Form]*form), size: make(map[int64]int)}
}

// Heard takes a block that a listener heard, and counts it as far as that is known.
func (g *Ledger) Heard(f wire.Fragment, proves bool, now time.Duration, figures *Figures) {
	key := Form{int64(f.Time), f.Hash}
	seen := g.forms[key]
	if seen == nil {
		if len(g.forms) >= mostForms {
			figures.Unproven++
			return
		}
		seen = &form{heard: Heard{Seq: uint64(f.Seq - 1), Start: key.start}, size: f.Size, came: now}
		g.forms[key] = seen
	}
	if !seen.known || proves {
		rung, ok := rungOf(f)
		switch {
		case ok && !seen.known:
			seen.known, seen.heard.Rung = true, rung
		case ok && rung != seen.heard.Rung: // two forms with one hash
			figures.Mismatched++
			return
		}
	}
	if proves {
		seen.proving++
	} else {
		seen.others++
	}
	if seen.verdict != Waiting {
		seen.count(figures)
	}
}

// rungOf returns the hash of a block's packets, if its bytes are there.
func rungOf(f wire.Fragment) (tlog.Hash, bool) {
	if f.Boxes == nil {
		return tlog.Hash{}, false
	}
	part, err := fmp4.NewReaderFor(bytes.NewReader(f.Boxes), fmp4.Track{}).Next()
	if err != nil || part.Fragment == nil {
		return tlog.Hash{}, false
	}
	return HeardBlock(part.Fragment).Rung, true
}

// count counts those who wait, by the verdict.
func (s *form) count(figures *Figures) {
	switch s.verdict {
	case Proven:
		figures.Proven += s.proving
		figures.Compared += s.others
	case Refuted:
		figures.Mismatched += s.proving + s.others
	default:
		figures.Unproven += s.proving + s.others
	}
	s.proving, s.others = 0, 0
}

// Waiting returns the forms that are to be proven, by number.
func (g *Ledger) Waiting() (keys []Form, blocks []Heard) {
	for key, s := range g.forms {
		if s.known && s.verdict == Waiting {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b Form) int {
		if n := cmp.Compare(g.forms[a].heard.Seq, g.forms[b].heard.Seq); n != 0 {
			return n
		}
		return cmp.Compare(a.start, b.start)
	})
	blocks = make([]Heard, len(keys))
	for i, key := range keys {
		blocks[i] = g.forms[key].heard
	}
	return keys, blocks
}

// Judge takes in the verdicts on what Waiting returned.
func (g *Ledger) Judge(keys []Form, verdicts []Verdict, figures *Figures) {
	for i, key := range keys {
		s := g.forms[key]
		if s == nil || verdicts[i] == Waiting {
			continue
		}
		if s.verdict = verdicts[i]; s.verdict == Proven {
			g.size[key.start] = s.size
		}
		s.count(figures)
	}
}

// Forget lets go of what came more than two minutes ago.
func (g *Ledger) Forget(now time.Duration, figures *Figures) {
	g.forget(now-keepForms, figures)
}

// Close lets go of all: nothing will be proven any more.
func (g *Ledger) Close(figures *Figures) { g.forget(math.MaxInt64, figures) }

// forget lets go of what came before a time. What is still unknown then and is as
// long as the form that was proven has been altered: another rung has another length.
func (g *Ledger) forget(before time.Duration, figures *Figures) {
	for key, s := range g.forms {
		switch size := g.size[key.start]; {
		case s.came >= before, s.verdict == Proven && s.came >= before-keepForms/2:
			continue // a proven form is what others are held against
		case s.verdict == Proven:
			delete(g.size, key.start)
		case s.verdict == Waiting && !s.known && size == s.size:
			s.verdict = Refuted
		case s.verdict == Waiting:
			s.verdict = Lost
		}
		s.count(figures)
		delete(g.forms, key)
	}
}

// Unsettled returns how many heard something that nothing is known of yet.
func (g *Ledger) Unsettled() (n int64) {
	for _, s := range g.forms {
		n += s.proving + s.others
	}
	return n
}
