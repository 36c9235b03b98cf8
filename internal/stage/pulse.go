package stage

import (
	"encoding/json"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	// tallyEvery is the least time between two tallies in the pulse. The tally of a
	// crowd changes all the time; at two bytes a digit twice a second it alone would
	// eat half of the pulse's 150 bytes a block.
	tallyEvery = 2 * time.Second
	// quietAfter is the silence after which a live programme says so in words.
	quietAfter = 8 * time.Second
	// tallyGone is when a node that tells no tally any more counts no listeners.
	tallyGone = 5 * time.Second
)

// tally sums what each broadcast node counts.
type tally struct {
	space.Tally
	nodes map[string]nodeTally
}

// nodeTally is one node's word: the message on hustings.tally.{space}.
type nodeTally struct {
	Node  string `json:"node"`
	Now   int    `json:"now"`
	Total int    `json:"total"`
	at    time.Time
}

// count takes over a node's tally and sums up anew.
func (t *tally) count(n nodeTally, now time.Time) (changed bool) {
	if t.nodes == nil {
		t.nodes = make(map[string]nodeTally)
	}
	n.at = now
	t.nodes[n.Node] = n
	sum := space.Tally{Peak: t.Peak}
	for _, n := range t.nodes {
		if now.Sub(n.at) < tallyGone {
			sum.Now += n.Now
		}
		sum.Total += n.Total // joins stay joined when their node is gone
	}
	sum.Peak = max(sum.Peak, sum.Now)
	if sum == t.Tally {
		return false
	}
	t.Tally = sum
	return true
}

// pulse returns the stage as the audience sees it. While the doors are open nobody
// is heard, so nobody speaks.
func (s *state) pulse(now time.Time) space.Pulse {
	p := space.Pulse{
		Phase:    s.space.Phase,
		Title:    s.space.Title,
		StartsAt: s.space.StartsAt,
		Tally:    s.tally.Tally,
		Seats:    make(map[space.SeatID]space.PulseSeat),
		Speaking: []space.SeatID{},
		Notice:   s.notice(now),
	}
	for _, in := range s.onStage() {
		p.Seats[in.ID] = space.PulseSeat{Name: in.Name, Role: in.Role, Muted: in.Muted}
	}
	if s.space.Phase == space.Live {
		p.Speaking = append(p.Speaking, s.speaking...)
	}
	return p
}

// notice says in words what is going on when there is nothing to hear, "" when
// there is, or when the phase says it all.
func (s *state) notice(now time.Time) string {
	switch s.space.Phase {
	case space.Open:
		if s.space.StartsAt != nil && now.After(*s.space.StartsAt) {
			return "It begins in a moment: the stage is getting ready."
		}
		return ""
	case space.Live:
		return s.silence(now)
	default:
		return ""
	}
}

// silence explains why a live stage is silent.
func (s *state) silence(now time.Time) string {
	connected, muted := 0, 0
	for _, in := range s.slots {
		if in != nil && in.Connected {
			connected++
			if in.Muted {
				muted++
			}
		}
	}
	switch {
	case len(s.speaking) > 0:
		return ""
	case connected == 0:
		return "Nobody on stage is connected right now. It goes on as soon as someone is back."
	case muted == connected:
		return "Everyone on stage is muted right now."
	case now.Sub(s.lastWord) >= quietAfter:
		return "Nobody on stage is speaking right now."
	default:
		return ""
	}
}

// pulser makes the pulse of each block out of the state of the stage: whole in the
// first block of an epoch, then what changed.
type pulser struct {
	last    []byte // the state after the block before; nil before the first
	tally   space.Tally
	tallied time.Time
}

// next returns the patch for the next block and the state that it leads to. The
// state becomes the base of the block after only by keep: a block that was not
// published changed nothing.
func (p *pulser) next(now space.Pulse, at time.Time) (patch, state []byte, err error) {
	if now.Tally != p.tally && p.last != nil && at.Sub(p.tallied) < tallyEvery && !now.Phase.Over() {
		now.Tally = p.tally
	}
	if now.Tally != p.tally {
		p.tally, p.tallied = now.Tally, at
	}
	if state, err = json.Marshal(now); err != nil {
		return nil, nil, err
	}
	patch, err = programme.Diff(p.last, state)
	return patch, state, err
}

func (p *pulser) keep(state []byte) { p.last = state }
