package ogg_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hustings/internal/ogg"
)

const serial = 0x48757374

// got is a Packet whose data is kept.
type got struct {
	Data    string
	Granule int64
	Gap     bool
	Last    bool
}

func readAll(r *ogg.Reader) (packets []got, err error) {
	for {
		p, err := r.Next()
		if err != nil {
			return packets, err
		}
		packets = append(packets, got{string(p.Data), p.Granule, p.Gap, p.Last})
	}
}

// read reads all of data, which must end in good order.
func read(t *testing.T, data []byte) []got {
	t.Helper()
	packets, err := readAll(ogg.NewReader(bytes.NewReader(data)))
	if err != io.EOF {
		t.Fatalf("the stream ended with %v, want io.EOF", err)
	}
	return packets
}

// pages returns the pages of a small stream: two headers and three of audio.
func pages() [][]byte {
	headers := ogg.AppendHeaders(nil, serial, 1, 312, "test", "TITLE=a stream")
	page := func(n uint32, flags byte, packets ...[]byte) []byte {
		return ogg.AppendPage(nil, ogg.Page{Flags: flags, Serial: serial, Sequence: n, Granule: int64(n) * 100, Packets: packets})
	}
	return [][]byte{
		headers,
		page(2, 0, []byte("a"), bytes.Repeat([]byte("b"), 255)),
		page(3, 0, bytes.Repeat([]byte("c"), 510), nil, []byte("d")),
		page(4, ogg.Last, []byte("e")),
	}
}

func wanted() []got {
	return []got{
		{Data: "a", Granule: -1},
		{Data: string(bytes.Repeat([]byte("b"), 255)), Granule: 200},
		{Data: string(bytes.Repeat([]byte("c"), 510)), Granule: -1},
		{Data: "", Granule: -1},
		{Data: "d", Granule: 300},
		{Data: "e", Granule: 400, Last: true},
	}
}

func TestReaderReturnsWhatWasWritten(t *testing.T) {
	data := bytes.Join(pages(), nil)
	if diff := cmp.Diff(wanted(), read(t, data)); diff != "" {
		t.Errorf("packets differ (-want +got):\n%s", diff)
	}
	head, err := ogg.NewReader(bytes.NewReader(data)).Head()
	if want := (ogg.Head{Channels: 1, PreSkip: 312, SampleRate: 48000}); err != nil || head != want {
		t.Errorf("head %+v, %v; want %+v", head, err, want)
	}
}

