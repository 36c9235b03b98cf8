package broadcast

import (
	"encoding/json"
	"time"

	"hustings/internal/space"
	"hustings/internal/tally"
)

// hashOf names the holder of a token; 0 for one without.
func hashOf(id space.ID, name string) uint64 {
	if name == "" {
		return 0
	}
	return tally.Hash(string(id), name)
}

// Count notes that a listener who pulls (HLS) was here. Without a token it can't be
// told from others and is not counted.
func (b *Broadcast) Count(id space.ID, name string, rehearsal bool) {
	f := b.feed(id)
	if f == nil || name == "" {
		return
	}
	to := &f.audience
	if rehearsal {
		to = &f.rehearsal
	}
	to.Pull(hashOf(id, name), time.Now())
}

// publishTally tells the others how many listen here.
func (b *Broadcast) publishTally(f *feed) error {
	return f.audience.Messages(b.opts.Node, f.rehearsal.Tally().Now, func(m tally.Message) error {
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return b.opts.Bus.Publish(tallySubject+string(f.id), data)
	})
}

// Tally returns how many listen to the space: on all nodes, as the pulse tells it, or
// on this one as long as it does not.
func (b *Broadcast) Tally(id space.ID) space.Tally {
	f := b.feed(id)
	if f == nil {
		return space.Tally{}
	}
	if e := f.newest(); e != nil && e.tally() != nil {
		return *e.tally()
	}
	return space.Tally(f.audience.Tally())
}

// tally returns how many listen, as the pulse tells it; nil if it does not. Every page
// that is opened asks, and a block's answer is always the same.
func (e *entry) tally() *space.Tally {
	e.telling.Do(func() {
		var pulse struct {
			Tally *space.Tally `json:"tally"`
		}
		if json.Unmarshal(e.after, &pulse) == nil {
			e.told = pulse.Tally
		}
	})
	return e.told
}

// Here returns how many listen to the space on this node.
func (b *Broadcast) Here(id space.ID) space.Tally {
	if f := b.feed(id); f != nil {
		return space.Tally(f.audience.Tally())
	}
	return space.Tally{}
}

// Rehearsal is what this node has seen of those who rehearse in a space.
type Rehearsal struct {
	space.Tally
	Skips  int64 // times that one of them was moved to the live edge
	Missed int64 // blocks that they were not sent because of that
}

// Rehearsing returns what this node has seen of those who rehearse in a space.
func (b *Broadcast) Rehearsing(id space.ID) Rehearsal {
	f := b.feed(id)
	if f == nil {
		return Rehearsal{}
	}
	return Rehearsal{Tally: space.Tally(f.rehearsal.Tally()), Skips: f.lost.times.Load(), Missed: f.lost.blocks.Load()}
}
