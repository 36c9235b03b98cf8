package stage

import (
	"bytes"
	"encoding/json"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// tallyEvery is the least time between two tallies in the pulse. The tally of a
// crowd changes all the time; at two bytes a digit twice a second it alone would
// eat half of the pulse's 150 bytes a block.
const tallyEvery = 2 * time.Second

// noChange is the patch of a block in which nothing has changed.
var noChange = []byte("{}")

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
	if bytes.Equal(state, p.last) {
		return noChange, state, nil // in most blocks, and much cheaper than to compare
	}
	patch, err = programme.Diff(p.last, state)
	return patch, state, err
}

func (p *pulser) keep(state []byte) { p.last = state }
