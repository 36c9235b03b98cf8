package programme

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is the Merkle tree over the leaves of one space's log, in memory: 64 bytes
// a block, so 5 MB for ten hours. Its zero value is the empty tree. It is not safe
// for use by several goroutines at once.
type Tree struct {
	size   int64
	hashes hashStore
}

// hashStore holds the tree's hashes in tlog's storage order.
type hashStore []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (s hashStore) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(s)) {
			return nil, fmt.Errorf("no hash at %d in a tree that stores %d", x, len(s))
		}
		out[i] = s[x]
	}
	return out, nil
}

// ErrSize says that a tree is not as large as was asked for.
var ErrSize = errors.New("beyond the log's size")

// Append adds the hash of the next leaf.
func (t *Tree) Append(leaf tlog.Hash) {
	sum := leaf
	t.hashes = append(t.hashes, sum)
	// Each trailing 1 bit of the leaf's number completes a subtree with the one to
	// its left, whose hash is stored right after.
	for level, n := 0, t.size; n&1 == 1; level, n = level+1, n>>1 {
		sum = tlog.NodeHash(t.hashes[tlog.StoredHashIndex(level, n-1)], sum)
		t.hashes = append(t.hashes, sum)
	}
	t.size++
}

// Truncate takes the leaves from size on off again. A size beyond the tree changes
// nothing.
func (t *Tree) Truncate(size uint64) {
	if size < t.Size() {
		t.size = int64(size)
		t.hashes = t.hashes[:tlog.StoredHashCount(t.size)]
	}
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return uint64(t.size) }

// Leaf returns the hash of a leaf.
//
// Errors: ErrSize.
func (t *Tree) Leaf(seq uint64) (tlog.Hash, error) {
	if seq >= t.Size() {
		return tlog.Hash{}, fmt.Errorf("leaf %d: %w %d", seq, ErrSize, t.size)
	}
	return t.hashes[tlog.StoredHashIndex(0, int64(seq))], nil
}

// Root returns the root hash of the whole tree.
func (t *Tree) Root() tlog.Hash {
	root, err := t.RootAt(t.Size())
	if err != nil {
		panic(err) // the store holds every hash that its own size asks for
	}
	return root
}

// RootAt returns the root hash as it was when the tree had size leaves.
//
// Errors: ErrSize.
func (t *Tree) RootAt(size uint64) (tlog.Hash, error) {
	if size > t.Size() {
		return tlog.Hash{}, fmt.Errorf("root at %d: %w %d", size, ErrSize, t.size)
	}
	return tlog.TreeHash(int64(size), t.hashes)
}

// Prove returns the proof that leaf seq is in the tree of the given size; it is
// checked with tlog.CheckRecord.
//
// Errors: ErrSize, if the tree is smaller, or the leaf not in it.
func (t *Tree) Prove(seq, size uint64) (tlog.RecordProof, error) {
	if size > t.Size() || seq >= size {
		return nil, fmt.Errorf("proof of %d in %d: %w %d", seq, size, ErrSize, t.size)
	}
	return tlog.ProveRecord(int64(size), int64(seq), t.hashes)
}

// Frontier returns the hashes of the complete subtrees that the first size leaves
// are made of, largest first (RFC 6962, section 2.1): all that a Follower must know
// to go on from there.
//
// Errors: ErrSize.
func (t *Tree) Frontier(size uint64) ([]tlog.Hash, error) {
	if size > t.Size() {
		return nil, fmt.Errorf("frontier at %d: %w %d", size, ErrSize, t.size)
	}
	frontier := make([]tlog.Hash, 0, bits.OnesCount64(size))
	for rest := size; rest > 0; rest &= rest - 1 {
		level := bits.TrailingZeros64(rest)
		frontier = append(frontier, t.hashes[tlog.StoredHashIndex(level, int64(rest>>level)-1)])
	}
	slices.Reverse(frontier)
	return frontier, nil
}

// Clone returns a copy that grows by itself.
func (t *Tree) Clone() *Tree {
	return &Tree{size: t.size, hashes: slices.Clone(t.hashes)}
}
