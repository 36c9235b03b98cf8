package live_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"hustings/internal/live"
	"hustings/internal/programme"
	"hustings/internal/space"
)

func TestNewWantsWhatItNeeds(t *testing.T) {
	if _, err := live.New(live.Options{}); err == nil {
		t.Error("live without a programme")
	}
}

func TestLiveByPhase(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		phase  space.Phase
		status int
		words  string
	}{
		{space.Scheduled, 425, "doors are not open"},
		{space.Open, 200, ""},
		{space.Live, 200, ""},
		{space.Ended, 410, "/recordings/"},
		{space.Cancelled, 410, "cancelled"},
	} {
		id := s.announce("debate", c.phase)
		for _, ext := range []string{"ogg", "mp4"} {
			for _, method := range []string{"GET", "HEAD"} {
				r := s.ask(method, "/live/"+id+"."+ext)
				if r.status != c.status || method == "GET" && !strings.Contains(r.body, c.words) {
					t.Errorf("%s .%s when %s: %d %s; want %d", method, ext, c.phase, r.status, r.body, c.status)
				}
				if (c.phase == space.Scheduled) != (r.header.Get("Retry-After") != "") {
					t.Errorf("%s .%s when %s: Retry-After %q", method, ext, c.phase, r.header.Get("Retry-After"))
				}
				link := strings.Join(r.header.Values("Link"), " ")
				if want := `<` + s.url + "/recordings/" + id + `.ogg>; rel="alternate"; type="audio/ogg"`; (c.phase == space.Ended) != strings.Contains(link, want) {
					t.Errorf("%s .%s when %s: Link %q", method, ext, c.phase, link)
				}
				if c.status == 200 && (r.header.Get("Content-Type") != "audio/"+ext || r.header.Get("Cache-Control") != "no-store" || r.header.Get("Access-Control-Allow-Origin") != "*") {
					t.Errorf("%s .%s when %s: %v", method, ext, c.phase, r.header)
				}
			}
		}
	}
}

func TestLinksBeginWithThePublicURL(t *testing.T) {
	s := newSite(t, func(o *live.Options) { o.BaseURL = "https://talk.example" })
	id := s.announce("debate", space.Ended)
	s.want(s.ask("GET", "/live/"+id+".ogg"), 410, "https://talk.example/recordings/"+id+".ogg")
}

func TestLiveRetryAfterKnowsTheStart(t *testing.T) {
	s := newSite(t)
	for in, want := range map[time.Duration]string{time.Second: "5", 30 * time.Second: "30", time.Hour: "60"} {
		starts := time.Now().Add(in)
		s.spaces.put(space.Space{ID: "debate", Phase: space.Scheduled, StartsAt: &starts})
		if got := s.ask("GET", "/live/debate.ogg").header.Get("Retry-After"); got != want && !(want == "30" && got == "29") {
			t.Errorf("%v before the start: Retry-After %s; want %s", in, got, want)
		}
	}
}

func TestLiveRefusals(t *testing.T) {
	s := newSite(t)
	id := s.announce("debate", space.Live)
	for path, status := range map[string]int{
		"/live/nowhere.ogg": 404, "/live/" + id: 404, "/live/" + id + ".wav": 404, "/live/.ogg": 404,
		"/live/" + id + ".mp3": 406, "/live/nowhere.mp3": 404,
		"/live/" + id + ".ogg?rung=17":                             422,
		"/live/" + id + ".ogg?listener=short":                      422,
		"/live/" + id + ".ogg?listener=a%20b%zz":                   422,
		"/live/" + id + ".mp4?listener=" + strings.Repeat("x", 65): 422,
		"/live/" + id + ".mp4?rehearsal=any":                       403,
	} {
		s.want(s.ask("GET", path), status)
	}
	if r := s.ask("GET", "/live/nowhere.ogg", "Accept: text/html,*/*"); r.status != 404 || !strings.Contains(r.header.Get("Content-Type"), "text/html") || !strings.Contains(r.body, "There is no space") {
		t.Errorf("to a person: %d %v %s", r.status, r.header, r.body)
	}
}

// exchange sends bytes on a connection of its own and returns all that comes back.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, data)
	}
	return string(data)
}

