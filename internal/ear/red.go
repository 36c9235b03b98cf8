package ear

import "errors"

// errRED is a RED payload that contradicts itself.
var errRED = errors.New("malformed RED payload")

// redMost is how many blocks of one RED packet are looked at. Browsers send two
// or three; more would be a longer tail than the jitter buffer waits for.
const redMost = 8

// redBlock is one block of a RED packet. Its data aliases the payload.
type redBlock struct {
	offset uint32 // how much earlier than the RTP packet's timestamp it starts
	data   []byte
}

// parseRED splits a RED payload (RFC 2198, section 3) into its blocks, oldest
// first; the last one is the packet's own. It appends to blocks and returns the
// result.
func parseRED(payload []byte, blocks []redBlock) ([]redBlock, error) {
	data, headers := payload, 0
	for ; ; headers++ { // the last header is one byte long and has no mark
		if len(data) == 0 || headers > redMost {
			return nil, errRED
		}
		if data[0]&0x80 == 0 {
			data = data[1:]
			break
		}
		if len(data) < 4 {
			return nil, errRED
		}
		data = data[4:]
	}
	for h := payload; headers > 0; h, headers = h[4:], headers-1 {
		size := int(h[2]&3)<<8 | int(h[3])
		if size > len(data) {
			return nil, errRED
		}
		blocks = append(blocks, redBlock{
			offset: uint32(h[1])<<6 | uint32(h[2])>>2,
			data:   data[:size],
		})
		data = data[size:]
	}
	return append(blocks, redBlock{data: data}), nil
}
