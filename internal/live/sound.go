package live

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"hustings/internal/aac"
	"hustings/internal/broadcast"
	"hustings/internal/fmp4"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// The renditions of HLS. Those of Opus are the rungs.
const (
	aacRendition   = programme.Rungs
	renditionCount = programme.Rungs + 1

	blockSamples = programme.BlockSamples
)

var renditionNames = [renditionCount]string{"opus48", "opus24", "opus16", "aac"}

func renditionOf(name string) (rendition int, ok bool) {
	for i, known := range renditionNames {
		if name == known {
			return i, true
		}
	}
	return 0, false
}

// AAC makes a rendition in AAC.
type AAC interface {
	Available() (ok bool, reason string)
	Window(id space.ID) (aac.Window, bool)
	Part(id space.ID, epoch uint32, seq uint64) ([]byte, bool)
	Init(id space.ID) ([]byte, bool)
}

// file is what is served: one copy for all who ask.
type file struct {
	body   []byte
	length []string // Content-Length, ready to be a header
	tag    []string // ETag
}

func newFile(body []byte, tag string) *file {
	f := &file{body: body, length: []string{strconv.Itoa(len(body))}}
	if tag != "" {
		f.tag = []string{tag}
	}
	return f
}

// lazy is a file that is made when it is first asked for, once for all who do; nil if
// it can't be made.
type lazy struct {
	once sync.Once
	file *file
}

func (l *lazy) get(make func() *file) *file {
	l.once.Do(func() { l.file = make() })
	return l.file
}

// opusSound has the rungs of the programme.
type opusSound struct{ Programme }

func (o opusSound) window(id space.ID) ([]piece, bool, <-chan struct{}, bool) {
	w, ok := o.Window(id)
	if !ok {
		return nil, false, nil, false
	}
	pieces := make([]piece, len(w.Blocks))
	for i, b := range w.Blocks {
		pieces[i] = piece{key: key{b.Epoch, b.Seq}, start: b.Start, samples: blockSamples}
	}
	return pieces, w.Final, w.Changed, true
}

func (o opusSound) fragment(id space.ID, k key, rendition int) ([]byte, bool) {
	return o.Fragment(id, k.epoch, k.seq, programme.Rung(rendition))
}

func (o opusSound) init(id space.ID, rendition int) ([]byte, bool) {
	return o.Init(id, programme.Rung(rendition))
}

// aacSound has the one of AAC.
type aacSound struct{ AAC }

func (a aacSound) window(id space.ID) ([]piece, bool, <-chan struct{}, bool) {
	w, ok := a.Window(id)
	if !ok {
		return nil, false, nil, false
	}
	pieces := make([]piece, len(w.Parts))
	for i, p := range w.Parts {
		pieces[i] = piece{key: key{p.Epoch, p.Seq}, start: p.Start, samples: p.Samples}
	}
	return pieces, w.Final, w.Changed, true
}

func (a aacSound) fragment(id space.ID, k key, _ int) ([]byte, bool) {
	return a.Part(id, k.epoch, k.seq)
}

func (a aacSound) init(id space.ID, _ int) ([]byte, bool) { return a.Init(id) }

// Kept is what is kept of a programme, as broadcast has it.
type Kept interface {
	Window(id space.ID) (broadcast.Window, bool)
	Fragment(id space.ID, epoch uint32, seq uint64, rung programme.Rung) ([]byte, bool)
	Init(id space.ID, rung programme.Rung) ([]byte, bool)
}

// Log lets aac read what broadcast keeps.
type Log struct{ Kept }

// Window returns the newest blocks.
func (l Log) Window(id space.ID) (blocks []aac.Block, final bool, changed <-chan struct{}, ok bool) {
	w, ok := l.Kept.Window(id)
	if !ok {
		return nil, false, nil, false
	}
	blocks = make([]aac.Block, len(w.Blocks))
	for i, b := range w.Blocks {
		blocks[i] = aac.Block{Epoch: b.Epoch, Seq: b.Seq, Start: b.Start}
	}
	return blocks, w.Final, w.Changed, true
}

// Packets returns the packets of a block at the best rung.
func (l Log) Packets(id space.ID, epoch uint32, seq uint64) (packets [][]byte, channels int, ok bool) {
	head, ok := l.Init(id, programme.Rung48)
	if !ok {
		return nil, 0, false
	}
	fragment, ok := l.Fragment(id, epoch, seq, programme.Rung48)
	if !ok {
		return nil, 0, false
	}
	r := fmp4.NewReader(strings.NewReader(string(head) + string(fragment)))
	for {
		part, err := r.Next()
		switch {
		case err != nil: // not what broadcast renders
			return nil, 0, false
		case part.Init != nil:
			channels = part.Init.Channels
		case part.Fragment != nil:
			return part.Fragment.Packets, channels, true
		}
	}
}

// timeOf returns how long a number of samples is.
func timeOf(samples int64) time.Duration {
	return time.Duration(samples) * (time.Second / 16000) / (programme.SampleRate / 16000)
}
