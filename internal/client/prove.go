package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
	if err := p.prove(ctx); errors.Is(err, ErrNotAsSigned) {
		return err
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
		err := p.prove(ctx)
		switch {
		case errors.Is(err, ErrNotAsSigned):
			return err
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

// prove asks for the proofs of all pending blocks and checks them.
func (p *prover) prove(ctx context.Context) error {
	if len(p.pending) == 0 {
		return nil
	}
	if p.keys == nil {
		if err := p.fetchKeys(ctx); err != nil {
			return err
		}
	}
	var proof proof
	from, to := p.pending[0].seq, p.pending[len(p.pending)-1].seq
	if err := p.getJSON(ctx, p.link.api(fmt.Sprintf("/proof?from=%d&to=%d", from, to+1)), &proof); err != nil {
		return err
	}
	return p.check(proof)
}

// proof is what the server answers: leaves from one block on, and for each of them
// that it is in the tree of the checkpoint.
type proof struct {
	Checkpoint string             `json:"checkpoint"` // a signed note
	Leaves     []programme.Leaf   `json:"leaves"`
	Proofs     []tlog.RecordProof `json:"proofs"`
}

// check takes the blocks that the proof covers off the pending ones.
func (p *prover) check(proof proof) error {
	if proof.Checkpoint == "" || len(proof.Leaves) != len(proof.Proofs) {
		return errors.New("the server's proof is incomplete")
	}
	checkpoint, err := p.open(proof.Checkpoint)
	if err != nil {
		return err
	}
	leaves := make(map[uint64]int, len(proof.Leaves))
	for i, leaf := range proof.Leaves {
		leaves[leaf.Seq] = i
	}
	var left []heardBlock
	for _, b := range p.pending {
		i, ok := leaves[b.seq]
		if !ok {
			left = append(left, b)
			continue
		}
		if err := b.check(proof.Leaves[i], proof.Proofs[i], checkpoint); err != nil {
			return err
		}
		p.proven++
	}
	p.pending = left
	return nil
}

// open checks the checkpoint's signature and that it is of this space's log.
func (p *prover) open(signed string) (programme.Checkpoint, error) {
	for _, key := range p.keys {
		checkpoint, err := programme.OpenCheckpoint([]byte(signed), key)
		if err != nil {
			continue
		}
		if !strings.HasPrefix(checkpoint.Origin, "hustings/"+string(p.link.Space)+"/") {
			return checkpoint, fmt.Errorf("%w: the checkpoint is of %q", ErrNotAsSigned, checkpoint.Origin)
		}
		return checkpoint, nil
	}
	return programme.Checkpoint{}, fmt.Errorf("%w: no key of the server has signed the checkpoint", ErrNotAsSigned)
}

// check proves one block. A listener may be moved to another rung at any block, so
// any of them may have been heard.
func (b heardBlock) check(leaf programme.Leaf, inTree tlog.RecordProof, c programme.Checkpoint) error {
	heard := false
	for _, rung := range leaf.Rungs {
		heard = heard || rung == b.rung
	}
	if !heard || leaf.Start != b.start {
		return fmt.Errorf("%w: block %d has other sound in the log", ErrNotAsSigned, b.seq)
	}
	if err := tlog.CheckRecord(inTree, int64(c.Size), c.Root, int64(b.seq), leaf.Hash()); err != nil {
		return fmt.Errorf("%w: block %d is not in the log", ErrNotAsSigned, b.seq)
	}
	return nil
}

// fetchKeys asks for the server's public keys.
func (p *prover) fetchKeys(ctx context.Context) error {
	var set struct {
		Keys []string `json:"keys"`
	}
	if err := p.getJSON(ctx, p.link.Server+"/.well-known/hustings-keys.json", &set); err != nil {
		return err
	}
	p.keys = set.Keys
	return nil
}

// maxProof bounds an answer: a proof of a block has about 2 kB.
const maxProof = 8 << 20

func (p *prover) getJSON(ctx context.Context, address string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return unreachable(p.link.Server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problem(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProof)).Decode(v); err != nil {
		return fmt.Errorf("%s is not understood: %w", address, err)
	}
	return nil
}