func TestReaderGoesOnAfterDamage(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(p [][]byte) [][]byte
		want   []got
	}{
		"garbage before": {
			func(p [][]byte) [][]byte { return append([][]byte{[]byte("OggOggS garbage")}, p...) }, wanted(),
		},
		"a page is missing": {
			func(p [][]byte) [][]byte { return append(p[:1:1], p[2:]...) },
			[]got{
				{Data: string(bytes.Repeat([]byte("c"), 510)), Granule: -1, Gap: true},
				{Data: "", Granule: -1}, {Data: "d", Granule: 300}, {Data: "e", Granule: 400, Last: true},
			},
		},
		"a bit is wrong": {
			func(p [][]byte) [][]byte { p[2][100] ^= 1; return p },
			[]got{wanted()[0], wanted()[1], {Data: "e", Granule: 400, Last: true, Gap: true}},
		},
		"cut off inside of a page": {
			func(p [][]byte) [][]byte { p[3] = p[3][:len(p[3])-1]; return p }, wanted()[:5],
		},
		"another stream between": {
			func(p [][]byte) [][]byte {
				other := ogg.AppendPage(nil, ogg.Page{Serial: 1, Sequence: 9, Packets: [][]byte{[]byte("video")}})
				return append(append(p[:2:2], other), p[2:]...)
			}, wanted(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, bytes.Join(c.damage(pages()), nil))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("packets differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReaderFollowsAChain(t *testing.T) {
	link := bytes.Join(pages(), nil)
	got := read(t, append(link[:len(link):len(link)], link...))
	if diff := cmp.Diff(append(wanted(), wanted()...), got); diff != "" {
		t.Errorf("packets differ (-want +got):\n%s", diff)
	}
}

// A packet of two pages, which our writer never makes but others do.
func TestReaderJoinsAPacketOverPages(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 255*255) // its first page has no end of a packet
	first := ogg.AppendPage(nil, ogg.Page{Serial: serial, Sequence: 2, Packets: [][]byte{long[:255*254]}})
	// Turn the closing lacing value 0 of the first page into one more full one.
	first[26+255] = 255
	first = append(first, long[:255]...)
	second := ogg.AppendPage(nil, ogg.Page{Flags: ogg.Continued, Serial: serial, Sequence: 3, Granule: 960, Packets: [][]byte{[]byte("end"), []byte("next")}})
	data := append(ogg.AppendHeaders(nil, serial, 2, 312, "test"), reseal(first)...)

	packets := read(t, append(data[:len(data):len(data)], second...))
	want := []got{{Data: string(long) + "end", Granule: -1}, {Data: "next", Granule: 960}}
	if diff := cmp.Diff(want, packets); diff != "" {
		t.Errorf("packets differ (-want +got):\n%s", diff)
	}

	lost := append(ogg.AppendHeaders(nil, serial, 2, 312, "test"), second...)
	want = []got{{Data: "next", Granule: 960, Gap: true}}
	if diff := cmp.Diff(want, read(t, lost)); diff != "" {
		t.Errorf("without its first page (-want +got):\n%s", diff)
	}
}

func TestReaderSaysWhatItIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":           {nil, ogg.ErrNotOpus},
		"text":              {[]byte("The quick brown fox jumps over the lazy dog"), ogg.ErrNotOpus},
		"a long text":       {bytes.Repeat([]byte("fox "), 1<<19), ogg.ErrNotOgg},
		"another codec":     {ogg.AppendPage(nil, ogg.Page{Flags: ogg.First, Packets: [][]byte{[]byte("\x01vorbis")}}), ogg.ErrNotOpus},
		"the middle of one": {pages()[2], ogg.ErrNotOpus},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ogg.NewReader(bytes.NewReader(c.data)).Next(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestFits(t *testing.T) {
	largest := make([][]byte, 25)
	for i := range largest {
		largest[i] = make([]byte, 1276)
	}
	if !ogg.Fits(largest) {
		t.Error("25 of the largest Opus frames should fit into a page")
	}
	if ogg.Fits([][]byte{make([]byte, 255*255)}) {
		t.Error("a packet of 255 full lacing values needs one more to end")
	}
	defer func() {
		if recover() == nil {
			t.Error("AppendPage should refuse what does not fit")
		}
	}()
	ogg.AppendPage(nil, ogg.Page{Packets: [][]byte{make([]byte, 255*255)}})
}

func TestParseHeadRefuses(t *testing.T) {
	good := ogg.OpusHead(2, 312)
	for name, spoil := range map[string]func(h []byte) []byte{
		"short":          func(h []byte) []byte { return h[:18] },
		"another magic":  func(h []byte) []byte { h[0] = 'o'; return h },
		"a new version":  func(h []byte) []byte { h[8] = 16; return h },
		"no channel":     func(h []byte) []byte { h[9] = 0; return h },
		"three channels": func(h []byte) []byte { h[9] = 3; return h },
	} {
		if _, err := ogg.ParseHead(spoil(bytes.Clone(good))); !errors.Is(err, ogg.ErrHead) {
			t.Errorf("%s: got %v, want ErrHead", name, err)
		}
	}
	if head, err := ogg.ParseHead(good); err != nil || head.Channels != 2 {
		t.Errorf("got %+v, %v for a good head", head, err)
	}
}

// FuzzReader: no input may crash the reader or make it loop, and what it returns
// never spans more than its bounds.
func FuzzReader(f *testing.F) {
	f.Add(bytes.Join(pages(), nil))
	f.Add(bytes.Join(pages()[1:], []byte("OggS")))
	f.Add([]byte("OggS\x00\x02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		packets, err := readAll(ogg.NewReader(bytes.NewReader(data)))
		if err == nil {
			t.Fatal("a reader of finite input must end")
		}
		total := 0
		for _, p := range packets {
			total += len(p.Data)
		}
		if total > len(data) {
			t.Fatalf("%d bytes of packets out of %d bytes", total, len(data))
		}
	})
}
