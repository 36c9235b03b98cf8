package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// Subjects on the bus; the space's id follows.
const (
	blockSubject = "hustings.block."
	rangeSubject = "hustings.blocks."
)

// What one answer holds at most; a message of the bus takes 1 MiB.
const (
	maxAnswerBlocks = 240
	maxAnswerBytes  = 900 << 10
	fetchTimeout    = 2 * time.Second
)

// onRange answers a request for blocks: as many from its first as fit. It is
// silent if the first is not here, so that someone else may answer.
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
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open() != nil {
		return nil, nil // whoever asks is better served by another; the log tells why
	}
	return r.log.framed(want)
}

// framed returns the blocks of a range that follow each other, framed, within the
// limits of an answer; nil if the first is not there.
func (l *blockLog) framed(want programme.Range) ([]byte, error) {
	i := l.find(want.From)
	var out []byte
	for seq := want.From; seq < want.To && seq-want.From < maxAnswerBlocks; seq++ {
		if i == len(l.entries) || l.entries[i].seq != seq {
			break
		}
		data, err := l.read(i)
		if err != nil {
			return nil, err
		}
		if len(out)+len(data)+4 > maxAnswerBytes {
			break
		}
		out = programme.AppendFramed(out, data)
		i++
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