func TestLiveTakesOverTheConnection(t *testing.T) {
	s := newSite(t)
	id := s.announce("debate", space.Live)
	address := s.server.Listener.Addr().String()
	for name, c := range map[string]struct{ request, begins string }{
		"HTTP/1.1":      {"GET /live/" + id + ".ogg HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		"HTTP/1.0":      {"GET /live/" + id + ".mp4?rung=24 HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n"},
		"pipelined":     {"GET /live/" + id + ".ogg?rung=16 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		"as VLC has it": {"GET /live/" + id + ".ogg HTTP/1.1\r\nHost: x\r\nRange: bytes=0-\r\nIcy-MetaData: 1\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
	} {
		got := exchange(t, address, c.request)
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.HasPrefix(got, c.begins) || body != "sound" {
			t.Errorf("%s: %q", name, got)
		}
		for _, want := range []string{"Connection: close", "Cache-Control: no-store", "Access-Control-Allow-Origin: *", "X-Accel-Buffering: no", "Content-Type: audio/", "Date: ", "X-Content-Type-Options: nosniff"} {
			if !strings.Contains(head, want) {
				t.Errorf("%s: no %s in %q", name, want, head)
			}
		}
		if strings.Contains(head, "Content-Length") || strings.Contains(head, "chunked") {
			t.Errorf("%s: an end is told in %q", name, head)
		}
	}
	rungs := map[programme.Rung]int{}
	for _, l := range s.programme.attached {
		rungs[l.Rung]++
		if l.Space != space.ID(id) {
			t.Errorf("attached to %s", l.Space)
		}
	}
	if rungs[programme.Rung48] != 2 || rungs[programme.Rung24] != 1 || rungs[programme.Rung16] != 1 {
		t.Errorf("rungs: %v", rungs)
	}
}

func TestListenersSayWhoTheyAre(t *testing.T) {
	s := newSite(t, func(o *live.Options) { o.Permits = permits("a permit") })
	id := s.announce("debate", space.Live)
	for _, c := range []struct {
		query, header             string
		name                      string
		follows, rehearsal, relay bool
		depth                     time.Duration
	}{
		{query: ""},
		{query: "?listener=abc_DEF-123&follow=1", name: "abc_DEF-123", follows: true},
		{query: "?follow=1&rung=48&listener=12345678", name: "12345678", follows: true},
		{query: "?follow=1&depth=2.5", follows: true, depth: 2500 * time.Millisecond},
		{query: "?depth=NaN"},
		{query: "?depth=-1"},
		{query: "?depth=1e9"},
		{query: "?rehearsal=a+permit&listener=12345678", name: "12345678", rehearsal: true},
		{query: "?rehearsal=a%20permit&unknown=%41", rehearsal: true},
		{query: "?listener=&follow=0&relay=0"},
		{query: "?relay=1", relay: true},
		{header: "User-Agent: Icecast 2.4.4", relay: true},
		{header: "User-Agent: Mozilla/5.0 (not Icecast)"},
		{header: "Via: 1.1 varnish", relay: true},
		{header: "Via: 1.1 the-office"},
	} {
		headers := []string{"User-Agent: Go"}
		if c.header != "" {
			headers = append(headers, c.header)
		}
		s.want(s.ask("GET", "/live/"+id+".mp4"+c.query, headers...), 200)
		l := s.programme.attached[len(s.programme.attached)-1]
		if l.Name != c.name || l.Follows != c.follows || l.Rehearsal != c.rehearsal || l.Relay != c.relay || l.Depth != c.depth {
			t.Errorf("%q %q: %+v", c.query, c.header, l)
		}
	}
	s.want(s.ask("GET", "/live/"+id+".mp4?rehearsal=another"), 403, "does not hold")
}

// TestACrowdAtTheDoorWaitsTogether: however many come before the first block, they
// cost one look now and then, and all of them are let in.
func TestACrowdAtTheDoorWaitsTogether(t *testing.T) {
	s := newSite(t)
	id := s.announce("debate", space.Open)
	s.programme.set(false, nil)
	const crowd = 50
	var all sync.WaitGroup
	statuses := make(chan int, crowd)
	for range crowd {
		all.Go(func() { statuses <- s.ask("GET", "/live/"+id+".ogg").status })
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s.programme.mu.Lock()
		looked := s.programme.looked
		s.programme.mu.Unlock()
		if looked >= crowd {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d came", looked)
		}
	}
	s.programme.set(true, nil)
	all.Wait()
	for range crowd {
		if status := <-statuses; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	if s.programme.looked > crowd+crowd {
		t.Errorf("%d looks for %d who came", s.programme.looked, crowd)
	}
}

func TestWhoComesLongBeforeTheFirstBlockIsToldToComeAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for 2 s as a listener would")
	}
	s := newSite(t)
	id := s.announce("debate", space.Open)
	s.programme.set(false, nil)
	if r := s.want(s.ask("GET", "/live/"+id+".ogg"), 425, "about to begin"); r.header.Get("Retry-After") != "1" {
		t.Errorf("headers: %v", r.header)
	}
}

func TestLiveRefusedAfterTheTakeover(t *testing.T) {
	s := newSite(t)
	id := s.announce("debate", space.Live)
	for err, status := range map[error]int{
		space.Errorf(space.Full, "this server is going down; connect again"):   503,
		space.Errorf(space.Gone, "the programme is over; its recording is up"): 410,
		errors.New("out of memory"): 500,
	} {
		s.programme.set(true, err)
		r := s.want(s.ask("GET", "/live/"+id+".ogg"), status)
		if (status == 503) != (r.header.Get("Retry-After") != "") || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%d: %v", status, r.header)
		}
	}
	s.server.Close()
	if !strings.Contains(s.log.String(), "out of memory") || strings.Contains(s.log.String(), "going down") {
		t.Errorf("logged: %s", s.log)
	}
}

