package programme

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/space"
)

// Leaf is what the Merkle tree holds of a block: its header and the hashes of its
// parts, each by itself, so that who heard a single rung can prove what they heard.
//
// In JSON a leaf is its text: who checks a proof hashes just that.
type Leaf struct {
	Space  space.ID
	Epoch  uint32
	Seq    uint64
	Start  int64 // in samples of 48 kHz
	Final  bool
	Stereo bool
	Rungs  [Rungs]tlog.Hash // HashPackets of each
	Pulse  tlog.Hash        // SHA-256 of the patch as it rides in the block
}

// ErrLeaf says that a text is not a leaf.
var ErrLeaf = errors.New("not a leaf of the programme's log")

// leafTitle begins a leaf's text, so that it can't be taken for anything else signed.
const leafTitle = "hustings block v1"

// HashPackets returns the hash of one rung of a block: SHA-256 over the lengths
// of its packets (uint16, big-endian) followed by the packets.
func HashPackets(packets Packets) tlog.Hash {
	return hashRung(make([]byte, 0, 4<<10), packets)
}

func hashRung(scratch []byte, packets Packets) tlog.Hash {
	return sha256.Sum256(appendRung(scratch[:0], packets))
}

// Leaf returns the block's leaf.
func (b *Block) Leaf() Leaf {
	l := b.leafHead()
	scratch := make([]byte, 0, 8<<10)
	for r, packets := range b.Rungs {
		l.Rungs[r] = hashRung(scratch, packets)
	}
	return l
}

func (b *Block) leafHead() Leaf {
	return Leaf{
		Space: b.Space, Epoch: b.Epoch, Seq: b.Seq, Start: b.Start,
		Final: b.Final, Stereo: b.Stereo, Pulse: sha256.Sum256(b.Pulse),
	}
}

// leafOf is Leaf without a copy, for a block whose binary form is at hand.
func (b *Block) leafOf(data []byte) Leaf {
	l := b.leafHead()
	at := headSize(b.Space)
	for r, packets := range b.Rungs {
		n := rungSize(packets)
		l.Rungs[r] = sha256.Sum256(data[at : at+n])
		at += n
	}
	return l
}

// Hash returns the leaf's place in the tree: tlog.RecordHash of its text (RFC
// 6962, 2.1).
func (l Leaf) Hash() tlog.Hash {
	text := make([]byte, 1, 512)
	text[0] = 0 // marks a leaf, as against an inner node
	return sha256.Sum256(l.appendText(text))
}

// MarshalText returns the text that is hashed: a title, the header, then the
// hashes of the rungs and of the pulse in base64, a line each.
func (l Leaf) MarshalText() ([]byte, error) { return l.appendText(nil), nil }

func (l Leaf) appendText(dst []byte) []byte {
	dst = append(dst, leafTitle+"\n"...)
	dst = append(dst, l.Space...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(l.Epoch), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, l.Seq, 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, l.Start, 10)
	if l.Final {
		dst = append(dst, " final"...)
	}
	if l.Stereo {
		dst = append(dst, " stereo"...)
	}
	dst = append(dst, '\n')
	for _, h := range l.Rungs {
		dst = appendHashLine(dst, h)
	}
	return appendHashLine(dst, l.Pulse)
}

func appendHashLine(dst []byte, h tlog.Hash) []byte {
	dst = base64.StdEncoding.AppendEncode(dst, h[:])
	return append(dst, '\n')
}

// UnmarshalText reads what MarshalText wrote.
//
// Errors: ErrLeaf.
func (l *Leaf) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLeaf(text)
	return err
}

// ParseLeaf reads the text of a leaf. It takes only the one way to write it.
//
// Errors: ErrLeaf.
func ParseLeaf(text []byte) (Leaf, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != Rungs+4 || lines[0] != leafTitle {
		return Leaf{}, ErrLeaf
	}
	l, err := parseLeafHead(lines[1])
	if err != nil {
		return Leaf{}, err
	}
	for i, line := range lines[2 : 3+Rungs] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return Leaf{}, fmt.Errorf("%w: %w", ErrLeaf, err)
		}
		if i < Rungs {
			l.Rungs[i] = h
		} else {
			l.Pulse = h
		}
	}
	if string(l.appendText(nil)) != string(text) {
		return Leaf{}, fmt.Errorf("%w: written in an unusual way", ErrLeaf)
	}
	return l, nil
}

func parseLeafHead(line string) (Leaf, error) {
	fields := strings.Split(line, " ")
	if len(fields) < 4 || !validSpace(space.ID(fields[0])) {
		return Leaf{}, fmt.Errorf("%w: bad header %.100q", ErrLeaf, line)
	}
	l := Leaf{Space: space.ID(fields[0])}
	epoch, err1 := strconv.ParseUint(fields[1], 10, 32)
	seq, err2 := strconv.ParseUint(fields[2], 10, 64)
	start, err3 := strconv.ParseInt(fields[3], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Leaf{}, fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	l.Epoch, l.Seq, l.Start = uint32(epoch), seq, start
	for _, flag := range fields[4:] {
		switch flag {
		case "final":
			l.Final = true
		case "stereo":
			l.Stereo = true
		default:
			return Leaf{}, fmt.Errorf("%w: unknown flag %.20q", ErrLeaf, flag)
		}
	}
	return l, nil
}
