package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// Subjects on the bus; the space's id follows.
const (
	blockSubject    = "hustings.block."
	rangeSubject    = "hustings.blocks."
	snapshotSubject = "hustings.snapshot."
)

// What one answer holds at most; a message of the bus takes 1 MiB.
const (
	maxAnswerBlocks = 240
	maxAnswerBytes  = 900 << 10
	fetchTimeout    = 2 * time.Second
)

// onRange answers a request for blocks: as many from its first as fit, so whoever
// wants more asks again behind them. Blocks that were lost are left out. It is silent
// if there is none of them here, so that someone else may answer.
func (a *Archive) onRange(subject string, request []byte) ([]byte, error) {
	id := space.ID(strings.TrimPrefix(subject, rangeSubject))
	var want programme.Range
	if err := json.Unmarshal(request, &want); err != nil || !validID(id) {
		return nil, fmt.Errorf("a request for blocks must be a JSON object with from and to")
	}
	r := a.known(id)
	if r == nil {
		return nil, nil
	}
	r.reach(want.To)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open() != nil {
		return nil, nil // whoever asks is better served by another; the log tells why
	}
	return r.log.framed(want)
}

// Whoever has heard a block asks for those before it, and may be ahead of us by what
// is on the way to the log.
const (
	aheadBlocks = 120
	reachWithin = 300 * time.Millisecond
	reachPoll   = 5 * time.Millisecond
)

// reach waits until the log goes up to a number, if it should in a moment.
func (r *recorder) reach(next uint64) {
	for deadline := time.Now().Add(reachWithin); ; time.Sleep(reachPoll) {
		r.mu.Lock()
		missing := r.open() == nil && !r.log.final && r.log.next() < next && next-r.log.next() <= aheadBlocks
		r.mu.Unlock()
		if !missing || time.Now().After(deadline) {
			return
		}
	}
}

// errNotHere is the answer about a log that this archive does not have, or not as far.
var errNotHere = errors.New("the archive does not have that part of the log")

// onSnapshot answers what a reader must know who begins with block seq.
func (a *Archive) onSnapshot(subject string, request []byte) ([]byte, error) {
	id := space.ID(strings.TrimPrefix(subject, snapshotSubject))
	var want struct {
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal(request, &want); err != nil || !validID(id) {
		return nil, fmt.Errorf("a request for a snapshot must be a JSON object with seq")
	}
	r := a.known(id)
	if r == nil {
		return nil, errNotHere
	}
	r.reach(want.Seq)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open() != nil || want.Seq > r.log.next() {
		return nil, errNotHere
	}
	at, err := r.log.snapshot(want.Seq)
	if err != nil {
		return nil, err
	}
	return json.Marshal(at)
}

// framed returns the blocks of a range, from its beginning, framed, within the limits
// of an answer; nil if there is none of them.
func (l *blockLog) framed(want programme.Range) ([]byte, error) {
	first := l.find(want.From)
	var out []byte
	for i := first; i < len(l.entries) && l.entries[i].seq < want.To && i-first < maxAnswerBlocks; i++ {
		data, err := l.read(i)
		if err != nil {
			return nil, err
		}
		if len(out)+len(data)+4 > maxAnswerBytes {
			break
		}
		out = programme.AppendFramed(out, data)
	}
	return out, nil
}

// fetch asks the bus for blocks; nil if nobody has the first of them.
func (a *Archive) fetch(ctx context.Context, id space.ID, want programme.Range) [][]byte {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := json.Marshal(want)
	if err != nil {
		return nil
	}
	data, err := a.opts.Bus.Request(ctx, rangeSubject+string(id), request)
	if err != nil {
		a.log.Warn("archive asked for blocks that it missed, in vain", "space", id, "from", want.From, "to", want.To, "err", err)
		return nil
	}
	blocks, err := programme.SplitFramed(data)
	if err != nil {
		a.log.Warn("archive got an answer that is not blocks", "space", id, "err", err)
		return nil
	}
	return blocks
}
