package hls_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hustings/internal/hls"
)

const part = 500 * time.Millisecond

// programme returns what is listed of a programme of segments of 4 s once so many
// parts of half a second are there: nine segments and the one in the making.
func programme(parts int) hls.Playlist {
	p := hls.Playlist{
		Target: 4, PartTarget: part, HoldBack: 12 * time.Second, PartHoldBack: 3 * part, SkipUntil: 24 * time.Second,
		Hint: fmt.Sprintf("b/%d.m4s", parts), Reports: []hls.Report{{URI: "opus24.m3u8", Sequence: 7, Part: 3}},
	}
	first := max(0, parts/8-9)
	p.Sequence = uint64(first)
	for n := first; n*8 < parts; n++ {
		s := hls.Segment{Map: "opus48/init.mp4", Time: time.Unix(1_800_000_000, 0).Add(time.Duration(n) * 4 * time.Second)}
		for seq := n * 8; seq < min(parts, n*8+8); seq++ {
			s.Duration += part
			s.Parts = append(s.Parts, hls.Part{URI: fmt.Sprintf("b/%d.m4s", seq), Duration: part, Independent: true})
		}
		if n*8+8 <= parts {
			s.URI = fmt.Sprintf("opus48/%d.m4s", n)
		}
		if (n+1)*8 < parts-24 {
			s.Parts = nil
		}
		p.Segments = append(p.Segments, s)
	}
	return p
}

func parse(t testing.TB, text []byte) hls.Playlist {
	t.Helper()
	p, err := hls.Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for i := range p.Segments {
		p.Segments[i].Time = p.Segments[i].Time.UTC()
	}
	return p
}

var sameTime = cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })

