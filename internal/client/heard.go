package client

import (
	"encoding/json"
	"slices"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/space"
)

// atOnce bounds what counts as backlog: blocks that come within this time of the
// first one of a connection were waiting for it.
const atOnce = 250 * time.Millisecond

// heard keeps account of what a listener has heard. It knows no network: blocks
// and the times at which they came go in, the report comes out.
type heard struct {
	opened time.Time // zero of the programme's clock; zero if unknown

	begun      time.Time // the first request
	first      time.Time // the first block
	joined     time.Time // the first block of this connection
	end        uint64    // of the newest block, in samples
	samples    uint64
	backlog    uint64 // samples of the first connection that came at once
	gaps       int
	missed     uint64 // samples
	lags       []time.Duration
	bytes      int64
	blocks     int
	reconnects int
	moves      int
	ended      bool
	depth      time.Duration // that a page is told to stay behind; 0 if it is not told
	edges      *string       // the newest signed list of edges that came, until it is taken; nil: none
}

func newHeard(begun time.Time) *heard { return &heard{begun: begun} }

// connected notes that a stream begins.
func (h *heard) connected(asked time.Time) {
	if h.blocks == 0 {
		h.begun = asked
	}
	h.joined = time.Time{}
}

// add takes in a block that came at the given time. It returns false if the block
// was heard before.
func (h *heard) add(f *fmp4.Fragment, now time.Time) bool {
	if h.joined.IsZero() {
		h.joined = now
	}
	// By time and not by number: after a crash a number may be given out again.
	if h.blocks > 0 && f.Time < h.end {
		return false
	}
	length := uint64(len(f.Packets)) * frameSamples
	waiting := now.Sub(h.joined) < atOnce
	switch {
	case h.blocks == 0:
		h.first = now
	case f.Time > h.end:
		h.gaps++
		h.missed += f.Time - h.end
	}
	if waiting && h.reconnects == 0 {
		h.backlog += length
	}
	if !waiting && !h.opened.IsZero() {
		// A packet is mixed at the time of its first sample, from sound that is
		// there by then: the last one of the block when the block is complete.
		h.lags = append(h.lags, now.Sub(h.opened)-duration(int64(f.Time+length-frameSamples)))
	}
	h.end = f.Time + length
	h.samples += length
	h.blocks++
	return true
}

// Schemes of what rides beside the sound.
const (
	pulseScheme = "urn:hustings:pulse"
	paceScheme  = "urn:hustings:pace"
)

// event takes in what rides beside the sound: whether the space ended, who serves
// it, and how far a page is to stay behind. What is not understood is passed over.
func (h *heard) event(e *fmp4.Event) {
	var p struct {
		Phase *space.Phase `json:"phase"`
		Edges *string      `json:"edges"`
		Depth float64      `json:"depth"`
	}
	if json.Unmarshal(e.Data, &p) != nil {
		return
	}
	switch e.Scheme {
	case pulseScheme:
		if p.Phase != nil {
			h.ended = p.Phase.Over()
		}
		if p.Edges != nil {
			h.edges = p.Edges
		}
	case paceScheme:
		if p.Depth > 0 && p.Depth < mostDepth.Seconds() {
			h.depth = time.Duration(p.Depth * float64(time.Second))
		}
	}
}

// mostDepth bounds the depth that is believed.
const mostDepth = 2 * time.Minute

// quiet is how long nothing may come before the connection is given up. In calm a
// block is due every half second. A busy server sends less often and more at once,
// but always before what came at the beginning, or the depth, is played.
func (h *heard) quiet(least time.Duration) time.Duration {
	return max(least, max(h.depth, duration(int64(h.backlog)))-sendAhead)
}

// sendAhead is by how much a server's deliveries come before they are needed, less
// some for the way: it keeps half a second.
const sendAhead = 250 * time.Millisecond

func (h *heard) report() Report {
	r := Report{
		Seconds:    seconds(h.samples),
		Gaps:       h.gaps,
		GapSeconds: seconds(h.missed),
		Backlog:    seconds(h.backlog),
		Latency:    -1,
		Bytes:      h.bytes,
		Blocks:     h.blocks,
		Reconnects: h.reconnects,
		Moves:      h.moves,
		Ended:      h.ended,
	}
	if h.blocks > 0 {
		r.FirstSound = milliseconds(h.first.Sub(h.begun))
	}
	if n := len(h.lags); n > 0 {
		slices.Sort(h.lags)
		r.Latency = milliseconds(h.lags[n/2])
	}
	return r
}

func seconds(samples uint64) float64 { return float64(samples) / 48000 }

// milliseconds returns d in seconds, to the millisecond.
func milliseconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
