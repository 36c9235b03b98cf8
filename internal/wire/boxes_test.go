package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"hustings/internal/fmp4"
)

var track = fmp4.Track{Channels: 1, PreSkip: 312, PacketSamples: 960}

// taken is a sink that writes down what it is given.
type taken struct {
	parts  []string
	hashes []uint64
	boxes  [][]byte
}

func (s *taken) Init(box []byte) error {
	part, err := fmp4.NewReader(bytes.NewReader(box)).Next()
	if err == nil {
		s.parts = append(s.parts, fmt.Sprintf("init %+v", *part.Init))
	}
	return err
}

func (s *taken) Event(box []byte) error {
	part, err := fmp4.NewReader(bytes.NewReader(box)).Next()
	if err == nil {
		s.parts = append(s.parts, fmt.Sprintf("event %+v", *part.Event))
	}
	return err
}

func (s *taken) Fragment(f Fragment) error {
	s.parts = append(s.parts, fmt.Sprintf("fragment %d at %d of %d", f.Seq, f.Time, f.Packets))
	s.hashes = append(s.hashes, f.Hash)
	s.boxes = append(s.boxes, slices.Clone(f.Boxes))
	return nil
}

// read is what fmp4.Reader makes of the same bytes.
func read(data []byte) (parts []string, err error) {
	r := fmp4.NewReader(bytes.NewReader(data))
	for {
		part, err := r.Next()
		switch {
		case err != nil:
			return parts, err
		case part.Init != nil:
			parts = append(parts, fmt.Sprintf("init %+v", *part.Init))
		case part.Event != nil:
			parts = append(parts, fmt.Sprintf("event %+v", *part.Event))
		default:
			f := part.Fragment
			parts = append(parts, fmt.Sprintf("fragment %d at %d of %d", f.Sequence, f.Time, len(f.Packets)))
		}
	}
}

// inPieces feeds data in pieces, whose lengths cuts gives, again and again.
func inPieces(data, cuts []byte, whole bool) (*taken, *Boxes, error) {
	var p Pool
	s, x := &taken{}, &Boxes{Whole: whole}
	for at := 0; len(data) > 0; at++ {
		n := len(data)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[at%len(cuts)]))
		}
		if err := x.Feed(bytes.Clone(data[:n]), &p, s); err != nil {
			return s, x, err
		}
		data = data[n:]
	}
	return s, x, nil
}

// agree fails the test if the incremental parser does not see what fmp4.Reader sees.
func agree(t *testing.T, data, cuts []byte) {
	t.Helper()
	want, wantErr := read(data)
	for _, whole := range []bool{false, true} {
		got, x, err := inPieces(data, cuts, whole)
		// What the whole of a box shows to be wrong may be seen before its last byte came.
		if !slices.Equal(got.parts, want) {
			t.Fatalf("in pieces of %v:\n%q, fmp4.Reader sees\n%q", cuts, got.parts, want)
		}
		switch {
		case wantErr == io.EOF && (err != nil || x.part != nil):
			t.Fatalf("a whole stream ended with %v, inside of a part: %v", err, x.part != nil)
		case errors.Is(wantErr, fmp4.ErrFormat) && !errors.Is(err, fmp4.ErrFormat):
			t.Fatalf("fmp4.Reader says %v; in pieces: %v", wantErr, err)
		case wantErr == io.ErrUnexpectedEOF && err == nil && x.part == nil:
			t.Fatal("a stream that was cut off looks whole")
		}
		if once, _, _ := inPieces(data, nil, whole); !slices.Equal(once.hashes, got.hashes) {
			t.Fatalf("in pieces of %v its hashes are %x, at once %x", cuts, got.hashes, once.hashes)
		}
		for i, boxes := range got.boxes {
			if whole && xxhash.Sum64(boxes) != got.hashes[i] {
				t.Fatalf("fragment %d came with other bytes than were hashed", i)
			}
		}
	}
}

// someStream has all kinds of parts.
func someStream() []byte {
	out := fmp4.AppendInit(nil, track)
	out = fmp4.AppendEvent(out, fmp4.Event{Scheme: "urn:hustings:pace", Value: "depth", Data: []byte(`{"depth":3.5}`)})
	for n := range 3 {
		packets := make([][]byte, 25)
		for i := range packets {
			packets[i] = bytes.Repeat([]byte{byte(n), byte(i)}, 10+7*n)
		}
		out = fmp4.AppendEvent(out, fmp4.Event{Scheme: "urn:hustings:pulse", Value: "patch", Time: uint64(n), Data: []byte(`{"a":1}`)})
		out = append(out, 0, 0, 0, 12, 'f', 'r', 'e', 'e', 1, 2, 3, 4)
		out = fmp4.AppendFragment(out, fmp4.Fragment{Sequence: uint32(n + 1), Time: uint64(n) * 24000, Packets: packets})
	}
	// An empty fragment, and headers of 16 bytes.
	out = fmp4.AppendFragment(out, fmp4.Fragment{Sequence: 9, Time: 1 << 40})
	return append(out, 0, 0, 0, 1, 's', 'k', 'i', 'p', 0, 0, 0, 0, 0, 0, 0, 20, 1, 2, 3, 4)
}

func TestAStreamInPiecesIsTheSameStream(t *testing.T) {
	data := someStream()
	for n := range 60 {
		agree(t, data, []byte{byte(n)})
	}
	for _, cuts := range [][]byte{nil, {0, 7}, {255, 3, 90}, {1, 2, 3, 5, 8, 13, 21, 34}, {7, 15, 23}} {
		agree(t, data, cuts)
	}
	for cut := range data {
		agree(t, data[:cut], []byte{30})
	}
}

func TestPartsAreGivenBack(t *testing.T) {
	var p Pool
	data := someStream()
	x := &Boxes{}
	for range 100 {
		for _, b := range data {
			if err := x.Feed([]byte{b}, &p, &taken{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.all != 1 || len(p.free) != 1 {
		t.Errorf("one stream after the other took %d parts, of which %d were given back", p.all, len(p.free))
	}
	if err := x.Feed(data[:30], &p, &taken{}); err != nil || x.part == nil {
		t.Fatalf("in the middle of a box: %v", err)
	}
	if x.Drop(&p); x.part != nil || len(p.free) != 1 {
		t.Error("what a broken stream had was not given back")
	}
}

// FuzzBoxes: whatever comes, in whatever pieces, is seen as fmp4.Reader sees it.
func FuzzBoxes(f *testing.F) {
	data := someStream()
	f.Add(data, []byte{3})
	f.Add(data[:len(data)/2], []byte{255, 0})
	f.Add(data[24:], []byte{80, 1})
	f.Add([]byte{0, 0, 0, 8, 'm', 'd', 'a', 't'}, []byte{0})
	f.Add([]byte{0, 0, 0, 1, 'm', 'o', 'o', 'f', 0x7f, 0, 0, 0, 0, 0, 0, 0}, []byte{4})
	f.Fuzz(func(t *testing.T, data, cuts []byte) { agree(t, data, cuts) })
}