func TestAPlaylistReadsAsTheDraftHasIt(t *testing.T) {
	p := programme(10)
	p.Segments[0].Parts = p.Segments[0].Parts[:8]
	p.Segments[1].Discontinuity = true
	p.Segments[1].Parts[1].Gap = true
	p.Segments[1].Parts[1].Independent = false
	want := `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,HOLD-BACK=12,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="opus48/init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z
` + strings.Repeat("#EXT-X-PART:DURATION=0.5,URI=\"b/x.m4s\",INDEPENDENT=YES\n", 8) + `#EXTINF:4,
opus48/0.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:04.000Z
#EXT-X-PART:DURATION=0.5,URI="b/8.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="b/9.m4s",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b/10.m4s"
#EXT-X-RENDITION-REPORT:URI="opus24.m3u8",LAST-MSN=7,LAST-PART=3
`
	for seq := range 8 {
		want = strings.Replace(want, "b/x.m4s", fmt.Sprintf("b/%d.m4s", seq), 1)
	}
	if diff := cmp.Diff(want, string(hls.AppendMedia(nil, p))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if sequence, part := p.Last(); sequence != 1 || part != 1 {
		t.Errorf("the last is %d, %d", sequence, part)
	}
}

func TestAMultivariantPlaylist(t *testing.T) {
	got := hls.AppendMultivariant(nil, []hls.Variant{
		{URI: "x/aac.m3u8?listener=1", Codecs: "mp4a.40.2", Bandwidth: 80000, Average: 70000, Score: 2},
		{URI: "x/opus48.m3u8", Codecs: "opus", Bandwidth: 60000},
	})
	want := `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=80000,AVERAGE-BANDWIDTH=70000,SCORE=2,CODECS="mp4a.40.2"
x/aac.m3u8?listener=1
#EXT-X-STREAM-INF:BANDWIDTH=60000,CODECS="opus"
x/opus48.m3u8
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestALifeOfAPlaylist follows a programme part by part: each version can be read,
// follows from the one before, and a delta update makes the same of an older version
// as the whole.
func TestALifeOfAPlaylist(t *testing.T) {
	var before hls.Playlist
	deltas := 0
	for parts := 1; parts < 400; parts++ {
		p := programme(parts)
		p.Ended = parts == 399
		if p.Ended {
			p.Hint = ""
		}
		whole := parse(t, hls.AppendMedia(nil, p))
		if diff := cmp.Diff(p, whole, sameTime); diff != "" {
			t.Fatalf("%d parts (-written +read)\n%s", parts, diff)
		}
		if parts > 1 {
			if err := hls.Succeeds(before, whole); err != nil {
				t.Fatalf("%d parts: %v", parts, err)
			}
		}
		if n := p.Skippable(); n > 0 && parts > 1 {
			deltas++
			delta := parse(t, hls.AppendMedia(nil, p.Delta(n)))
			merged, err := hls.Merge(before, delta)
			if err != nil {
				t.Fatalf("%d parts: %v", parts, err)
			}
			if diff := cmp.Diff(whole, merged, sameTime); diff != "" {
				t.Fatalf("%d parts (-whole +merged)\n%s", parts, diff)
			}
		}
		before = whole
	}
	if deltas < 300 {
		t.Errorf("%d delta updates", deltas)
	}
}

func TestParseIsStrict(t *testing.T) {
	good := string(hls.AppendMedia(nil, programme(100)))
	for name, change := range map[string][2]string{
		"not a playlist":                {"#EXTM3U\n", "#EXTM3V\n"},
		"cut off":                       {"LAST-PART=3\n", "LAST-PART=3"},
		"no version":                    {"#EXT-X-VERSION:9\n", ""},
		"another version":               {"VERSION:9", "VERSION:3"},
		"a tag twice":                   {"#EXT-X-VERSION:9\n", "#EXT-X-VERSION:9\n#EXT-X-VERSION:9\n"},
		"no target":                     {"#EXT-X-TARGETDURATION:4\n", ""},
		"no part target":                {"#EXT-X-PART-INF:PART-TARGET=0.5\n", ""},
		"a target too short":            {"TARGETDURATION:4", "TARGETDURATION:3"},
		"a part target too short":       {"PART-TARGET=0.5", "PART-TARGET=0.4"},
		"parts far below their target":  {"PART-TARGET=0.5", "PART-TARGET=0.7"},
		"part hold back":                {"PART-HOLD-BACK=1.5", "PART-HOLD-BACK=0.9"},
		"hold back":                     {",HOLD-BACK=12", ",HOLD-BACK=11"},
		"skip boundary":                 {"SKIP-UNTIL=24", "SKIP-UNTIL=20"},
		"no blocking reload":            {"RELOAD=YES", "RELOAD=NO"},
		"no map":                        {`#EXT-X-MAP:URI="opus48/init.mp4"` + "\n", ""},
		"a quotation open":              {`init.mp4"` + "\n", "init.mp4\n"},
		"no quotation":                  {`URI="b/99.m4s"`, `URI=b/99.m4s`},
		"a quotation that goes on":      {`URI="b/99.m4s",`, `URI="b/99.m4s"x,`},
		"an attribute twice":            {`DURATION=0.5,URI="b/99.m4s"`, `DURATION=0.5,DURATION=0.5,URI="b/99.m4s"`},
		"a part without a URI":          {`,URI="b/99.m4s"`, ``},
		"durations that do not add up":  {"#EXTINF:4,\nopus48/11.m4s", "#EXTINF:3.5,\nopus48/11.m4s"},
		"no number":                     {"#EXTINF:4,\nopus48/11.m4s", "#EXTINF:four,\nopus48/11.m4s"},
		"no comma":                      {"#EXTINF:4,\nopus48/11.m4s", "#EXTINF:4\nopus48/11.m4s"},
		"no URI":                        {"#EXTINF:4,\nopus48/11.m4s", "#EXTINF:4,\n"},
		"a URI alone":                   {"#EXTINF:4,\nopus48/3.m4s", "opus48/3.m4s"},
		"sequence after segments":       {"#EXT-X-PRELOAD-HINT", "#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-PRELOAD-HINT"},
		"skip after segments":           {"#EXT-X-PRELOAD-HINT", "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXT-X-PRELOAD-HINT"},
		"a skip of nothing":             {"#EXT-X-MAP", "#EXT-X-SKIP:SKIPPED-SEGMENTS=0\n#EXT-X-MAP"},
		"a part behind the hint":        {"#EXT-X-RENDITION", "#EXT-X-PART:DURATION=0.5,URI=\"b/100.m4s\"\n#EXT-X-RENDITION"},
		"a hint of something else":      {"TYPE=PART", "TYPE=MAP"},
		"a hint after the end":          {"LAST-PART=3\n", "LAST-PART=3\n#EXT-X-ENDLIST\n"},
		"more after the end":            {"LAST-PART=3\n", "LAST-PART=3\n#EXT-X-ENDLIST\n#EXT-X-GAP\n"},
		"tags of no segment":            {"#EXT-X-PRELOAD-HINT", "#EXT-X-GAP\n#EXT-X-GAP\n#EXT-X-PRELOAD-HINT"},
		"a discontinuity in a segment":  {"#EXT-X-PRELOAD-HINT", "#EXT-X-DISCONTINUITY\n#EXT-X-PRELOAD-HINT"},
		"skipped within the boundary":   {"#EXT-X-MAP", "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXT-X-GAP\n#EXT-X-MAP"},
		"a report without its place":    {",LAST-MSN=7", ""},
		"a report at a negative place":  {"LAST-PART=3", "LAST-PART=-3"},
		"an attribute that is empty":    {"LAST-MSN=7", "LAST-MSN="},
		"an attribute without a value":  {"LAST-MSN=7", "LAST-MSN"},
		"a date that is none":           {"#EXT-X-PROGRAM-DATE-TIME:2027", "#EXT-X-PROGRAM-DATE-TIME:x027"},
		"a list that ends with a comma": {"LAST-PART=3", "LAST-PART=3,"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if name == "skipped within the boundary" {
			// Take away what lies beyond the boundary, so that too little is left.
			bad = string(hls.AppendMedia(nil, programme(100).Delta(8)))
		}
		if bad == good {
			t.Errorf("%s: nothing to change", name)
		}
		if _, err := hls.Parse([]byte(bad)); !errors.Is(err, hls.ErrPlaylist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p := parse(t, []byte(strings.Replace(good, "#EXT-X-MAP", "# a comment\n#EXT-X-OF-TOMORROW:1\n\n#EXT-X-MAP", 1))); len(p.Segments) != 10 {
		t.Errorf("with a comment: %d segments", len(p.Segments))
	}
}

func TestVersionsThatDoNotFollow(t *testing.T) {
	before := programme(100)
	for name, change := range map[string]func(p *hls.Playlist){
		"another target":         func(p *hls.Playlist) { p.Target = 5 },
		"back":                   func(p *hls.Playlist) { p.Sequence -= 2 },
		"a segment changed":      func(p *hls.Playlist) { p.Segments[2].URI = "x" },
		"a map changed":          func(p *hls.Playlist) { p.Segments[2].Map = "x" },
		"a part changed":         func(p *hls.Playlist) { p.Segments[len(p.Segments)-1].Parts[0].URI = "x" },
		"a part gone":            func(p *hls.Playlist) { s := &p.Segments[len(p.Segments)-1]; s.Parts = s.Parts[:1] },
		"a segment gone":         func(p *hls.Playlist) { p.Segments = p.Segments[:4] },
		"one discontinuity more": func(p *hls.Playlist) { p.Discontinuities++ },
	} {
		after := programme(101)
		change(&after)
		if err := hls.Succeeds(before, after); !errors.Is(err, hls.ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended := programme(100)
	ended.Ended = true
	if err := hls.Succeeds(ended, programme(101)); !errors.Is(err, hls.ErrVersion) {
		t.Errorf("after the end: %v", err)
	}
	if err := hls.Succeeds(programme(100), programme(300)); err != nil {
		t.Errorf("long after: %v", err)
	}
	for name, c := range map[string][2]hls.Playlist{
		"an older update":       {programme(200), programme(100).Delta(3)},
		"an update of long ago": {programme(100), programme(300).Delta(3)},
		"one in the making":     {programme(100), programme(110).Delta(9)},
	} {
		if _, err := hls.Merge(c[0], c[1]); !errors.Is(err, hls.ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsWrittenIsRead: whatever is in a playlist comes back.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := programme(rapid.IntRange(1, 300).Draw(t, "parts"))
		p.Sequence += rapid.Uint64Range(0, 1<<40).Draw(t, "sequence")
		p.Discontinuities = rapid.Uint64Range(0, 1<<40).Draw(t, "discontinuities")
		for i := range p.Segments {
			p.Segments[i].Discontinuity = rapid.Bool().Draw(t, "discontinuity")
			p.Segments[i].Map = rapid.SampledFrom([]string{"a", "b?x=1"}).Draw(t, "map")
		}
		if n := p.Skippable(); n > 0 && rapid.Bool().Draw(t, "delta") {
			p = p.Delta(n)
		}
		got, err := hls.Parse(hls.AppendMedia(nil, p))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got, sameTime); diff != "" {
			t.Errorf("(-written +read)\n%s", diff)
		}
	})
}

// FuzzParse: whatever comes, it is read or refused; what is read can be written again,
// and then says the same.
func FuzzParse(f *testing.F) {
	f.Add(string(hls.AppendMedia(nil, programme(3))))
	f.Add(string(hls.AppendMedia(nil, programme(100))))
	f.Add(string(hls.AppendMedia(nil, programme(100).Delta(3))))
	f.Add("#EXTM3U\n#EXT-X-PART:DURATION=0.5,URI=\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := hls.Parse([]byte(text))
		if err != nil {
			if !errors.Is(err, hls.ErrPlaylist) {
				t.Fatal(err)
			}
			return
		}
		rounded := func(p hls.Playlist) string { return string(hls.AppendMedia(nil, p)) }
		again, err := hls.Parse(hls.AppendMedia(nil, p))
		if err != nil {
			return // what is finer than a microsecond was rounded beyond a bound
		}
		if diff := cmp.Diff(rounded(p), rounded(again)); diff != "" {
			t.Errorf("(-first +second)\n%s", diff)
		}
		if len(again.Segments) != len(p.Segments) || again.Hint != p.Hint || again.Ended != p.Ended {
			t.Errorf("%+v was read as %+v", p, again)
		}
	})
}

func BenchmarkAppendMedia(b *testing.B) {
	p, buf := programme(100), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = hls.AppendMedia(buf[:0], p)
	}
	b.ReportMetric(float64(len(buf)), "bytes")
}
