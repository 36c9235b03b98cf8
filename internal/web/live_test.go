package web_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hustings/internal/space"
	"hustings/internal/split"
)

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
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

// TestTheProgrammeIsServed: the room live answers behind what is so for every
// request, and its refusals look like all others.
func TestTheProgrammeIsServed(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.want(s.ask("GET", "/live/"+id+".ogg", ""), 425, "doors are not open")
	s.bring(id, space.Live)
	if r := s.want(s.ask("GET", "/live/"+id+".mp4", ""), 200); r.body != "sound" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("live: %v %s", r.header, r.body)
	}
	s.want(s.ask("POST", "/live/"+id+".ogg", ""), 405)
	s.want(s.api("POST", "/spaces/"+id+"/end", "", asOwner), 200)
	r := s.want(s.ask("GET", "/live/"+id+".ogg", ""), 410, s.url+"/recordings/"+id+".ogg")
	if link := r.header.Get("Link"); link != "<"+s.url+"/recordings/"+id+`.ogg>; rel="alternate"; type="audio/ogg"` {
		t.Errorf("Link: %s", link)
	}
}