func TestPulseAndBlocks(t *testing.T) {
	s := newSite(t)
	id := s.announce("debate", space.Scheduled)
	s.programme.set(false, nil)
	s.want(s.ask("GET", "/live/"+id+"/pulse"), 425, "doors")
	s.announce("debate", space.Live)
	if r := s.want(s.ask("GET", "/live/"+id+"/pulse"), 425, "about to begin"); r.header.Get("Retry-After") != "1" {
		t.Errorf("pulse: %v", r.header)
	}
	s.programme.set(true, nil)
	r := s.want(s.ask("GET", "/live/"+id+"/pulse"), 200, `"live"`)
	if r.header.Get("Cache-Control") != "public, max-age=1" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("pulse: %v", r.header)
	}
	// Nobody hears HLS here: blocks are for those who catch up.
	s.programme.put(1, 7, 7*24000)
	s.programme.put(2, 7, 9*24000)
	for path, epoch := range map[string]byte{"/b/7.m4s": 2, "/b/7.m4s?rung=16": 2, "/b/7.m4s?epoch=1": 1, "/b/7.m4s?epoch=2&rung=24": 2} {
		r = s.want(s.ask("GET", "/live/"+id+path), 200)
		if !strings.Contains(r.body, string([]byte{0xf8, epoch, 7})) || !strings.Contains(r.header.Get("Cache-Control"), "immutable") || r.header.Get("Content-Type") != "audio/mp4" || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v %q", path, r.header, r.body)
		}
	}
	for _, file := range []string{"8.m4s", "7", "7.mp4", "-7.m4s", "07.m4s", "+7.m4s", "x.m4s", ".m4s", "99999999999999999999.m4s", "7.m4s?epoch=3"} {
		s.want(s.ask("GET", "/live/"+id+"/b/"+file), 404)
	}
	s.want(s.ask("GET", "/live/"+id+"/b/7.m4s?epoch=x"), 422)
	s.want(s.ask("GET", "/live/"+id+"/b/7.m4s?rung=17"), 422)
	s.want(s.ask("GET", "/live/nowhere/pulse"), 404)
}

// FuzzLive asks for any file and query: whatever it is, the answer is no fault of ours.
func FuzzLive(f *testing.F) {
	for _, seed := range []string{"x.ogg", "x.mp4?rung=24", "", ".", "..ogg", "x/b/7.m4s", "%00.ogg", "x/pulse", "\xff.mp4",
		"x.mp4?listener=abc&follow=1&&=&%=%zz", "x.mp4?rehearsal=%41&relay=1"} {
		f.Add(seed)
	}
	s := newSite(f)
	l, err := live.New(live.Options{Spaces: s.spaces, Programme: s.programme})
	if err != nil {
		f.Fatal(err)
	}
	mux := http.NewServeMux()
	l.Routes(mux)
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/live/"+path, nil)
		if err != nil {
			t.Skip()
		}
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Fatalf("%q: %d %s", path, rec.Code, rec.Body)
		}
	})
}

// BenchmarkJoin is the way of a joiner from its request to its hand-over, with
// net/http and a loopback connection around it.
func BenchmarkJoin(b *testing.B) {
	s := newSite(b)
	s.announce("debate", space.Live)
	address := s.server.Listener.Addr().String()
	request := fmt.Sprintf("GET /live/debate.mp4?rung=48&listener=%s&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n", "abcdefghijkl")
	b.ReportAllocs()
	for b.Loop() {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.WriteString(conn, request)
		if _, err := io.Copy(io.Discard, conn); err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}
