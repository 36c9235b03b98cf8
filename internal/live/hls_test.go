package live_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hustings/internal/aac"
	"hustings/internal/hls"
	"hustings/internal/live"
	"hustings/internal/programme"
	"hustings/internal/space"
)

const blockSamples = programme.BlockSamples

// fakeAAC has a part for each block of a programme, a moment earlier.
type fakeAAC struct {
	of     *fakeProgramme
	reason string
}

func (f *fakeAAC) Available() (bool, string) { return f.reason == "", f.reason }

func (f *fakeAAC) Window(id space.ID) (aac.Window, bool) {
	w, ok := f.of.Window(id)
	parts := make([]aac.Part, len(w.Blocks))
	for i, b := range w.Blocks {
		from, to := (b.Start+1023)/1024*1024, (b.Start+blockSamples+1023)/1024*1024
		parts[i] = aac.Part{Epoch: b.Epoch, Seq: b.Seq, Start: from, Samples: to - from}
	}
	return aac.Window{Parts: parts, Final: w.Final, Changed: w.Changed}, ok
}

func (f *fakeAAC) Part(_ space.ID, epoch uint32, seq uint64) ([]byte, bool) {
	return fmt.Appendf(nil, "aac %d %d.", epoch, seq), true
}

func (f *fakeAAC) Init(space.ID) ([]byte, bool) { return []byte("aac init"), true }

// onAir returns a site with a space that has so many blocks.
func onAir(t testing.TB, blocks int, change ...func(*live.Options)) *site {
	t.Helper()
	s := newSite(t, append(change, func(o *live.Options) {
		if made, ok := o.AAC.(*fakeAAC); ok {
			made.of = o.Programme.(*fakeProgramme)
		}
	})...)
	opened := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	s.spaces.put(space.Space{ID: "debate", Title: "Debate", Phase: space.Live, OpenedAt: &opened})
	for seq := range blocks {
		s.programme.put(0, uint64(seq), int64(seq)*blockSamples)
	}
	return s
}

// list asks for a playlist of the space and reads it.
func (s *site) list(query string) hls.Playlist {
	s.t.Helper()
	rendition, query, _ := strings.Cut(query+"?_HLS_msn=0&_HLS_part=0", "?")
	query = strings.Replace(query, "?", "&", 1)
	r := s.want(s.ask("GET", "/live/debate/"+rendition+".m3u8?"+query), 200)
	if r.header.Get("Content-Type") != "application/vnd.apple.mpegurl" || r.header.Get("Access-Control-Allow-Origin") != "*" {
		s.t.Errorf("%s: %v", query, r.header)
	}
	return s.parse(r.body)
}

