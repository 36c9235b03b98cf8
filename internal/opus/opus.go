// Package opus is Opus (RFC 6716) as Hustings uses it: 48 kHz, one or two
// channels, float32 samples from -1 to 1, interleaved when there are two.
//
// An Encoder turns frames of 20 ms into packets; a Decoder turns packets of any
// duration into samples, and stands in for lost ones: with the copy that the
// packet after it carries (in-band FEC), or with an extrapolation. Duration and
// Silence know the packet format without a codec. Nothing here allocates per
// packet. The codec is libopus.
package opus

import (
	"errors"
	"fmt"

	lib "github.com/hraban/opus"
)

// Sizes, in samples of one channel at 48 kHz unless they say otherwise.
const (
	SampleRate   = 48000
	FrameSamples = 960  // what an Encoder takes: 20 ms
	MaxSamples   = 5760 // the longest packet: 120 ms (RFC 6716, section 3.2.5)
	MaxBytes     = 1275 // the longest 20 ms packet that an Encoder makes (section 3.4)

	// PreSkip is how much later a sample comes out of a decoder than it went into
	// an Encoder: what a container tells players to throw away at the start.
	PreSkip = 312
)

// Errors. Those of libopus are wrapped.
var (
	ErrPacket = errors.New("malformed opus packet")
	ErrBuffer = errors.New("buffer of a wrong size")
)

// EncoderOptions says what a stream is for. The zero value is mono speech.
type EncoderOptions struct {
	Channels    int  // 1 or 2; 0 means 1
	Bitrate     int  // bits a second; 0 leaves it to the codec
	Complexity  int  // 1 (cheap) to 10; 0 means DefaultComplexity
	FEC         bool // carry a coarse copy of each packet in the one after it
	LossPercent int  // expected loss, 0 to 100: how much of the rate FEC may take
	Music       bool // tune for any sound instead of for speech
}

// Complexities. A frame of speech costs about half as much at DefaultComplexity
// as at BestComplexity, which also tells speech from music by itself.
const (
	DefaultComplexity = 5 // for encoders that are many: one for each person on a stage
	BestComplexity    = 9 // for those that are few and heard by all; 10 is no better
)

// Encoder turns frames of 20 ms into packets. It is for one goroutine at a time.
type Encoder struct {
	lib      *lib.Encoder
	channels int
}

// NewEncoder returns an encoder for one stream.
func NewEncoder(o EncoderOptions) (*Encoder, error) {
	if o.Channels == 0 {
		o.Channels = 1
	}
	if o.Complexity == 0 {
		o.Complexity = DefaultComplexity
	}
	application := lib.Application(lib.AppVoIP)
	if o.Music {
		application = lib.AppAudio
	}
	enc, err := lib.NewEncoder(SampleRate, o.Channels, application)
	if err != nil {
		return nil, fmt.Errorf("opus encoder: %w", err)
	}
	if err := configure(enc, o); err != nil {
		return nil, fmt.Errorf("opus encoder: %w", err)
	}
	return &Encoder{lib: enc, channels: o.Channels}, nil
}

func configure(enc *lib.Encoder, o EncoderOptions) error {
	if o.Bitrate != 0 {
		if err := enc.SetBitrate(o.Bitrate); err != nil {
			return fmt.Errorf("bit rate %d: %w", o.Bitrate, err)
		}
	}
	if err := enc.SetComplexity(o.Complexity); err != nil {
		return fmt.Errorf("complexity %d: %w", o.Complexity, err)
	}
	if err := enc.SetInBandFEC(o.FEC); err != nil {
		return fmt.Errorf("in-band FEC: %w", err)
	}
	if err := enc.SetPacketLossPerc(o.LossPercent); err != nil {
		return fmt.Errorf("loss of %d%%: %w", o.LossPercent, err)
	}
	return nil
}

// Encode writes the packet of one frame (FrameSamples per channel) to out, whose
// length bounds the packet; MaxBytes is always enough. It returns the packet's length.
func (e *Encoder) Encode(pcm []float32, out []byte) (int, error) {
	if len(pcm) != FrameSamples*e.channels {
		return 0, fmt.Errorf("encode %d samples: %w", len(pcm), ErrBuffer)
	}
	// The library goes by capacity, not by length.
	n, err := e.lib.EncodeFloat32(pcm, out[:len(out):len(out)])
	if err != nil {
		return 0, fmt.Errorf("encode: %w", err)
	}
	return n, nil
}

// Reset forgets what was encoded, so that the next frame starts a new stream.
func (e *Encoder) Reset() error {
	if err := e.lib.Reset(); err != nil {
		return fmt.Errorf("reset the encoder: %w", err)
	}
	return nil
}

// Decoder turns packets into samples. Packets of one and of two channels may
// come in any order: they are mixed down, or doubled, to the decoder's own
// channels. It is for one goroutine at a time.
type Decoder struct {
	lib      *lib.Decoder
	channels int
}

// NewDecoder returns a decoder whose output has 1 or 2 channels.
func NewDecoder(channels int) (*Decoder, error) {
	dec, err := lib.NewDecoder(SampleRate, channels)
	if err != nil {
		return nil, fmt.Errorf("opus decoder: %w", err)
	}
	return &Decoder{lib: dec, channels: channels}, nil
}

// Decode writes the packet's samples to pcm, which must have room for them
// (Duration times channels), and returns how many there are per channel.
func (d *Decoder) Decode(packet []byte, pcm []float32) (int, error) {
	samples, err := Duration(packet)
	if err != nil {
		return 0, err
	}
	if len(pcm) < samples*d.channels {
		return 0, fmt.Errorf("decode %d samples into %d: %w", samples*d.channels, len(pcm), ErrBuffer)
	}
	n, err := d.lib.DecodeFloat32(packet, pcm[:len(pcm):len(pcm)])
	if err != nil {
		return 0, fmt.Errorf("decode: %w", err)
	}
	return n, nil
}

// DecodeFEC fills pcm with the packet before this one, from the copy that this
// one carries; if it carries none, by extrapolation. pcm is as long as the lost
// packet was. Decode this packet itself afterwards.
func (d *Decoder) DecodeFEC(packet []byte, pcm []float32) error {
	if _, err := Duration(packet); err != nil {
		return err
	}
	if err := d.lib.DecodeFECFloat32(packet, pcm[:len(pcm):len(pcm)]); err != nil {
		return fmt.Errorf("decode FEC: %w", err)
	}
	return nil
}

// Conceal fills pcm with an extrapolation of what was decoded last: its length
// is a multiple of 2.5 ms, and at most 120 ms.
func (d *Decoder) Conceal(pcm []float32) error {
	if err := d.lib.DecodePLCFloat32(pcm[:len(pcm):len(pcm)]); err != nil {
		return fmt.Errorf("conceal: %w", err)
	}
	return nil
}
