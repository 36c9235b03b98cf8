package opus

// Duration returns the number of samples per channel that a packet decodes to
// at 48 kHz, from its first two bytes (RFC 6716, section 3.1 and 3.2).
//
// Errors: ErrPacket, if it is empty, cut off before its frame count, has no
// frame or lasts more than 120 ms.
func Duration(packet []byte) (int, error) {
	if len(packet) == 0 {
		return 0, ErrPacket
	}
	frame := frameSamples(packet[0])
	frames := 1
	switch packet[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(packet) < 2 {
			return 0, ErrPacket
		}
		frames = int(packet[1] & 0x3f)
	}
	if frames == 0 || frames*frame > MaxSamples {
		return 0, ErrPacket
	}
	return frames * frame, nil
}

// frameSamples returns the frame size that a table of contents byte tells
// (RFC 6716, section 3.1, table 2), in samples at 48 kHz.
func frameSamples(toc byte) int {
	config := toc >> 3
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [...]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return [...]int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		return 120 << (config & 3)
	}
}

// Channels returns how many channels a packet was coded with.
func Channels(packet []byte) int {
	if len(packet) > 0 && packet[0]&4 != 0 {
		return 2
	}
	return 1
}

// Silence returns a packet of 20 ms that decodes to digital silence: fullband
// CELT with the silence flag set. The caller owns it.
func Silence(channels int) []byte {
	if channels == 2 {
		return []byte{0xfc, 0xff, 0xfe}
	}
	return []byte{0xf8, 0xff, 0xfe}
}

// HasFEC reports whether a packet carries a coarse copy of the one before it:
// the LBRR flag of its first SILK frame (RFC 6716, section 4.2.4), which follows
// one voice activity bit for each 20 ms.
func HasFEC(packet []byte) bool {
	if len(packet) < 2 || packet[0]>>3 >= 16 { // CELT carries none
		return false
	}
	head := packet[1:]
	switch packet[0] & 3 {
	case 1:
	case 2: // one or two bytes of frame length come first
		head = packet[min(2, len(packet)):]
		if packet[1] >= 252 {
			head = packet[min(3, len(packet)):]
		}
	case 3: // rare in RTP; the decoder finds out by itself
		return true
	}
	if len(head) == 0 {
		return false
	}
	active := max(frameSamples(packet[0])/FrameSamples, 1)
	return head[0]&(0x80>>active) != 0
}
