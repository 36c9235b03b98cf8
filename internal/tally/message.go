package tally

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// Message is what a node tells of a space once a second: the JSON on
// hustings.tally.{space}.
type Message struct {
	Node       string `json:"node"`
	Now        int    `json:"now"`       // hear through it
	Total      int    `json:"total"`     // have heard through it
	Anonymous  int    `json:"anonymous"` // of them without a token
	HLS        int    `json:"hls"`       // of those who hear now, by what they fetch
	Rehearsing int    `json:"rehearsing"`
	// Level is that of the set that Fresh comes from: 0 as long as it is exact.
	Level uint8  `json:"level,omitempty"`
	Fresh Hashes `json:"fresh,omitempty"` // tokens heard for the first time since the last message
}

// ErrMessage says that a message can't be true.
var ErrMessage = errors.New("not the tally of a node")

// Check reports what is wrong with a message that came from outside.
func (m *Message) Check() error {
	if m.Node == "" || len(m.Node) > 256 || m.Level > maxLevel {
		return fmt.Errorf("%w: node %.300q, level %d", ErrMessage, m.Node, m.Level)
	}
	const most = 1 << 40 // more than there are people, and far from overflowing a sum
	for _, n := range []int{m.Now, m.Total, m.Anonymous, m.HLS, m.Rehearsing} {
		if n < 0 || n > most {
			return fmt.Errorf("%w: a count of %d", ErrMessage, n)
		}
	}
	return nil
}

// Hashes are hashes of tokens. Their text is the base64 of eight bytes each, big end
// first.
type Hashes []uint64

// MarshalText writes the text.
func (h Hashes) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 8*len(h))
	for _, hash := range h {
		raw = binary.BigEndian.AppendUint64(raw, hash)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads the text.
func (h *Hashes) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("hashes: %w", err)
	}
	if len(raw)%8 != 0 {
		return fmt.Errorf("hashes: %d bytes; they have eight each", len(raw))
	}
	*h = make(Hashes, 0, len(raw)/8)
	for ; len(raw) > 0; raw = raw[8:] {
		*h = append(*h, binary.BigEndian.Uint64(raw))
	}
	return nil
}

// perMessage is how many hashes go into one message: 350 kB of text, within what a
// bus takes.
const perMessage = 1 << 15

// Messages sends what the last sweep found, in as many messages as it takes; the
// first is sent even if there is nothing new. What can't be sent is told the next
// time; that is the error.
func (c *Count) Messages(node string, rehearsing int, send func(Message) error) error {
	for first := true; first || c.untold(); first = false {
		m := c.message(node, rehearsing)
		if err := send(m); err != nil {
			return err
		}
		c.told(len(m.Fresh))
	}
	return nil
}

func (c *Count) untold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.fresh) > 0
}

func (c *Count) message(node string, rehearsing int) Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Message{
		Node: node, Now: c.tally.Now, Total: c.anonymous + c.tokens.Len(), Anonymous: c.anonymous,
		HLS: c.hls, Rehearsing: rehearsing, Level: c.tokens.Level(),
		Fresh: append(Hashes(nil), c.fresh[:min(len(c.fresh), perMessage)]...),
	}
}

func (c *Count) told(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fresh = c.fresh[n:]; len(c.fresh) == 0 {
		c.fresh = nil
	}
}
