package programme

import (
	"encoding/json"

	"golang.org/x/mod/sumdb/tlog"
)

// Snapshot is what a reader must know who begins in the middle of a log, before
// the block with number Seq: the state that patches go on from, and the tree that
// leaves are added to.
type Snapshot struct {
	Epoch uint32          `json:"epoch"` // of the block before Seq
	Seq   uint64          `json:"seq"`
	Pulse json.RawMessage `json:"pulse,omitempty"` // whole, as it is before the block; empty if there is none
	// Frontier are the hashes of the complete subtrees that the first Seq leaves are
	// made of, largest first (RFC 6962, section 2.1): at most 64 of them.
	Frontier []tlog.Hash `json:"frontier"`
}
