// Package tape plays a recording where a microphone could be: it turns WAV, Ogg Opus
// or raw samples into the Opus packets that are sent.
//
// What is Opus already is passed on packet by packet, with nothing lost. Anything
// else is mixed down to mono, brought to 48 kHz by a resampler and encoded while it
// is read, so that a recording may be as long as it likes, or a pipe. Pace is not
// kept here: whoever calls Next knows when a packet is due.
package tape

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"hustings/internal/ogg"
	"hustings/internal/opus"
)

// Source is a recording that is played.
type Source interface {
	// Next returns the next packet and its length in samples at 48 kHz. The
	// packet is valid until the next call. At the end it returns io.EOF. It may
	// block, as long as whatever it reads from does.
	Next() (packet []byte, samples int, err error)
}

const (
	frameSamples = opus.FrameSamples // 20 ms
	speechRate   = 48000             // bits a second of what is encoded here
)

// Open plays the file of the given name: WAV or Ogg Opus, told by its first
// bytes. "-" is raw 48 kHz mono s16le from stdin. WAV is mixed down to mono and
// brought to 48 kHz; the packets of Ogg Opus are passed on as they are. Close
// closes the file.
func Open(name string, stdin io.Reader) (Source, io.Closer, error) {
	if name == "-" {
		s, err := NewRaw(stdin)
		return s, io.NopCloser(nil), err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the recording: %w", err)
	}
	s, err := New(f)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, f, nil
}

// New plays a WAV or an Ogg Opus file from r.
func New(r io.Reader) (Source, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	magic, err := br.Peek(4)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty or nearly so")
	case err != nil:
		return nil, fmt.Errorf("cannot read the recording: %w", err)
	case bytes.Equal(magic, []byte("RIFF")):
		return newWAV(br)
	case bytes.Equal(magic, []byte("OggS")):
		return newOggOpus(br)
	}
	return nil, errors.New("neither WAV nor Ogg Opus: convert it first, for example with ffmpeg -i FILE -c:a libopus FILE.ogg")
}

// NewRaw plays raw 48 kHz mono s16le from r.
func NewRaw(r io.Reader) (Source, error) {
	return newPCM(r, math.MaxInt64, wavFormat{bits: 16, channels: 1, rate: opus.SampleRate})
}

func newWAV(r io.Reader) (Source, error) {
	format, size, err := readWAVHeader(r)
	if err != nil {
		return nil, err
	}
	return newPCM(r, size, format)
}

// pcm encodes samples as they are read.
type pcm struct {
	src     io.Reader
	format  wavFormat
	raw     []byte
	mono    []float32 // decoded, at the input's rate
	pending []float32 // at 48 kHz, not encoded yet
	rate    *resampler
	encoder *opus.Encoder
	packet  []byte
	ended   bool
}

func newPCM(r io.Reader, size int64, format wavFormat) (*pcm, error) {
	encoder, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: speechRate, FEC: true, LossPercent: 5})
	if err != nil {
		return nil, fmt.Errorf("cannot encode the recording: %w", err)
	}
	return &pcm{
		src:     io.LimitReader(r, size),
		format:  format,
		raw:     make([]byte, format.frame()*max(1, format.rate/50)),
		rate:    newResampler(format.rate, opus.SampleRate),
		encoder: encoder,
		packet:  make([]byte, opus.MaxBytes),
	}, nil
}

// Next encodes the next 20 ms; the last ones are filled up with silence.
func (p *pcm) Next() ([]byte, int, error) {
	for len(p.pending) < frameSamples && !p.ended {
		if err := p.read(); err != nil {
			return nil, 0, err
		}
	}
	if len(p.pending) == 0 {
		return nil, 0, io.EOF
	}
	for len(p.pending) < frameSamples {
		p.pending = append(p.pending, 0)
	}
	n, err := p.encoder.Encode(p.pending[:frameSamples], p.packet)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot encode the recording: %w", err)
	}
	p.pending = append(p.pending[:0], p.pending[frameSamples:]...)
	return p.packet[:n], frameSamples, nil
}

// read takes in up to 20 ms. A file that was cut off within a sample ends with
// the last whole one.
func (p *pcm) read() error {
	n, err := io.ReadFull(p.src, p.raw)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("cannot read the recording: %w", err)
	}
	p.mono = p.format.mono(p.mono[:0], p.raw[:n])
	p.pending = p.rate.process(p.pending, p.mono)
	if err != nil {
		p.ended = true
		p.pending = p.rate.flush(p.pending)
	}
	return nil
}

// oggOpus passes packets on.
type oggOpus struct {
	reader *ogg.Reader
}

func newOggOpus(r io.Reader) (*oggOpus, error) {
	o := &oggOpus{reader: ogg.NewReader(r)}
	head, err := o.reader.Head()
	if errors.Is(err, ogg.ErrNotOpus) {
		return nil, errors.New("the Ogg file holds no Opus (Vorbis or FLAC, perhaps): convert it first, for example with ffmpeg -i FILE -c:a libopus FILE.ogg")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the recording: %w", err)
	}
	if head.Family != 0 {
		return nil, fmt.Errorf("the file has %d channels: use mono or stereo", head.Channels)
	}
	return o, nil
}

// Next returns the next packet that is valid Opus; the ones that damage has made
// unreadable are left out.
func (o *oggOpus) Next() ([]byte, int, error) {
	for {
		p, err := o.reader.Next()
		if err == io.EOF {
			return nil, 0, io.EOF
		}
		if err != nil {
			return nil, 0, fmt.Errorf("cannot read the recording: %w", err)
		}
		if samples, err := opus.Duration(p.Data); err == nil && samples > 0 {
			return p.Data, samples, nil
		}
	}
}

// loop repeats a recording without end.
type loop struct {
	packets [][]byte
	samples []int
	next    int
}

// NewLoop repeats the Ogg Opus file without end.
func NewLoop(file []byte) (Source, error) {
	o, err := newOggOpus(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	l := &loop{}
	for {
		packet, samples, err := o.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		l.packets = append(l.packets, bytes.Clone(packet))
		l.samples = append(l.samples, samples)
	}
	if len(l.packets) == 0 {
		return nil, errors.New("the recording is empty: there is nothing to repeat")
	}
	return l, nil
}

func (l *loop) Next() ([]byte, int, error) {
	i := l.next
	l.next = (i + 1) % len(l.packets)
	return l.packets[i], l.samples[i], nil
}
