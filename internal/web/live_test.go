package web_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/split"
)

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
		id := s.announce("Debate")
		s.bring(id, c.phase)
		for _, ext := range []string{"ogg", "mp4"} {
			for _, method := range []string{"GET", "HEAD"} {
				r := s.ask(method, "/live/"+id+"."+ext, "")
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

func TestLiveRetryAfterKnowsTheStart(t *testing.T) {
	s := newSite(t)
	for in, want := range map[time.Duration]string{time.Second: "5", 30 * time.Second: "30", time.Hour: "60"} {
		body := `{"title":"x","starts_at":"` + time.Now().Add(in).Format(time.RFC3339Nano) + `"}`
		id := into[spaceReply](s, s.want(s.api("POST", "/spaces", body, asOwner), 201)).ID
		if got := s.ask("GET", "/live/"+id+".ogg", "").header.Get("Retry-After"); got != want && !(want == "30" && got == "29") {
			t.Errorf("%v before the start: Retry-After %s; want %s", in, got, want)
		}
	}
}

func TestLiveRefusals(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.bring(id, space.Live)
	for path, status := range map[string]int{
		"/live/nowhere.ogg": 404, "/live/" + id: 404, "/live/" + id + ".wav": 404, "/live/.ogg": 404,
		"/live/" + id + ".mp3": 406, "/live/" + id + ".m3u8": 406, "/live/nowhere.mp3": 404,
		"/live/" + id + ".ogg?rung=17": 422,
	} {
		s.want(s.ask("GET", path, ""), status)
	}
	s.want(s.ask("POST", "/live/"+id+".ogg", ""), 405)
	if r := s.ask("GET", "/live/nowhere.ogg", "", "Accept: text/html,*/*"); r.status != 404 || !strings.Contains(r.header.Get("Content-Type"), "text/html") || !strings.Contains(r.body, "There is no space") {
		t.Errorf("to a person: %d %v %s", r.status, r.header, r.body)
	}
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// exchange sends bytes on a connection of its own and returns all that comes back.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
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
	id := s.announce("Debate")
	s.bring(id, space.Live)
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
		for _, want := range []string{"Connection: close", "Cache-Control: no-store", "Access-Control-Allow-Origin: *", "X-Accel-Buffering: no", "Content-Type: audio/"} {
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

func TestLiveBeforeTheFirstBlock(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.bring(id, space.Open)
	s.programme.set(false, nil)
	waiting := make(chan reply)
	go func() { waiting <- s.ask("GET", "/live/"+id+".ogg", "") }()
	select {
	case r := <-waiting:
		t.Fatalf("did not wait: %d %s", r.status, r.body)
	case <-time.After(100 * time.Millisecond): // it waits for 2 s
	}
	s.programme.set(true, nil)
	if r := <-waiting; r.status != 200 || r.body != "sound" {
		t.Errorf("then: %d %s", r.status, r.body)
	}
	s.want(s.ask("GET", "/live/"+id+"/pulse", ""), 200)
	s.programme.set(false, nil)
	if r := s.want(s.ask("GET", "/live/"+id+"/pulse", ""), 425); r.header.Get("Retry-After") != "1" {
		t.Errorf("pulse: %v", r.header)
	}
}

func TestLiveRefusedAfterTheTakeover(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.bring(id, space.Live)
	for err, status := range map[error]int{
		space.Errorf(space.Full, "this server is going down; connect again"):   503,
		space.Errorf(space.Gone, "the programme is over; its recording is up"): 410,
		errors.New("out of memory"): 500,
	} {
		s.programme.set(true, err)
		r := s.want(s.ask("GET", "/live/"+id+".ogg", ""), status)
		if (status == 503) != (r.header.Get("Retry-After") != "") {
			t.Errorf("%d: %v", status, r.header)
		}
	}
}

func TestPulseAndBlocks(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.programme.set(false, nil)
	s.want(s.ask("GET", "/live/"+id+"/pulse", ""), 425)
	s.programme.set(true, nil)
	s.bring(id, space.Live)
	r := s.want(s.ask("GET", "/live/"+id+"/pulse", ""), 200, `"live"`)
	if r.header.Get("Cache-Control") != "public, max-age=1" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("pulse: %v", r.header)
	}
	r = s.want(s.ask("GET", "/live/"+id+"/b/7.m4s", ""), 200)
	if r.body != "block" || !strings.Contains(r.header.Get("Cache-Control"), "immutable") || r.header.Get("Content-Type") != "audio/mp4" || r.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("block: %v %s", r.header, r.body)
	}
	for _, file := range []string{"8.m4s", "7", "7.mp4", "-7.m4s", "07.m4s", "+7.m4s", "x.m4s", "99999999999999999999.m4s"} {
		s.want(s.ask("GET", "/live/"+id+"/b/"+file, ""), 404)
	}
	s.want(s.ask("GET", "/live/nowhere/pulse", ""), 404)
	s.programme.set(false, nil)
}

func TestRecordings(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	path := "/recordings/" + id + ".ogg"
	s.want(s.ask("GET", path, ""), 425, "doors are not open")
	s.bring(id, space.Live)
	s.want(s.ask("GET", path, ""), 425, "/live/"+id+".ogg")
	s.want(s.api("POST", "/spaces/"+id+"/end", "", asOwner), 200)

	r := s.want(s.ask("GET", path, ""), 200)
	etag := r.header.Get("ETag")
	if r.body != "0123456789" || r.header.Get("Accept-Ranges") != "bytes" || etag == "" || r.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("whole: %v %s", r.header, r.body)
	}
	if r = s.want(s.ask("GET", path, "", "Range: bytes=2-4"), 206); r.body != "234" || r.header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("a part: %v %s", r.header, r.body)
	}
	if r = s.want(s.ask("GET", path, "", "Range: bytes=2-4", `If-Range: "other"`), 200); r.body != "0123456789" {
		t.Errorf("a part of another: %s", r.body)
	}
	s.want(s.ask("GET", path, "", "Range: bytes=2-4", "If-Range: "+etag), 206)
	s.want(s.ask("GET", path, "", "If-None-Match: "+etag), 304)
	if r = s.ask("HEAD", path, ""); r.status != 200 || r.header.Get("Content-Length") != "10" {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
	if r := s.ask("GET", path, "", "Range: bytes=20-"); r.status != 416 {
		t.Errorf("behind the end: %d", r.status)
	}
	s.want(s.ask("GET", "/recordings/"+id+".json", ""), 200)
	s.want(s.ask("GET", "/recordings/"+id+".mp3", ""), 406)
	s.want(s.ask("GET", "/recordings/"+id+".wav", ""), 404)
	s.want(s.ask("GET", "/recordings/nowhere.ogg", ""), 404)

	s.archive.finished, s.archive.moved = space.Errorf(space.NotFound, "not on this disk"), true
	if r = s.want(s.ask("GET", path, "", "Range: bytes=2-4", "If-Range: "+etag), 206); r.header.Get("ETag") != etag {
		t.Errorf("from another store: %v", r.header)
	}
	s.archive.missing = true
	s.want(s.ask("GET", path, ""), 404, "no recording")
	s.archive.finished = errors.New("disk on fire")
	s.want(s.ask("GET", path, ""), 500, "on our side")

	off := s.announce("Off")
	s.bring(off, space.Cancelled)
	s.want(s.ask("GET", "/recordings/"+off+".ogg", ""), 410, "cancelled")
}

// TestLongAnswer takes longer to answer than a request may take to come.
func TestLongAnswer(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.bring(id, space.Ended)
	s.archive.slow = 150 * time.Millisecond
	hasty := httptest.NewUnstartedServer(s.web.Handler())
	hasty.Config.ReadTimeout = 50 * time.Millisecond
	hasty.Start()
	defer hasty.Close()
	if r := s.want(s.ask("GET", hasty.URL+"/recordings/"+id+".ogg", ""), 200); r.body != "0123456789" {
		t.Errorf("cut to %q", r.body)
	}
}

func TestRecordingThatIsNotCompleteYet(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for 3 s as a listener would")
	}
	s := newSite(t)
	id := s.announce("Debate")
	s.bring(id, space.Ended)
	s.archive.finished = context.DeadlineExceeded
	if r := s.want(s.ask("GET", "/recordings/"+id+".ogg", ""), 425, "being completed"); r.header.Get("Retry-After") != "1" {
		t.Errorf("headers: %v", r.header)
	}
}

