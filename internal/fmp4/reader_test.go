package fmp4_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hustings/internal/fmp4"
)

var track = fmp4.Track{Channels: 1, PreSkip: 312, PacketSamples: 960}

// stream returns a stream of all kinds of parts, and what a Reader should see in it.
func stream() ([]byte, []fmp4.Part) {
	event := fmp4.Event{Scheme: "urn:hustings:pulse", Value: "patch", Time: 1 << 40, ID: 7, Data: []byte(`{"a":1}`)}
	first := fmp4.Fragment{Sequence: 1, Time: 0, Packets: [][]byte{{1, 2, 3}, {4}, bytes.Repeat([]byte{5}, 1276)}}
	second := fmp4.Fragment{Sequence: 2, Time: 1 << 40, Packets: [][]byte{{9}}}
	out := fmp4.AppendInit(nil, track)
	out = fmp4.AppendFragment(out, first)
	out = fmp4.AppendEvent(out, event)
	out = append(out, 0, 0, 0, 12, 'f', 'r', 'e', 'e', 1, 2, 3, 4)
	out = fmp4.AppendFragment(out, second)
	return out, []fmp4.Part{{Init: &track}, {Fragment: &first}, {Event: &event}, {Fragment: &second}}
}

func readAll(r *fmp4.Reader) (parts []fmp4.Part, err error) {
	for {
		part, err := r.Next()
		if err != nil {
			return parts, err
		}
		parts = append(parts, part)
	}
}

func TestReaderReturnsWhatWasWritten(t *testing.T) {
	data, want := stream()
	got, err := readAll(fmp4.NewReader(bytes.NewReader(data)))
	if err != io.EOF {
		t.Fatalf("the stream ended with %v, want io.EOF", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parts differ (-want +got):\n%s", diff)
	}
}

func TestReaderTellsACutStreamFromAnEnd(t *testing.T) {
	data, _ := stream()
	whole := 0 // cuts that fall between two boxes, where an end is no fault
	for cut := range data {
		_, err := readAll(fmp4.NewReader(bytes.NewReader(data[:cut])))
		switch {
		case err == io.EOF:
			whole++
		case !errors.Is(err, io.ErrUnexpectedEOF):
			t.Fatalf("cut at byte %d of %d: got %v, want an unexpected end", cut, len(data), err)
		}
	}
	if whole != 6 { // before and after ftyp, after moov, first fragment, emsg, free
		t.Errorf("%d cuts looked like an end, want 6", whole)
	}
}

func TestReaderForOneFragment(t *testing.T) {
	fragment := fmp4.AppendFragment(nil, fmp4.Fragment{Sequence: 3, Packets: [][]byte{{1}}})
	if _, err := fmp4.NewReader(bytes.NewReader(fragment)).Next(); !errors.Is(err, fmp4.ErrFormat) {
		t.Errorf("a fragment of an unknown track: got %v, want ErrFormat", err)
	}
	part, err := fmp4.NewReaderFor(bytes.NewReader(fragment), track).Next()
	if err != nil || part.Fragment == nil || part.Fragment.Sequence != 3 {
		t.Errorf("got %+v, %v; want fragment 3", part, err)
	}
}

func TestReaderRefusesALieAboutSizes(t *testing.T) {
	huge := []byte{0, 0, 0, 1, 'm', 'o', 'o', 'f', 0x7f, 0, 0, 0, 0, 0, 0, 0}
	if _, err := fmp4.NewReader(bytes.NewReader(huge)).Next(); !errors.Is(err, fmp4.ErrFormat) {
		t.Errorf("a box of 2^62 bytes: got %v, want ErrFormat", err)
	}
	lone := []byte{0, 0, 0, 8, 'm', 'd', 'a', 't'}
	if _, err := fmp4.NewReader(bytes.NewReader(lone)).Next(); !errors.Is(err, fmp4.ErrFormat) {
		t.Errorf("media data on its own: got %v, want ErrFormat", err)
	}
}

// FuzzReader: no input may crash or hang the reader, or make it return parts
// that it would not read again after writing them.
func FuzzReader(f *testing.F) {
	data, _ := stream()
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(data[20:])
	f.Add(fmp4.AppendFileEnd(nil, fmp4.File{Track: track, Sizes: []uint32{1, 2, 3}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, _ := readAll(fmp4.NewReaderFor(bytes.NewReader(data), track))
		for _, part := range parts {
			if part.Fragment == nil {
				continue
			}
			again, err := fmp4.NewReaderFor(bytes.NewReader(fmp4.AppendFragment(nil, *part.Fragment)), track).Next()
			if err != nil {
				t.Fatalf("a fragment that was read can't be read again: %v", err)
			}
			if !cmp.Equal(again.Fragment, part.Fragment) {
				t.Fatalf("read %+v, then %+v", part.Fragment, again.Fragment)
			}
		}
	})
}
