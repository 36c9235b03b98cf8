package live_test

import (
	"bytes"
	"net/http"
	"testing"

	"hustings/internal/aac"
	"hustings/internal/broadcast"
	"hustings/internal/live"
	"hustings/internal/space"
)

// TestStationsMakeRoom: what is not on the air any more is forgotten when something
// else is asked for.
func TestStationsMakeRoom(t *testing.T) {
	s := onAir(t, 8)
	s.list("opus48")
	s.programme.change(func() { s.programme.blocks = nil })
	s.spaces.put(space.Space{ID: "other", Phase: space.Live})
	s.want(s.ask("GET", "/live/other/opus48.m3u8"), 425)
	for seq := range uint64(8) {
		s.programme.put(5, seq, int64(seq)*blockSamples)
	}
	if p := s.list("opus48"); p.Sequence != 5 {
		t.Errorf("%+v", p)
	}
}

// TestLogIsWhatIsKept: what makes AAC reads the packets of the best rung.
func TestLogIsWhatIsKept(t *testing.T) {
	s := newSite(t)
	log := live.Log{Kept: s.programme}
	if _, _, _, ok := log.Window("debate"); ok {
		t.Error("a window of nothing")
	}
	s.programme.put(3, 7, 168000, []byte{0xf8, 1}, []byte{0xf8, 2})
	blocks, final, changed, ok := log.Window("debate")
	if !ok || final || changed == nil || len(blocks) != 1 || blocks[0] != (aac.Block{Epoch: 3, Seq: 7, Start: 168000}) {
		t.Errorf("%+v %v %v", blocks, final, ok)
	}
	packets, channels, ok := log.Packets("debate", 3, 7)
	if !ok || channels != 1 || len(packets) != 2 || !bytes.Equal(packets[1], []byte{0xf8, 2}) {
		t.Errorf("%x %d %v", packets, channels, ok)
	}
	if _, _, ok := log.Packets("debate", 2, 7); ok {
		t.Error("packets of a block that is not kept")
	}
}

// BenchmarkServe is the way of what is asked most, without net/http's own part.
func BenchmarkServe(b *testing.B) {
	s := onAir(b, 80)
	l, err := live.New(live.Options{Spaces: s.spaces, Programme: s.programme})
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	l.Routes(mux)
	for name, path := range map[string]string{
		"playlist": "opus48.m3u8?listener=abcdefgh&_HLS_msn=9&_HLS_part=3&_HLS_skip=YES", "part": "b/77.m4s?epoch=0&rung=24", "segment": "opus48/8.m4s?epoch=0",
	} {
		b.Run(name, func(b *testing.B) {
			r, err := http.NewRequest("GET", "http://x/live/debate/"+path, nil)
			if err != nil {
				b.Fatal(err)
			}
			out := discard{}
			list, _ := http.NewRequest("GET", "http://x/live/debate/opus48.m3u8", nil)
			mux.ServeHTTP(out, list) // from then on there is a station
			b.ReportAllocs()
			for b.Loop() {
				clear(out)
				mux.ServeHTTP(out, r)
			}
		})
	}
}

// discard is a ResponseWriter that takes no part in what is measured.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

var _ live.Programme = (*broadcast.Broadcast)(nil)
