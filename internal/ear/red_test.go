package ear

import (
	"bytes"
	"errors"
	"testing"
)

// makeRED builds a RED payload from blocks, oldest first; the last is the primary.
func makeRED(blocks ...redBlock) []byte {
	const opusType = 111
	var head, data []byte
	for i, b := range blocks {
		if i == len(blocks)-1 {
			head = append(head, opusType)
		} else {
			head = append(head, 0x80|opusType, byte(b.offset>>6), byte(b.offset<<2)|byte(len(b.data)>>8), byte(len(b.data)))
		}
		data = append(data, b.data...)
	}
	return append(head, data...)
}

func TestREDIsSplitIntoItsBlocks(t *testing.T) {
	in := []redBlock{
		{offset: 1920, data: bytes.Repeat([]byte{1}, 300)},
		{offset: 960, data: nil},
		{data: []byte{3, 4}},
	}
	out, err := parseRED(makeRED(in...), nil)
	if err != nil || len(out) != len(in) {
		t.Fatalf("%d blocks, %v", len(out), err)
	}
	for i := range in {
		if out[i].offset != in[i].offset || !bytes.Equal(out[i].data, in[i].data) {
			t.Errorf("block %d is %+v, want %+v", i, out[i], in[i])
		}
	}
}

func TestMalformedREDIsRefused(t *testing.T) {
	for name, payload := range map[string][]byte{
		"empty":                 nil,
		"header cut off":        {0xef, 0x00, 0x00},
		"no last header":        {0xef, 0x00, 0x00, 0x00},
		"block longer than all": {0xef, 0x0f, 0x00, 0x05, 0x6f, 1, 2},
		"too many blocks":       append(bytes.Repeat([]byte{0xef, 0, 0, 0}, redMost+1), 0x6f),
	} {
		if _, err := parseRED(payload, nil); !errors.Is(err, errRED) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRED(f *testing.F) {
	f.Add(makeRED(redBlock{data: []byte{1, 2, 3}}))
	f.Add(makeRED(redBlock{offset: 960, data: []byte{1, 2}}, redBlock{data: []byte{3}}))
	f.Add([]byte{0xef, 0x00, 0x00, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		blocks, err := parseRED(payload, nil)
		if err != nil {
			return
		}
		size := 1
		for _, b := range blocks[:len(blocks)-1] {
			size += 4 + len(b.data)
			if b.offset >= 1<<14 {
				t.Fatalf("offset %d", b.offset)
			}
		}
		// Every byte belongs to one block or header.
		if size += len(blocks[len(blocks)-1].data); size != len(payload) {
			t.Fatalf("%d bytes in blocks, payload of %d", size, len(payload))
		}
	})
}
