package crowd

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/client"
	"hustings/internal/fmp4"
)

// ledger holds what the crowd heard against the signed log. All who heard a block
// should have heard the same bytes, so each distinct form of it is proven once: who
// proves finds the hash of its own packets there, who compares the hash of its bytes.
type ledger struct {
	forms map[formKey]*form
	size  map[int64]int // bytes of the proven form of a block, by its start
}

type formKey struct {
	start int64 // of the block, in samples
	hash  uint64
}

// form is a block as somebody heard it: at one rung, or altered.
type form struct {
	heard   client.Heard
	known   bool // its bytes were seen as a whole, and heard.Rung is theirs
	size    int  // in bytes
	came    time.Duration
	verdict client.Verdict
	proving int64 // those who want a proof of their own and wait for the verdict
	others  int64 // those who compare and wait
}

const (
	// mostForms bounds the forms that are kept: a server that sends each listener
	// something else is not to fill our memory.
	mostForms = 20_000
	keepForms = 2 * time.Minute
)

func newLedger() ledger { return ledger{forms: make(map[formKey]*form), size: make(map[int64]int)} }

// heard takes a block that a listener heard, and counts it as far as that is known.
func (g *ledger) heard(f fragment, proves bool, now time.Duration, figures *Figures) {
	key := formKey{int64(f.time), f.hash}
	seen := g.forms[key]
	if seen == nil {
		if len(g.forms) >= mostForms {
			figures.Unproven++
			return
		}
		seen = &form{heard: client.Heard{Seq: uint64(f.seq - 1), Start: key.start}, size: f.size, came: now}
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
	if seen.verdict != client.Waiting {
		seen.count(figures)
	}
}

// rungOf returns the hash of a block's packets, if its bytes are there.
func rungOf(f fragment) (tlog.Hash, bool) {
	if f.boxes == nil {
		return tlog.Hash{}, false
	}
	part, err := fmp4.NewReaderFor(bytes.NewReader(f.boxes), fmp4.Track{}).Next()
	if err != nil || part.Fragment == nil {
		return tlog.Hash{}, false
	}
	return client.HeardBlock(part.Fragment).Rung, true
}

// count counts those who wait, by the verdict.
func (s *form) count(figures *Figures) {
	switch s.verdict {
	case client.Proven:
		figures.Proven += s.proving
		figures.Compared += s.others
	case client.Refuted:
		figures.Mismatched += s.proving + s.others
	default:
		figures.Unproven += s.proving + s.others
	}
	s.proving, s.others = 0, 0
}

// waiting returns the forms that are to be proven, by number.
func (g *ledger) waiting() (keys []formKey, blocks []client.Heard) {
	for key, s := range g.forms {
		if s.known && s.verdict == client.Waiting {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b formKey) int {
		if n := cmp.Compare(g.forms[a].heard.Seq, g.forms[b].heard.Seq); n != 0 {
			return n
		}
		return cmp.Compare(a.start, b.start)
	})
	blocks = make([]client.Heard, len(keys))
	for i, key := range keys {
		blocks[i] = g.forms[key].heard
	}
	return keys, blocks
}

// judge takes in the verdicts on what waiting returned.
func (g *ledger) judge(keys []formKey, verdicts []client.Verdict, figures *Figures) {
	for i, key := range keys {
		s := g.forms[key]
		if s == nil || verdicts[i] == client.Waiting {
			continue
		}
		if s.verdict = verdicts[i]; s.verdict == client.Proven {
			g.size[key.start] = s.size
		}
		s.count(figures)
	}
}

// forget lets go of what came before a time. What is still unknown then and is as
// long as the form that was proven has been altered: another rung has another length.
func (g *ledger) forget(before time.Duration, figures *Figures) {
	for key, s := range g.forms {
		switch size := g.size[key.start]; {
		case s.came >= before, s.verdict == client.Proven && s.came >= before-keepForms/2:
			continue // a proven form is what others are held against
		case s.verdict == client.Proven:
			delete(g.size, key.start)
		case s.verdict == client.Waiting && !s.known && size == s.size:
			s.verdict = client.Refuted
		case s.verdict == client.Waiting:
			s.verdict = client.Lost
		}
		s.count(figures)
		delete(g.forms, key)
	}
}

// unsettled returns how many heard something that nothing is known of yet.
func (g *ledger) unsettled() (n int64) {
	for _, s := range g.forms {
		n += s.proving + s.others
	}
	return n
}
