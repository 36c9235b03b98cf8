//go:build linux

package bench

import (
	"path/filepath"
	"testing"
	"time"
)

// These try the tools of the bench themselves: a yardstick has to be straight.

// tone returns packets of the size that 48 kb/s are made of.
func tone() [][]byte {
	packets := make([][]byte, 50)
	for i := range packets {
		packets[i] = make([]byte, bitrate/8/50)
	}
	return packets
}

func TestCrowdHearsTheBareLoop(t *testing.T) {
	track, err := newTrack(tone(), block)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "track.ogg")
	if err := track.write(name); err != nil {
		t.Fatal(err)
	}
	for _, seal := range []bool{false, true} {
		loop, err := startPart(t, "bare")
		if err != nil {
			t.Fatal(err)
		}
		var at bareAnswer
		if err := loop.ask(bareOrder{Track: name, Interval: block, Seal: seal}, &at); err != nil || at.Error != "" {
			t.Fatal(err, at.Error)
		}
		crowd, err := startCrowd(t)
		if err != nil {
			t.Fatal(err)
		}
		const n = 100
		var joined, before, after crowdAnswer
		// Sealed bytes are for nobody's ears, so nobody follows them.
		order := crowdOrder{Do: "join", Addr: at.Addr, Path: "/", Count: n, Rate: 2000, Patience: 20 * time.Second, Follow: !seal}
		ask(t, crowd, order, &joined)
		if joined.Heard != n || joined.FirstSound.P50 <= 0 || joined.FirstByte.Max > joined.FirstSound.Max {
			t.Fatalf("of %d listeners: %+v", n, joined)
		}
		ask(t, crowd, crowdOrder{Do: "take"}, &before)
		const blocks = 2
		want := before.Bytes + blocks*n*int64(len(track.pages(0, 1)))
		for deadline := time.Now().Add(20 * time.Second); after.Bytes < want; {
			if time.Now().After(deadline) {
				t.Fatalf("%d bytes came, not %d", after.Bytes, want)
			}
			ask(t, crowd, crowdOrder{Do: "take"}, &after)
		}
		if after.Here != n {
			t.Errorf("%d listeners are there, not %d", after.Here, n)
		}
		var story crowdAnswer
		ask(t, crowd, crowdOrder{Do: "story"}, &story)
		if story.Missed > 0 || story.Lost > 0 || story.Silence <= 0 {
			t.Errorf("the story of %d listeners: %+v", n, story)
		}
		ask(t, crowd, crowdOrder{Do: "leave", Count: n - 1}, &after)
		if ask(t, crowd, crowdOrder{Do: "take"}, &after); after.Here != 1 {
			t.Errorf("%d listeners are left, not 1", after.Here)
		}
	}
}

func ask(t *testing.T, p *part, order crowdOrder, answer *crowdAnswer) {
	t.Helper()
	*answer = crowdAnswer{}
	if err := p.ask(order, answer); err != nil {
		t.Fatal(err)
	}
}

func TestEarNoticesGapsAndHoles(t *testing.T) {
	track, err := newTrack(tone(), block)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{}
	began := time.Now()
	hear := func(after time.Duration, data []byte) {
		t.Helper()
		for len(data) > 0 { // in pieces, as networks have it
			n := min(len(data), 700)
			if err := e.hear(data[:n], began.Add(after)); err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
	}
	hear(0, append([]byte("HTTP/1.0 200 OK\r\nContent-Type: application/ogg\r\n\r\n"), track.head()...))
	if e.sounding() {
		t.Fatal("sound before there is any")
	}
	hear(0, track.pages(10, 12))
	hear(900*time.Millisecond, track.pages(12, 13)) // 1.5 s have come
	if !e.sounding() || e.Gaps != 0 || e.Missed != 0 {
		t.Fatalf("all was there in time, and yet: %+v", e)
	}
	hear(1750*time.Millisecond, track.pages(13, 14))
	if e.Gaps != 1 || e.Gap != 250*time.Millisecond {
		t.Errorf("a gap of 250 ms was taken for %v, %d of them", e.Gap, e.Gaps)
	}
	hear(1800*time.Millisecond, track.pages(16, 17))
	if e.Missed != time.Second {
		t.Errorf("a hole of 1 s was taken for %v", e.Missed)
	}
	if err := (&ear{}).hear([]byte("HTTP/1.1 503 Service Unavailable\r\n\r\n"), began); err == nil {
		t.Error("a refusal was taken for sound")
	}
}

func TestSizeOfAnswer(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
		err  bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Le", -1, false},
		{"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", 41, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", -1, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 60, false},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0, true},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 0, true},
	} {
		if got, err := sizeOfAnswer([]byte(c.text)); (err != nil) != c.err || err == nil && got != c.want {
			t.Errorf("%q: %d, %v; want %d", c.text, got, err, c.want)
		}
	}
}

func TestPlaylistsAreRead(t *testing.T) {
	const master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=48000\n/live/x/opus48.m3u8?v=1\n#EXT-X-STREAM-INF:BANDWIDTH=64000\nx/aac.m3u8\n"
	if got := resolve("/live/x.m3u8", lastURI(master, opusFirst)); got != "/live/x/opus48.m3u8?v=1" {
		t.Errorf("the playlist of %q is %q", master, got)
	}
	const media = "#EXTM3U\n#EXTINF:4,\nopus48/7.m4s\n#EXT-X-PART:DURATION=0.5,URI=\"b/56.m4s\"\n#EXT-X-PART:DURATION=0.5,URI=\"b/57.m4s\"\n"
	if got := resolve("/live/x/opus48.m3u8", lastURI(media, anyURI)); got != "/live/x/opus48/7.m4s" {
		t.Errorf("the segment is %q", got)
	}
	if got := resolve("/live/x/opus48.m3u8", lastPart(media)); got != "/live/x/b/57.m4s" {
		t.Errorf("the part is %q", got)
	}
}