// TestServeOverTLSOnASharedPort serves as the node does: TLS over a split port.
func TestServeOverTLSOnASharedPort(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.bring(id, space.Live)
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	conf := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"http/1.1"}}
	listener := listenLocal(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.web.Serve(ctx, tls.NewListener(split.New(listener), conf)) }()
	s.server.Client().Transport = certified.Client().Transport
	base := "https://" + listener.Addr().String()

	r := s.want(s.ask("GET", base+"/live/"+id+".ogg", ""), 200)
	if r.body != "sound" {
		t.Errorf("live: %s", r.body)
	}
	if _, ok := s.programme.attached[0].Conn.(*tls.Conn); !ok {
		t.Errorf("broadcast was given a %T", s.programme.attached[0].Conn)
	}
	r = s.want(s.ask("GET", base+"/api/v1/spaces/"+id, ""), 200, base+"/live/")
	if r.header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS under https")
	}
	r = s.ask("GET", base+"/signin?token="+ownerToken, "")
	if cookie := r.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-hustings=") || !strings.Contains(cookie, "Secure") {
		t.Errorf("cookie: %s", cookie)
	}
	stop()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

func TestServeTellsWhyItCant(t *testing.T) {
	s := newSite(t)
	listener := listenLocal(t)
	listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := s.web.Serve(ctx, listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v", err)
	}
}

// FuzzLive asks for any file and rung: whatever it is, the answer is no fault of ours.
func FuzzLive(f *testing.F) {
	for _, seed := range []string{"x.ogg", "x.mp4?rung=24", "", ".", "..ogg", "x/b/7.m4s", "%00.ogg", "x/pulse", "\xff.mp4"} {
		f.Add(seed)
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/live/"+path, nil)
		if err != nil {
			t.Skip()
		}
		rec := httptest.NewRecorder()
		s.web.Handler().ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Fatalf("%q: %d %s", path, rec.Code, rec.Body)
		}
	})
}
