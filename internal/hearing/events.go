package hearing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"hustings/internal/fmp4"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// Events understands what rides beside the sound. All listeners are sent the same
// bytes, so each of them is understood once and known again by its hash.
type Events struct {
	known map[uint64]Meaning
	inits map[uint64]bool
	Pulse []byte // the newest state, whole
	at    uint64 // of it, in samples
}

// Meaning is what an event means to a listener.
type Meaning struct {
	Depth time.Duration // that it is to keep; 0 is not told
	Phase PhaseTold
	Edges *string // a signed list of edges; nil is not told
}

// PhaseTold is what an event says of the phase.
type PhaseTold uint8

const (
	PhaseSame PhaseTold = iota
	PhaseOn
	PhaseOver
)

// Schemes of events.
const (
	PulseScheme = "urn:hustings:pulse"
	PaceScheme  = "urn:hustings:pace"
)

// mostKnown bounds what is remembered: some minutes of all of it.
const mostKnown = 4096

// NewEvents returns those of whom nothing was heard yet.
func NewEvents() Events {
	return Events{known: make(map[uint64]Meaning), inits: make(map[uint64]bool)}
}

// Init checks an initialisation segment.
func (e *Events) Init(box []byte) error {
	hash := xxhash.Sum64(box)
	if e.inits[hash] {
		return nil
	}
	part, err := fmp4.NewReader(bytes.NewReader(box)).Next()
	if err != nil {
		return err
	}
	if part.Init.PacketSamples != programme.PacketSamples {
		return fmt.Errorf("%w: packets of %d samples", fmp4.ErrFormat, part.Init.PacketSamples)
	}
	if len(e.inits) < mostKnown {
		e.inits[hash] = true
	}
	return nil
}

// Look returns what an emsg box means; fresh says that it was not seen before.
func (e *Events) Look(box []byte) (m Meaning, fresh bool, err error) {
	hash := xxhash.Sum64(box)
	if m, ok := e.known[hash]; ok {
		return m, false, nil
	}
	part, err := fmp4.NewReader(bytes.NewReader(box)).Next()
	if err != nil {
		return Meaning{}, false, err
	}
	m = e.read(part.Event)
	if len(e.known) >= mostKnown {
		clear(e.known)
	}
	e.known[hash] = m
	return m, true, nil
}

// read reads an event. One that is not understood means nothing, as in the page.
func (e *Events) read(event *fmp4.Event) (m Meaning) {
	var told struct {
		Depth float64      `json:"depth"`
		Phase *space.Phase `json:"phase"`
		Edges *string      `json:"edges"`
	}
	if json.Unmarshal(event.Data, &told) != nil {
		return m
	}
	switch event.Scheme {
	case PaceScheme:
		if told.Depth > 0 && told.Depth <= deep.Seconds() {
			m.Depth = time.Duration(told.Depth * float64(time.Second))
		}
	case PulseScheme:
		if told.Phase != nil {
			m.Phase = PhaseOn
			if told.Phase.Over() {
				m.Phase = PhaseOver
			}
		}
		m.Edges = told.Edges
		e.merge(event)
	}
	return m
}

// merge keeps the newest state. A patch makes sense only behind the state before it;
// the next whole one sets right what was missed.
func (e *Events) merge(event *fmp4.Event) {
	switch {
	case event.Value == "state" && event.Time >= e.at:
		e.Pulse, e.at = bytes.Clone(event.Data), event.Time
	case event.Value == "patch" && event.Time > e.at && e.Pulse != nil:
		if merged, err := programme.Apply(e.Pulse, event.Data); err == nil {
			e.Pulse, e.at = merged, event.Time
		}
	}
}
