package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/fmp4"
	"hustings/internal/programme"
)

// ErrNotAsSigned says that something was heard that is not what the server signed:
// either it was altered on the way, or the server says one thing and signs another.
var ErrNotAsSigned = errors.New("what was heard is not what was signed")

// proveEach is how many blocks are proven at a time: ten seconds of programme.
const proveEach = 20

// prover proves blocks: that the hash of the packets heard is in the leaf, and the
// leaf under a checkpoint that the server's key has signed.
type prover struct {
	link    Link
	http    *http.Client
	keys    []string // verifier keys; nil before they were fetched
	pending []heardBlock
	proven  int
	failure error // why the newest attempt did not prove everything
}

// heardBlock is what is kept of a block until it is proven.
type heardBlock struct {
	seq   uint64
	start int64
	rung  tlog.Hash
}

func newProver(link Link, client *http.Client) *prover {
	return &prover{link: link, http: client}
}

func (p *prover) add(f *fmp4.Fragment) {
	p.pending = append(p.pending, heardBlock{
		seq: uint64(f.Sequence - 1), start: int64(f.Time), rung: programme.HashPackets(f.Packets),
	})
}

// some proves what can be proven, once enough has come together.
//
// Errors: ErrNotAsSigned. A server that does not answer is asked again later.
func (p *prover) some(ctx context.Context) error {
	if len(p.pending) < proveEach || len(p.pending)%(proveEach/2) != 0 {
		return nil
	}
	if p.failure = p.prove(ctx); errors.Is(p.failure, ErrNotAsSigned) {
		return p.failure
	}
	return nil
}

// checkpointWithin is the longest time until a checkpoint covers a block.
const checkpointWithin = 6 * time.Second

// finish proves what is left. If wait is set, it waits for the checkpoint that
// covers the newest block.
func (p *prover) finish(ctx context.Context, wait bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkpointWithin)
	defer cancel()
	for {
		p.failure = p.prove(ctx)
		switch {
		case errors.Is(p.failure, ErrNotAsSigned):
			return p.failure
		case len(p.pending) == 0, !wait:
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil // what is left stays unproven, and the report says so
		}
	}
}

// proveMost is how many blocks the server proves at a time.
const proveMost = 120

// prove asks for the proofs of all pending blocks and checks them. What the server
// can't prove holds up nothing else. It returns the last reason why some are left.
func (p *prover) prove(ctx context.Context) (failure error) {
	if len(p.pending) == 0 {
		return nil
	}
	if p.keys == nil {
		if err := p.fetchKeys(ctx); err != nil {
			return err
		}
	}
	var left []heardBlock
	rest := p.pending
	for answered := true; answered && len(rest) > 0; {
		n := inRow(rest)
		unproven, err := p.proveRow(ctx, rest[:n])
		if errors.Is(err, ErrNotAsSigned) {
			return err
		}
		if err != nil {
			_, answered = errors.AsType[*StatusError](err)
			failure = err
		}
		left, rest = append(left, unproven...), rest[n:]
	}
	p.pending = append(left, rest...)
	return failure
}

// inRow returns how many of the blocks follow each other, up to proveMost. Those
// after the last checkpoint are a row of their own: they may be signed later.
func inRow(blocks []heardBlock) int {
	n := 1
	for n < len(blocks) && n < proveMost && blocks[n].seq == blocks[n-1].seq+1 {
		n++
	}
	if beyond := int((blocks[n-1].seq + 1) % programme.CheckpointEvery); beyond < n {
		n -= beyond
	}
	return n
}

// proveRow proves blocks that follow each other, and returns those that are left.
func (p *prover) proveRow(ctx context.Context, blocks []heardBlock) (left []heardBlock, err error) {
	var answer wireProof
	from, to := blocks[0].seq, blocks[len(blocks)-1].seq+1
	if err := getJSON(ctx, p.http, p.link.Server, p.link.api(fmt.Sprintf("/proof?from=%d&to=%d", from, to)), &answer); err != nil {
		return blocks, err
	}
	proof, err := answer.parse()
	if err != nil {
		return blocks, err
	}
	return p.check(proof, blocks)
}

// wireProof is programme.Proof as it comes over the wire, its leaves as the text
// that is hashed.
type wireProof struct {
	Checkpoint string             `json:"checkpoint"`
	Leaves     []string           `json:"leaves"`
	Proofs     []tlog.RecordProof `json:"proofs"`
}

func (w wireProof) parse() (programme.Proof, error) {
	proof := programme.Proof{Checkpoint: w.Checkpoint, Proofs: w.Proofs}
	for _, text := range w.Leaves {
		leaf, err := programme.ParseLeaf([]byte(text))
		if err != nil {
			return proof, fmt.Errorf("the server's proof is not understood: %w", err)
		}
		proof.Leaves = append(proof.Leaves, leaf)
	}
	return proof, nil
}

// check holds the blocks against the proof and returns those that it does not cover.
func (p *prover) check(proof programme.Proof, blocks []heardBlock) (left []heardBlock, err error) {
	if len(proof.Leaves) == 0 {
		return blocks, errors.New("no checkpoint covers them yet")
	}
	if err := p.verify(proof); err != nil {
		return blocks, err
	}
	leaves := make(map[uint64]programme.Leaf, len(proof.Leaves))
	for _, leaf := range proof.Leaves {
		leaves[leaf.Seq] = leaf
	}
	for _, b := range blocks {
		leaf, ok := leaves[b.seq]
		if !ok {
			left = append(left, b)
			continue
		}
		if leaf.Epoch > 0 && leaf.Start > b.start {
			continue // heard, and lost in a crash: its number was given out again later
		}
		if leaf.Space != p.link.Space || leaf.Start != b.start || !slices.Contains(leaf.Rungs[:], b.rung) {
			// A listener may be moved to another rung at any block, so the sound
			// of any of them may have been heard.
			return blocks, fmt.Errorf("%w: block %d has other sound in the log", ErrNotAsSigned, b.seq)
		}
		p.proven++
	}
	return left, nil
}

// verify checks the proof by each of the server's keys: one of them must hold.
func (p *prover) verify(proof programme.Proof) error {
	err := errors.New("the server has no keys")
	for _, key := range p.keys {
		if err = proof.Verify(key); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrNotAsSigned, err)
}

// fetchKeys asks for the server's public keys.
func (p *prover) fetchKeys(ctx context.Context) error {
	var set struct {
		Keys []string `json:"keys"`
	}
	if err := getJSON(ctx, p.http, p.link.Server, p.link.Server+"/.well-known/hustings-keys.json", &set); err != nil {
		return err
	}
	p.keys = set.Keys
	return nil
}
