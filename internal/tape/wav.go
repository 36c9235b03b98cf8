package tape

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"hustings/internal/opus"
)

// wavFormat is how the samples of a WAV file are written.
type wavFormat struct {
	float    bool
	bits     int // of one sample: 16, 24, 32 or (float only) 64
	channels int
	rate     int // samples a second
}

const (
	wavPCM        = 1
	wavFloat      = 3
	wavExtensible = 0xFFFE

	minRate     = 8000
	maxRate     = 192000
	maxChannels = 8
)

// readWAVHeader reads up to the first sample and returns how many bytes of
// samples follow: math.MaxInt64 if the file does not know, as when it was piped.
func readWAVHeader(r io.Reader) (wavFormat, int64, error) {
	var riff [12]byte
	if _, err := io.ReadFull(r, riff[:]); err != nil {
		return wavFormat{}, 0, fmt.Errorf("the WAV file ends within its header: %w", err)
	}
	if !bytes.Equal(riff[:4], []byte("RIFF")) || !bytes.Equal(riff[8:], []byte("WAVE")) {
		return wavFormat{}, 0, errors.New("not a WAV file")
	}
	var format wavFormat
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return format, 0, errors.New("the WAV file holds no samples (it has no data chunk)")
		}
		size := binary.LittleEndian.Uint32(head[4:])
		switch string(head[:4]) {
		case "data":
			if format.rate == 0 {
				return format, 0, errors.New("the WAV file does not say what its samples are (no fmt chunk before the data)")
			}
			if size == 0 || size >= math.MaxUint32-1 {
				return format, math.MaxInt64, nil
			}
			return format, int64(size), nil
		case "fmt ":
			body := make([]byte, min(size, 64))
			if _, err := io.ReadFull(r, body); err != nil {
				return format, 0, fmt.Errorf("the WAV file ends within its header: %w", err)
			}
			var err error
			if format, err = parseWAVFormat(body); err != nil {
				return format, 0, err
			}
			size -= uint32(len(body))
		}
		// Chunks are padded to an even number of bytes.
		if _, err := io.CopyN(io.Discard, r, int64(size)+int64(size&1)); err != nil {
			return format, 0, errors.New("the WAV file holds no samples (it has no data chunk)")
		}
	}
}

func parseWAVFormat(body []byte) (wavFormat, error) {
	if len(body) < 16 {
		return wavFormat{}, errors.New("the WAV file's fmt chunk is too short")
	}
	le := binary.LittleEndian
	tag := le.Uint16(body)
	if tag == wavExtensible && len(body) >= 26 {
		tag = le.Uint16(body[24:]) // the first field of its SubFormat is the tag
	}
	f := wavFormat{
		float:    tag == wavFloat,
		channels: int(le.Uint16(body[2:])),
		rate:     int(min(le.Uint32(body[4:]), math.MaxInt32)),
		bits:     int(le.Uint16(body[14:])),
	}
	switch {
	case tag != wavPCM && tag != wavFloat,
		tag == wavPCM && f.bits != 16 && f.bits != 24 && f.bits != 32,
		tag == wavFloat && f.bits != 32 && f.bits != 64:
		return f, fmt.Errorf("the WAV file is in a format that is not understood (tag %d, %d bits): use PCM of 16, 24 or 32 bits, or float", tag, f.bits)
	case f.channels < 1 || f.channels > maxChannels:
		return f, fmt.Errorf("the WAV file has %d channels: use 1 to %d", f.channels, maxChannels)
	case f.rate < minRate || f.rate > maxRate:
		return f, fmt.Errorf("the WAV file has %d samples a second: use %d to %d", f.rate, minRate, maxRate)
	case !canResample(f.rate, opus.SampleRate):
		return f, fmt.Errorf("the WAV file has %d samples a second, which is no usual rate: convert it first, for example with ffmpeg -i FILE -ar 48000 OUT.wav", f.rate)
	}
	return f, nil
}

// frame is the size in bytes of one sample of every channel.
func (f wavFormat) frame() int { return f.channels * f.bits / 8 }

// mono decodes whole frames of raw and mixes their channels down; it appends to dst.
func (f wavFormat) mono(dst []float32, raw []byte) []float32 {
	width := f.bits / 8
	for ; len(raw) >= f.frame(); raw = raw[f.frame():] {
		var sum float32
		for c := range f.channels {
			sum += f.sample(raw[c*width:])
		}
		dst = append(dst, sum/float32(f.channels))
	}
	return dst
}

// sample decodes one sample to -1..1.
func (f wavFormat) sample(raw []byte) float32 {
	le := binary.LittleEndian
	switch {
	case f.float && f.bits == 64:
		return clean(float32(math.Float64frombits(le.Uint64(raw))))
	case f.float:
		return clean(math.Float32frombits(le.Uint32(raw)))
	case f.bits == 16:
		return float32(int16(le.Uint16(raw))) / (1 << 15)
	case f.bits == 24:
		return float32(int32(uint32(raw[0])<<8|uint32(raw[1])<<16|uint32(raw[2])<<24)) / (1 << 31)
	default:
		return float32(int32(le.Uint32(raw))) / (1 << 31)
	}
}

// clean keeps what is not a number, or far too loud, out of the encoder.
func clean(v float32) float32 {
	if v != v {
		return 0
	}
	return min(max(v, -1), 1)
}
