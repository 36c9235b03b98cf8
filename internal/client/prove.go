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
	"hustings/internal/hearing"
	"hustings/internal/programme"
	"hustings/internal/reach"
)

// ErrNotAsSigned says that something was heard that is not what the server signed:
// either it was altered on the way, or the server says one thing and signs another.
var ErrNotAsSigned = errors.New("what was heard is not what was signed")

// proveEach is how many blocks are proven at a time: ten seconds of programme.
const proveEach = 20

// Prover proves blocks: that the hash of the packets heard is in the leaf, and the
// leaf under a checkpoint that the server's key has signed. It is for one goroutine.
type Prover struct {
	link Link
	http *http.Client
	keys []string // verifier keys; nil before they were fetched
}

// NewProver returns a Prover that asks the link's server; nil is http.DefaultClient.
func NewProver(link Link, client *http.Client) *Prover {
	return &Prover{link: link, http: reach.Client(client)}
}

// prover proves what one listener heard, as it is heard.
type prover struct {
	*Prover
	pending []hearing.Heard
	proven  int
	failure error // why the newest attempt did not prove everything
}

func newProver(link Link, client *http.Client) *prover {
	return &prover{Prover: NewProver(link, client)}
}

func (p *prover) add(f *fmp4.Fragment) {
	p.pending = append(p.pending, hearing.HeardBlock(f))
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
func (p *prover) prove(ctx context.Context) error {
	verdicts, err := p.Judge(ctx, p.pending)
	var left []hearing.Heard
	for i, b := range p.pending {
		switch verdicts[i] {
		case hearing.Proven:
			p.proven++
		case hearing.Waiting:
			left = append(left, b)
		case hearing.Refuted:
			// A listener may be moved to another rung at any block, so the sound of any
			// of them may have been heard: this is the sound of none.
			return fmt.Errorf("%w: block %d has other sound in the log", ErrNotAsSigned, b.Seq)
		}
	}
	p.pending = left
	return err
}

// Judge says of each block, in order of their numbers, what the log says of it. The
// error is the last reason why some are left waiting.
//
// Errors: ErrNotAsSigned, if what the server gives as proof is none.
func (p *Prover) Judge(ctx context.Context, blocks []hearing.Heard) (verdicts []hearing.Verdict, failure error) {
	verdicts = make([]hearing.Verdict, len(blocks))
	if len(blocks) == 0 {
		return verdicts, nil
	}
	if p.keys == nil {
		if p.keys, failure = reach.Keys(ctx, p.http, p.link); failure != nil {
			return verdicts, failure
		}
	}
	for from := 0; from < len(blocks); {
		n := inRow(blocks[from:])
		if err := p.judgeRow(ctx, blocks[from:from+n], verdicts[from:]); err != nil {
			failure = err
			if _, answered := errors.AsType[*StatusError](err); !answered {
				break
			}
		}
		from += n
	}
	return verdicts, failure
}

// inRow returns how many of the blocks follow each other, up to proveMost numbers.
// Those after the last checkpoint are a row of their own: they may be signed later.
func inRow(blocks []hearing.Heard) int {
	n := 1
	for n < len(blocks) && blocks[n].Seq-blocks[n-1].Seq <= 1 && blocks[n].Seq-blocks[0].Seq < proveMost {
		n++
	}
	const each = programme.CheckpointEvery
	covered := (blocks[n-1].Seq + 1) / each * each
	if covered > blocks[0].Seq {
		for blocks[n-1].Seq >= covered {
			n--
		}
	}
	return n
}

// judgeRow judges blocks that follow each other.
func (p *Prover) judgeRow(ctx context.Context, blocks []hearing.Heard, verdicts []hearing.Verdict) error {
	var answer wireProof
	from, to := blocks[0].Seq, blocks[len(blocks)-1].Seq+1
	if err := reach.GetJSON(ctx, p.http, p.link.Server, p.link.API(fmt.Sprintf("/proof?from=%d&to=%d", from, to)), &answer); err != nil {
		return err
	}
	proof, err := answer.parse()
	if err != nil {
		return err
	}
	if len(proof.Leaves) == 0 {
		return errors.New("no checkpoint covers them yet")
	}
	if err := p.verify(proof); err != nil {
		return err
	}
	leaves := make(map[uint64]programme.Leaf, len(proof.Leaves))
	for _, leaf := range proof.Leaves {
		leaves[leaf.Seq] = leaf
	}
	for i, b := range blocks {
		if leaf, ok := leaves[b.Seq]; ok {
			verdicts[i] = p.compare(b, leaf)
		}
	}
	return nil
}

// compare holds a block against its leaf.
func (p *Prover) compare(b hearing.Heard, leaf programme.Leaf) hearing.Verdict {
	switch {
	case leaf.Epoch > 0 && leaf.Start > b.Start:
		return hearing.Lost
	case leaf.Space == p.link.Space && leaf.Start == b.Start && slices.Contains(leaf.Rungs[:], b.Rung):
		return hearing.Proven
	}
	return hearing.Refuted
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

// verify checks the proof by each of the server's keys: one of them must hold.
func (p *Prover) verify(proof programme.Proof) error {
	err := errors.New("the server has no keys")
	for _, key := range p.keys {
		if err = proof.Verify(key); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrNotAsSigned, err)
}