func (s *site) parse(text string) hls.Playlist {
	s.t.Helper()
	p, err := hls.Parse([]byte(text))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// get asks for what a playlist names, and wants it to be cacheable for good.
func (s *site) get(uri string) string {
	s.t.Helper()
	r := s.want(s.ask("GET", "/live/debate/"+uri), 200)
	if r.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || r.header.Get("Content-Type") != "audio/mp4" || r.header.Get("Access-Control-Allow-Origin") != "*" {
		s.t.Errorf("%s: %v", uri, r.header)
	}
	return r.body
}

func TestMultivariant(t *testing.T) {
	made := &fakeAAC{}
	s := onAir(t, 20, func(o *live.Options) { o.AAC, o.Permits = made, permits("a permit") })
	for query, want := range map[string]string{
		"?listener=12345678":                      "aac opus48 opus24 opus16",
		"?listener=12345678&codec=aac":            "aac",
		"?listener=12345678&codec=opus":           "opus48 opus24 opus16",
		"?listener=12345678&rung=24":              "opus24",
		"?listener=12345678&rehearsal=a%20permit": "aac opus48 opus24 opus16",
		"":         "aac opus48 opus24 opus16",
		"?relay=1": "aac opus48 opus24 opus16",
	} {
		r := s.want(s.ask("GET", "/live/debate.m3u8"+query), 200, "#EXTM3U", "#EXT-X-STREAM-INF:BANDWIDTH=")
		var names []string
		score := 100.0
		for line := range strings.Lines(r.body) {
			if i := strings.Index(line, "SCORE="); i >= 0 {
				var now float64
				fmt.Sscanf(line[i:], "SCORE=%f", &now)
				if now >= score {
					t.Errorf("%s: %s scores no less than the one before", query, line)
				}
				score = now
			}
			name, asked, ok := strings.Cut(strings.TrimSpace(line), ".m3u8")
			if !ok {
				continue
			}
			names = append(names, strings.TrimPrefix(name, "debate/"))
			values, _ := url.ParseQuery(strings.TrimPrefix(asked, "?"))
			token := values.Get("listener")
			switch {
			case query == "?relay=1" && asked != "", query != "?relay=1" && len(token) < 8, strings.Contains(query, "listener") && token != "12345678":
				t.Errorf("%s: the listener is %q", query, token)
			case strings.Contains(query, "permit") != (values.Get("rehearsal") == "a permit"):
				t.Errorf("%s: the rehearsal is %q", query, values.Get("rehearsal"))
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s; want %s", query, got, want)
		}
		if kept := strings.Contains(r.header.Get("Cache-Control"), "public"); kept != (query == "?relay=1") {
			t.Errorf("%s: %v", query, r.header)
		}
	}
	made.reason = "ffmpeg is not installed; install it"
	s.want(s.ask("GET", "/live/debate.m3u8?codec=aac"), 406, "install it")
	s.want(s.ask("GET", "/live/debate/aac.m3u8"), 406, "install it")
	s.want(s.ask("GET", "/live/debate.m3u8?codec=mp3"), 422)
	s.want(s.ask("GET", "/live/debate.m3u8?rehearsal=another"), 403)
	if r := s.want(s.ask("GET", "/live/debate.m3u8"), 200); strings.Contains(r.body, "aac") {
		t.Errorf("AAC is listed that is not made: %s", r.body)
	}
	s.want(s.ask("GET", "/api/v1/renditions"), 200, `{"aac":{"available":false,"reason":"ffmpeg is not installed; install it"}}`)
}

// TestALifeOfAProgramme: from the first block to the end each playlist can be read and
// follows from the one before; a delta update comes to the same; each part and segment
// that is named is there, and a segment is its parts.
func TestALifeOfAProgramme(t *testing.T) {
	s := onAir(t, 0, func(o *live.Options) { o.AAC = &fakeAAC{} })
	s.programme.put(0, 0, 0)
	var before [2]hls.Playlist
	for seq := uint64(1); seq < 150; seq++ {
		s.programme.put(0, seq, int64(seq)*blockSamples)
		if seq == 149 {
			s.programme.change(func() { s.programme.final = true })
		}
		for i, rendition := range []string{"opus24", "aac"} {
			whole := s.list(rendition)
			if seq > 1 {
				if err := hls.Succeeds(before[i], whole); err != nil {
					t.Fatalf("%s, block %d: %v", rendition, seq, err)
				}
				merged, err := hls.Merge(before[i], s.list(rendition+"?_HLS_skip=YES"))
				if err != nil {
					t.Fatalf("%s, block %d: %v", rendition, seq, err)
				}
				if diff := cmp.Diff(whole, merged); diff != "" {
					t.Fatalf("%s, block %d (-whole +merged)\n%s", rendition, seq, diff)
				}
			}
			before[i] = whole
		}
	}
	p := before[0]
	if !p.Ended || p.Hint != "" || p.Sequence != 10 || len(p.Segments) != 9 || p.Target != 4 {
		t.Errorf("at the end: %+v", p)
	}
	if want := time.Date(2027, 1, 15, 8, 0, 40, 0, time.UTC); !p.Segments[0].Time.Equal(want) {
		t.Errorf("its first segment is of %v; want %v", p.Segments[0].Time, want)
	}
	for i, rendition := range []string{"opus24", "aac"} {
		s.checkFiles(rendition, before[i])
	}
}

// checkFiles wants all that a playlist names.
func (s *site) checkFiles(rendition string, p hls.Playlist) {
	s.t.Helper()
	for _, segment := range p.Segments {
		if segment.Gap {
			continue
		}
		if s.get(segment.Map) == "" {
			s.t.Errorf("%s is empty", segment.Map)
		}
		var parts string
		for _, part := range segment.Parts {
			parts += s.get(part.URI)
		}
		if segment.URI == "" {
			continue
		}
		if whole := s.get(segment.URI); len(segment.Parts) > 0 && whole != parts {
			s.t.Errorf("%s: segment %s has %d bytes, its parts %d", rendition, segment.URI, len(whole), len(parts))
		}
	}
}

// TestEpochs: a stage that starts again, in the middle of a segment or at its end,
// with a hole or without, once more with blocks that were there before: what is listed
// stays, what is new comes behind a discontinuity, and all nodes give it one number.
func TestEpochs(t *testing.T) {
	for name, c := range map[string]struct {
		ends, again uint64 // the first epoch ends before ends, the second begins with again
		hole        int64  // in samples
		numbers     []uint64
		gaps        int
	}{
		"in the middle of a segment": {ends: 19, again: 19, hole: 96000, numbers: []uint64{1, 2, 3, 4, 5}},
		"at the end of a segment":    {ends: 24, again: 24, hole: 96000, numbers: []uint64{1, 2, 3, 4, 5, 6}, gaps: 1},
		"a block is lost":            {ends: 20, again: 19, hole: 24000, numbers: []uint64{1, 2, 3, 4, 5}},
		"over a segment's limit":     {ends: 17, again: 15, hole: 48000, numbers: []uint64{1, 2, 3, 4, 5, 6}},
	} {
		s := onAir(t, 0)
		for seq := range c.ends {
			s.programme.put(1, seq, int64(seq)*blockSamples)
		}
		before := s.list("opus48")
		at := int64(c.ends)*blockSamples + c.hole
		for seq := c.again; seq < c.again+20; seq++ {
			s.programme.put(2, seq, at)
			at += blockSamples
			after := s.list("opus48")
			if err := hls.Succeeds(before, after); err != nil {
				t.Errorf("%s, block %d: %v", name, seq, err)
			}
			before = after
		}
		var numbers []uint64
		breaks, gaps := 0, 0
		for i, segment := range before.Segments {
			numbers = append(numbers, before.Sequence+uint64(i))
			if segment.Discontinuity {
				breaks++
			}
			if segment.Gap {
				gaps++
			}
		}
		if diff := cmp.Diff(c.numbers, numbers[:min(len(c.numbers), len(numbers))]); diff != "" || breaks != 1 || gaps != c.gaps || before.Discontinuities != 1 {
			t.Errorf("%s: %v, %d breaks, %d gaps, %d before", name, numbers, breaks, gaps, before.Discontinuities)
		}
		s.checkFiles("opus48", before)
		if name == "over a segment's limit" {
			continue // a node that comes later can't know
		}
		// One that was not there before the restart gives the same numbers.
		late := onAir(t, 0)
		at = int64(c.ends)*blockSamples + c.hole
		for seq := c.again; seq < c.again+20; seq++ {
			late.programme.put(2, seq, at)
			at += blockSamples
		}
		other := late.list("opus48")
		for i, segment := range other.Segments {
			k := int(other.Sequence-before.Sequence) + i
			if k >= len(before.Segments) || before.Segments[k].URI != segment.URI {
				t.Errorf("%s: elsewhere %s is number %d", name, segment.URI, other.Sequence+uint64(i))
			}
		}
		if other.Discontinuities != 2 {
			t.Errorf("%s: elsewhere it is after %d discontinuities", name, other.Discontinuities)
		}
	}
}

// TestBlocksThatAreMissing: a node that has lost blocks says so in the address of the
// segment, since elsewhere it is another one; one that has lost much begins anew.
func TestBlocksThatAreMissing(t *testing.T) {
	s := onAir(t, 0)
	for _, seq := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14, 15, 16, 17, 34, 35, 40} {
		s.programme.put(0, seq, int64(seq)*blockSamples)
	}
	p := s.list("opus48")
	var got []string
	for _, segment := range p.Segments {
		uri := segment.URI
		if segment.Gap {
			uri = "gap"
		}
		got = append(got, uri)
	}
	want := []string{"opus48/0.m4s?epoch=0", "opus48/1.m4s?epoch=0&blocks=8,11,13-15", "opus48/2.m4s?epoch=0&blocks=16-17", "gap", "opus48/4.m4s?epoch=0&blocks=34-35", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	s.checkFiles("opus48", p)
	for _, uri := range []string{"opus48/1.m4s?epoch=0", "opus48/1.m4s?epoch=0&blocks=8-15", "opus48/0.m4s?epoch=1", "opus48/5.m4s?epoch=0", "opus48/01.m4s", "opus48/x", "opus47/0.m4s", "opus48/init.mp4?epoch=7"} {
		s.want(s.ask("GET", "/live/debate/"+uri), 404)
	}
	s.programme.put(0, 400, 400*blockSamples)
	if p := s.list("opus48"); p.Sequence != 50 || len(p.Segments) != 1 {
		t.Errorf("long after: %+v", p)
	}
}

// TestAWindowThatSlides: what is cut off at the old end is not listed as if it had
// always been short.
func TestAWindowThatSlides(t *testing.T) {
	s := onAir(t, 0)
	for seq := range uint64(80) {
		s.programme.put(0, seq+3, int64(seq)*blockSamples)
	}
	for _, segment := range s.list("opus48").Segments {
		if strings.Contains(segment.URI, "blocks=") {
			t.Errorf("%s", segment.URI)
		}
	}
	short := onAir(t, 0)
	for seq := range uint64(10) {
		short.programme.put(2, seq+13, int64(seq)*blockSamples)
	}
	if p := short.list("opus48"); p.Segments[0].URI != "opus48/1.m4s?epoch=2&blocks=13-15" {
		t.Errorf("%+v", p.Segments[0])
	}
}

func TestBlockingReload(t *testing.T) {
	s := onAir(t, 20) // two segments and four parts
	for query, status := range map[string]int{
		"?_HLS_msn=5": 400, "?_HLS_msn=4&_HLS_part=x": 400, "?_HLS_msn=-1": 400, "?_HLS_part=1": 400, "?_HLS_msn=4&_HLS_part=-1": 400,
		"?_HLS_msn=0": 200, "?_HLS_msn=1&_HLS_part=7": 200, "?_HLS_msn=2&_HLS_part=3": 200, "?_HLS_msn=2&_HLS_part=0&_HLS_of_tomorrow=1": 200,
	} {
		r := s.want(s.ask("GET", "/live/debate/opus48.m3u8"+query), status)
		if status == 200 && r.header.Get("Cache-Control") != "public, max-age=24" {
			t.Errorf("%s: %v", query, r.header)
		}
	}
	type answer struct {
		query string
		reply reply
	}
	answers := make(chan answer, 10)
	wait := func(query string) {
		go func() { answers <- answer{query, s.ask("GET", "/live/debate/opus48.m3u8"+query)} }()
	}
	none := func(after string) {
		t.Helper()
		select {
		case a := <-answers:
			t.Fatalf("%s: %s was answered: %d %s", after, a.query, a.reply.status, a.reply.body)
		case <-time.After(50 * time.Millisecond):
		}
	}
	has := func(number uint64, part int) {
		t.Helper()
		select {
		case a := <-answers:
			p := s.parse(a.reply.body)
			if last, parts := p.Last(); last != number || parts != part {
				t.Errorf("%s: it goes to %d, %d; want %d, %d", a.query, last, parts, number, part)
			}
		case <-time.After(patience):
			t.Fatal("no answer")
		}
	}
	put := func(seq uint64) { s.programme.put(0, seq, int64(seq)*blockSamples) }
	wait("?_HLS_msn=2&_HLS_part=4")
	none("before the part")
	put(20)
	has(2, 4)
	wait("?_HLS_msn=2") // all of it
	put(21)
	put(22)
	none("before the end of the segment")
	put(23)
	has(2, 7)
	wait("?_HLS_msn=2&_HLS_part=8") // which is the first one of the next
	none("before the next segment")
	put(24)
	has(3, 0)
	wait("?_HLS_msn=4&_HLS_part=1")
	none("two segments ahead")
	s.programme.change(func() { s.programme.final = true })
	has(3, 0) // it has ended: there is nothing to wait for
}

func TestBlockedRequestsAreBounded(t *testing.T) {
	s := onAir(t, 8, func(o *live.Options) { o.Blocked = 3 })
	s.list("opus48")
	var all sync.WaitGroup
	statuses := make(chan int, 5)
	for range 5 {
		all.Go(func() { statuses <- s.ask("GET", "/live/debate/opus48.m3u8?_HLS_msn=1&_HLS_part=0").status })
	}
	for range 2 {
		if status := <-statuses; status != 503 {
			t.Errorf("status %d", status)
		}
	}
	s.programme.put(0, 8, 8*blockSamples)
	all.Wait()
	for range 3 {
		if status := <-statuses; status != 200 {
			t.Errorf("status %d", status)
		}
	}
}

func TestWhoWaitsIsToldThatTheServerGoesDown(t *testing.T) {
	s := onAir(t, 8)
	s.list("opus48")
	ctx, goDown := context.WithCancel(t.Context())
	goDown()
	for _, path := range []string{"opus48.m3u8?_HLS_msn=1&_HLS_part=0", "b/8.m4s?epoch=0"} {
		rec := httptest.NewRecorder()
		s.server.Config.Handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/live/debate/"+path, nil))
		s.want(reply{rec.Code, rec.Header(), rec.Body.String()}, 503, "going down")
	}
}

func TestNothingComes(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for three target durations, as a player would")
	}
	s := onAir(t, 8)
	if r := s.want(s.ask("GET", "/live/debate/opus48.m3u8?_HLS_msn=1&_HLS_part=0"), 503, "nothing new"); r.header.Get("Retry-After") == "" {
		t.Errorf("%v", r.header)
	}
}

// TestTheFirstSegmentIsWaitedFor: players that know no parts give up on a list without
// a segment; a browser's own HLS, on one of less than three.
func TestTheFirstSegmentIsWaitedFor(t *testing.T) {
	for headers, least := range map[string]int{"Accept: */*": 1, "Sec-Fetch-Dest: empty": 1, "Sec-Fetch-Dest: audio": 3, "Sec-Fetch-Dest: video": 3} {
		s := onAir(t, 8*least-1)
		came := make(chan reply)
		go func() { came <- s.ask("GET", "/live/debate/opus48.m3u8", headers) }()
		select {
		case r := <-came:
			t.Fatalf("%s: it was answered before: %d %s", headers, r.status, r.body)
		case <-time.After(50 * time.Millisecond):
		}
		s.programme.put(0, uint64(8*least-1), int64(8*least-1)*blockSamples)
		if p := s.parse((<-came).body); len(p.Segments) != least || p.Segments[least-1].URI == "" {
			t.Errorf("%s: %+v", headers, p)
		}
	}
}

// TestTheHintedPartIsWaitedFor, and one that is further away is not.
func TestTheHintedPartIsWaitedFor(t *testing.T) {
	s := onAir(t, 8)
	hint := s.list("opus16").Hint
	if hint != "b/8.m4s?epoch=0&rung=16" {
		t.Fatalf("the hint is %q", hint)
	}
	s.want(s.ask("GET", "/live/debate/b/9.m4s?epoch=0&rung=16"), 404)
	s.want(s.ask("GET", "/live/debate/b/8.m4s?epoch=1&rung=16"), 404)
	came := make(chan reply)
	go func() { came <- s.ask("GET", "/live/debate/"+hint) }()
	select {
	case r := <-came:
		t.Fatalf("it was answered before: %d %s", r.status, r.body)
	case <-time.After(50 * time.Millisecond):
	}
	s.programme.put(0, 8, 8*blockSamples)
	if r := <-came; r.status != 200 || !bytes.Contains([]byte(r.body), []byte{0xf8, 0, 8}) {
		t.Errorf("%d %q", r.status, r.body)
	}
	// What was hinted at does not come: the stage starts again.
	hint = s.list("opus16").Hint
	go func() { came <- s.ask("GET", "/live/debate/"+hint) }()
	s.programme.put(1, 9, 12*blockSamples)
	s.want(<-came, 404)
}

// TestDuplicateMissesAreJoined: however many ask at once, each thing is rendered once.
func TestDuplicateMissesAreJoined(t *testing.T) {
	s := onAir(t, 24)
	s.list("opus48")
	s.programme.mu.Lock()
	s.programme.rendered, s.programme.inits, s.programme.windows = 0, 0, 0
	s.programme.mu.Unlock()
	var all sync.WaitGroup
	for range 30 {
		for _, uri := range []string{"opus48/1.m4s?epoch=0", "opus48/init.mp4?epoch=0", "b/8.m4s?epoch=0", "b/9.m4s", "opus48.m3u8", "opus48.m3u8?_HLS_skip=YES"} {
			all.Go(func() {
				if r := s.ask("GET", "/live/debate/"+uri); r.status != 200 {
					t.Errorf("%s: %d", uri, r.status)
				}
			})
		}
	}
	all.Wait()
	if f := s.programme; f.rendered != 8 || f.inits != 1 || f.windows != 0 {
		t.Errorf("%d parts, %d inits, %d windows were made for 180 requests; want 8, 1 and 0", f.rendered, f.inits, f.windows)
	}
	// A new block costs one look, whoever sees it first.
	s.programme.put(0, 24, 24*blockSamples)
	for range 10 {
		all.Go(func() { s.ask("GET", "/live/debate/opus48.m3u8") })
	}
	all.Wait()
	if s.programme.windows != 1 {
		t.Errorf("%d looks for one block", s.programme.windows)
	}
}

func TestPlaylistsAreNotSentTwice(t *testing.T) {
	s := onAir(t, 24)
	r := s.want(s.ask("GET", "/live/debate/opus48.m3u8"), 200)
	tag := r.header.Get("ETag")
	if tag == "" || r.header.Get("Cache-Control") != "public, max-age=1" {
		t.Errorf("%v", r.header)
	}
	if r := s.ask("GET", "/live/debate/opus48.m3u8", "If-None-Match: "+tag); r.status != 304 || r.body != "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	s.programme.put(0, 24, 24*blockSamples)
	s.want(s.ask("GET", "/live/debate/opus48.m3u8", "If-None-Match: "+tag), 200)
}

func TestListenersOfHLSAreCounted(t *testing.T) {
	s := onAir(t, 24, func(o *live.Options) { o.Permits = permits("p") })
	for _, query := range []string{"", "?listener=abcdefgh", "?listener=abcdefgh&relay=1", "?listener=abcdefgh&rehearsal=p"} {
		s.want(s.ask("GET", "/live/debate/opus48.m3u8"+query), 200)
	}
	s.get("opus48/1.m4s?epoch=0&listener=abcdefgh")
	if diff := cmp.Diff([]string{"abcdefgh", "abcdefgh rehearses"}, s.programme.counted); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestHLSByPhase(t *testing.T) {
	s := newSite(t, func(o *live.Options) { o.AAC = &fakeAAC{of: &fakeProgramme{}} })
	for phase, status := range map[space.Phase]int{space.Scheduled: 425, space.Ended: 410, space.Cancelled: 410} {
		s.announce("debate", phase)
		for _, file := range []string{"debate.m3u8", "debate/opus48.m3u8", "debate/aac.m3u8", "debate/opus48/0.m4s"} {
			s.want(s.ask("GET", "/live/"+file), status)
		}
	}
	s.announce("debate", space.Live)
	s.want(s.ask("GET", "/live/debate/opus48.m3u8"), 425, "about to begin")
	s.want(s.ask("GET", "/live/debate/aac.m3u8"), 503, "codec=opus")
	s.want(s.ask("GET", "/live/nowhere/opus48.m3u8"), 404)
	s.want(s.ask("GET", "/live/debate/opus47.m3u8"), 404)
	s.want(s.ask("GET", "/live/debate/opus48.mpd"), 404)
	s.programme.put(0, 0, 0)
	s.list("opus48")
	// What was heard to its end can be fetched as long as it is kept.
	s.programme.change(func() { s.programme.final = true })
	s.announce("debate", space.Ended)
	if p := s.list("opus48"); !p.Ended {
		t.Errorf("%+v", p)
	}
	s.want(s.ask("GET", "/live/debate.m3u8"), 410)
	s.programme.change(func() { s.programme.blocks = nil })
	s.want(s.ask("GET", "/live/debate/opus48.m3u8"), 410)
	s.want(s.ask("GET", "/live/debate/b/0.m4s?epoch=0"), 404)
}
