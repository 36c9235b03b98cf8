package crowd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// events understands what rides beside the sound. All listeners are sent the same
// bytes, so each of them is understood once and known again by its hash.
type events struct {
	known map[uint64]meaning
	inits map[uint64]bool
	pulse []byte // the newest state, whole
	at    uint64 // of it, in samples
}

// meaning is what an event means to a listener.
type meaning struct {
	depth time.Duration // that it is to keep; 0 is not told
	phase phaseTold
	edges *string // a signed list of edges; nil is not told
}

type phaseTold uint8

const (
	phaseSame phaseTold = iota
	phaseOn
	phaseOver
)

// Schemes of events.
const (
	pulseScheme = "urn:hustings:pulse"
	paceScheme  = "urn:hustings:pace"
)

// mostKnown bounds what is remembered: some minutes of all of it.
const mostKnown = 4096

func newEvents() events {
	return events{known: make(map[uint64]meaning), inits: make(map[uint64]bool)}
}

// init checks an initialisation segment.
func (e *events) init(box []byte) error {
	hash := hashOf(box)
	if e.inits[hash] {
		return nil
	}
	part, err := fmp4.NewReader(bytes.NewReader(box)).Next()
	if err != nil {
		return err
	}
	if part.Init.PacketSamples != packetSamples {
		return fmt.Errorf("%w: packets of %d samples", fmp4.ErrFormat, part.Init.PacketSamples)
	}
	if len(e.inits) < mostKnown {
		e.inits[hash] = true
	}
	return nil
}

// look returns what an emsg box means; fresh says that it was not seen before.
func (e *events) look(box []byte) (m meaning, fresh bool, err error) {
	hash := hashOf(box)
	if m, ok := e.known[hash]; ok {
		return m, false, nil
	}
	part, err := fmp4.NewReader(bytes.NewReader(box)).Next()
	if err != nil {
		return meaning{}, false, err
	}
	m = e.read(part.Event)
	if len(e.known) >= mostKnown {
		clear(e.known)
	}
	e.known[hash] = m
	return m, true, nil
}

// read reads an event. One that is not understood means nothing, as in the page.
func (e *events) read(event *fmp4.Event) (m meaning) {
	var told struct {
		Depth float64      `json:"depth"`
		Phase *space.Phase `json:"phase"`
		Edges *string      `json:"edges"`
	}
	if json.Unmarshal(event.Data, &told) != nil {
		return m
	}
	switch event.Scheme {
	case paceScheme:
		if told.Depth > 0 && told.Depth <= deep.Seconds() {
			m.depth = time.Duration(told.Depth * float64(time.Second))
		}
	case pulseScheme:
		if told.Phase != nil {
			m.phase = phaseOn
			if told.Phase.Over() {
				m.phase = phaseOver
			}
		}
		m.edges = told.Edges
		e.merge(event)
	}
	return m
}

// merge keeps the newest state. A patch makes sense only behind the state before it;
// the next whole one sets right what was missed.
func (e *events) merge(event *fmp4.Event) {
	switch {
	case event.Value == "state" && event.Time >= e.at:
		e.pulse, e.at = bytes.Clone(event.Data), event.Time
	case event.Value == "patch" && event.Time > e.at && e.pulse != nil:
		if merged, err := programme.Apply(e.pulse, event.Data); err == nil {
			e.pulse, e.at = merged, event.Time
		}
	}
}
