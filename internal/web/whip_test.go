package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"hustings/internal/space"
	"hustings/internal/stage"
)

const (
	sdp      = "Content-Type: application/sdp"
	fragment = "Content-Type: application/trickle-ice-sdpfrag"
)

func TestWHIPSession(t *testing.T) {
	for name, does := range map[string]string{"whip": "publish", "whep": "subscribe"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			id := s.announce("Debate")
			_, ana := s.guest(id, "speaker")
			base := "/api/v1/spaces/" + id + "/" + name

			r := s.want(s.ask("POST", base, "offer", ana, "Content-Type: application/sdp; charset=utf-8"), 201)
			if r.body != "answer to offer" || r.header.Get("Content-Type") != "application/sdp" || r.header.Get("ETag") != `"one"` ||
				r.header.Get("Location") != base+"/call" || r.header.Get("Access-Control-Allow-Origin") != "*" ||
				!strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "Location") || r.header.Get("Link") != "" {
				t.Errorf("201: %v %s", r.header, r.body)
			}
			session := base + "/call"
			r = s.want(s.ask("PATCH", session, "candidate", ana, fragment, `If-Match: "one"`), 204)
			if r.body != "" {
				t.Errorf("204 with a body: %s", r.body)
			}
			s.stage.patch = stage.Patch{ETag: `"two"`, Fragment: "ours", Restarted: true}
			r = s.want(s.ask("PATCH", session, "restart", ana, fragment, "If-Match: *"), 200)
			if r.body != "ours" || r.header.Get("ETag") != `"two"` || r.header.Get("Content-Type") != "application/trickle-ice-sdpfrag" {
				t.Errorf("restart: %v %s", r.header, r.body)
			}
			s.want(s.ask("DELETE", session, "", ana), 200)
			want := does + " Ana\npatch \"one\" candidate\npatch * restart\nleave"
			if got := s.stage.noted(); got != want {
				t.Errorf("the stage was told:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestWHIPRefusals(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	in, ana := s.guest(id, "speaker")
	_, bo := s.guest(id, "speaker")
	_, stranger := s.guest(s.announce("Another"), "speaker")
	base := "/api/v1/spaces/" + id + "/whip"
	s.want(s.ask("POST", base, "offer", ana, sdp), 201)
	session := base + "/call"
	etag := `If-Match: "one"`
	for name, c := range map[string]struct {
		reply  reply
		status int
		words  string
	}{
		"no token":                {s.ask("POST", base, "offer", sdp), 401, "Bearer"},
		"bad token":               {s.ask("POST", base, "offer", sdp, "Authorization: Bearer x"), 401, "not valid"},
		"the owner":               {s.ask("POST", base, "offer", sdp, asOwner), 403, "invite for yourself"},
		"another space":           {s.ask("POST", base, "offer", sdp, stranger), 403, "another space"},
		"no content type":         {s.ask("POST", base, "offer", ana), 415, "application/sdp"},
		"JSON":                    {s.ask("POST", base, "{}", ana, "Content-Type: application/json"), 415, "application/sdp"},
		"too large":               {s.ask("POST", base, strings.Repeat("x", 70<<10), ana, sdp), 413, "one audio track"},
		"GET":                     {s.ask("GET", base, "", ana), 405, "POST"},
		"PUT":                     {s.ask("PUT", base, "offer", ana, sdp), 405, "POST"},
		"patch without token":     {s.ask("PATCH", session, "f", fragment, etag), 401, "Bearer"},
		"patch of another's":      {s.ask("PATCH", session, "f", fragment, etag, bo), 403, "another seat"},
		"patch from elsewhere":    {s.ask("PATCH", session, "f", fragment, etag, stranger), 403, "another space"},
		"patch without If-Match":  {s.ask("PATCH", session, "f", fragment, ana), 428, "If-Match"},
		"patch of what":           {s.ask("PATCH", session, "f", sdp, etag, ana), 415, "trickle-ice-sdpfrag"},
		"patch of no session":     {s.ask("PATCH", base+"/other", "f", fragment, etag, ana), 404, "connect again"},
		"patch too large":         {s.ask("PATCH", session, strings.Repeat("x", 70<<10), fragment, etag, ana), 413, ""},
		"POST to a session":       {s.ask("POST", session, "offer", ana, sdp), 405, "PATCH"},
		"GET of a session":        {s.ask("GET", session, "", ana), 405, "DELETE"},
		"delete without token":    {s.ask("DELETE", session, ""), 401, "Bearer"},
		"delete of another's":     {s.ask("DELETE", session, "", bo), 403, "another seat"},
		"delete of no session":    {s.ask("DELETE", base+"/other", "", ana), 404, "connect again"},
		"the stage says full":     {s.refused(space.Errorf(space.Full, "all 13 seats are taken"), "POST", base, sdp, ana), 503, "13 seats"},
		"the stage says garbage":  {s.refused(space.Errorf(space.Invalid, "the offer can't be used"), "POST", base, sdp, ana), 400, "can't be used"},
		"the stage says over":     {s.refused(space.Errorf(space.Gone, "this space has ended"), "POST", base, sdp, ana), 410, "ended"},
		"the stage is broken":     {s.refused(errors.New("no memory"), "POST", base, sdp, ana), 500, "on our side"},
		"the ETag is an old one":  {s.refused(stage.ErrETag, "PATCH", session, fragment, ana, etag), 412, "restarted meanwhile"},
		"the fragment is garbage": {s.refused(space.Errorf(space.Invalid, "the SDP fragment is empty"), "PATCH", session, fragment, ana, etag), 400, "fragment"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{t: t}
			s.want(c.reply, c.status, c.words)
			header := c.reply.header
			if (c.status == 503) != (header.Get("Retry-After") != "") || (c.status == 401) != (header.Get("WWW-Authenticate") != "") || (c.status == 405) != (header.Get("Allow") != "") {
				t.Errorf("headers: %v", header)
			}
			if strings.Contains(c.reply.body, "memory") || header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%v %s", header, c.reply.body)
			}
		})
	}
	s.want(s.api("DELETE", "/spaces/"+id+"/invites/"+in.Seat, "", asOwner), 204)
	s.want(s.ask("POST", base, "offer", ana, sdp), 401, "withdrawn")
	// Also when the stage has forgotten the space, after a restart say.
	s.want(s.api("POST", "/spaces/"+id+"/cancel", "", asOwner), 200)
	s.want(s.ask("POST", base, "offer", bo, sdp), 410, "cancelled")
}

// refused sends a request to a stage that refuses it.
func (s *site) refused(err error, method, path string, headers ...string) reply {
	s.t.Helper()
	s.stage.refuse = err
	defer func() { s.stage.refuse = nil }()
	return s.ask(method, path, "body", headers...)
}

func TestWHIPOptions(t *testing.T) {
	s := newSite(t)
	r := s.ask(http.MethodOptions, "/api/v1/spaces/x/whip", "")
	if r.status != 204 || r.header.Get("Accept-Post") != "application/sdp" || !strings.Contains(r.header.Get("Allow"), "POST") {
		t.Errorf("endpoint: %d %v", r.status, r.header)
	}
	r = s.ask(http.MethodOptions, "/api/v1/spaces/x/whip/y", "")
	if r.status != 204 || r.header.Get("Accept-Patch") != "application/trickle-ice-sdpfrag" || !strings.Contains(r.header.Get("Allow"), "DELETE") {
		t.Errorf("session: %d %v", r.status, r.header)
	}
}
