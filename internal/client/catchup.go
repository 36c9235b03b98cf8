package client

import (
	"context"
	"fmt"
	"net/http"

	"hustings/internal/fmp4"
	"hustings/internal/reach"
)

// mostMissed bounds how many blocks are asked for after an interruption: servers keep
// the newest minute.
const mostMissed = 120

// missed returns the blocks that were on the way when a connection broke: those
// between the newest one that was heard and the first of this connection, as far as
// the server still has them.
func (l *listening) missed(ctx context.Context, first *fmp4.Fragment) []*fmp4.Fragment {
	again := l.heard.blocks > 0 && l.heard.joined.IsZero()
	if !again || l.track == nil || first.Time <= l.heard.end || first.Sequence <= l.newest+1 || first.Sequence-l.newest > mostMissed {
		return nil
	}
	var blocks []*fmp4.Fragment
	for sequence := l.newest + 1; sequence < first.Sequence; sequence++ {
		f, err := l.block(ctx, sequence)
		if err != nil {
			l.log.Warn("a block that was missed can't be had", "block", sequence-1, "reason", err)
			continue
		}
		blocks = append(blocks, f)
	}
	return blocks
}

// block asks for one block. Its number is one less than that of its fragment.
func (l *listening) block(ctx context.Context, sequence uint32) (*fmp4.Fragment, error) {
	address := fmt.Sprintf("%s/live/%s/b/%d.m4s", l.at, l.link.Space, sequence-1)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, reach.Unreachable(l.at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, reach.Problem(resp)
	}
	parts := fmp4.NewReaderFor(&counter{src: resp.Body, n: &l.heard.bytes}, *l.track)
	for {
		part, err := parts.Next()
		if err != nil {
			return nil, err
		}
		if part.Fragment != nil {
			return part.Fragment, nil
		}
	}
}
