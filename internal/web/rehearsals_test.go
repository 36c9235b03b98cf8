package web_test

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"hustings/internal/permit"
	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/web"
)

// rehearsing is a site with an office for rehearsals.
func rehearsing(t *testing.T) (*site, *permit.Office, *programme.Signer) {
	t.Helper()
	signer, _, err := programme.NewSigner("hustings.test")
	if err != nil {
		t.Fatal(err)
	}
	office, err := permit.New(permit.Options{Signer: signer, MaxListeners: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return newSite(t, func(o *web.Options) { o.Rehearsals = office }), office, signer
}

func TestARehearsalFromPermitToReport(t *testing.T) {
	s, office, signer := rehearsing(t)
	id := s.announce("Debate")
	path := "/spaces/" + id + "/rehearsals"
	s.want(s.api("GET", "/capacity", ""), 200, `"listeners":0`, `"rehearsed_at":null`, `"stale":true`, `"why":"nothing was rehearsed`)
	s.want(s.api("POST", path, `{"listeners":100,"seconds":60}`, asOwner), 409, "doors of this space are not open")
	s.bring(id, space.Open)
	granted := into[space.Permit](s, s.want(s.api("POST", path, `{"listeners":100,"seconds":60}`, asOwner), 201, `"expires_at"`, `"limits":{"listeners":1000`))
	if err := office.Check(space.ID(id), granted.Permit); err != nil {
		t.Errorf("the permit: %v", err)
	}
	s.want(s.api("POST", path, `{"listeners":100,"seconds":60}`, asOwner), 409, "one at a time")
	standing := into[space.Standing](s, s.want(s.api("GET", path+"/"+granted.ID, "", asOwner), 200))
	if standing.ID != granted.ID || standing.Listeners != 100 || standing.Over {
		t.Errorf("standing: %+v", standing)
	}
	s.want(s.api("DELETE", path+"/"+granted.ID, "", asOwner), 204)
	figures, err := json.Marshal(map[string]space.Crowd{"figures": {Shape: "even", Listeners: 100, Joined: 100, Heard: 100, Whole: 100, Together: 100}})
	if err != nil {
		t.Fatal(err)
	}
	answer := into[struct{ Note string }](s, s.want(s.api("POST", path+"/"+granted.ID+"/report", string(figures), asOwner), 201))
	key, err := note.NewVerifier(signer.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open([]byte(answer.Note), note.VerifierList(key))
	if err != nil || !strings.Contains(opened.Text, "\ncrowd-whole 100\n") {
		t.Errorf("the note: %v\n%s", err, answer.Note)
	}
	s.want(s.api("GET", "/capacity", ""), 200, `"stale":false`, `hustings/rehearsal`)
	s.want(s.api("POST", path+"/"+granted.ID+"/report", string(figures), asOwner), 404, "reported already")
}

func TestOnlyTheOwnerRehearses(t *testing.T) {
	s, _, _ := rehearsing(t)
	id := s.announce("Debate")
	s.bring(id, space.Live)
	_, host := s.guest(id, "host")
	path := "/spaces/" + id + "/rehearsals"
	for _, call := range []struct{ method, path, body string }{
		{"POST", path, `{"listeners":10,"seconds":10}`},
		{"GET", path + "/x", ""},
		{"DELETE", path + "/x", ""},
		{"POST", path + "/x/report", `{"figures":{"shape":"even","listeners":0,"joined":0,"heard":0,"whole":0,"together":0,"gaps":0,"gap_seconds":0,"longest_gap_seconds":0,"first_sound_seconds":{"p50":0,"p90":0,"p99":0,"max":0},"reconnects":0,"blocks":0,"blocks_proven":0,"blocks_refuted":0,"bytes":0,"seconds":0,"workers":1,"dead_workers":0,"generator_limited":false,"interrupted":false}}`},
	} {
		s.want(s.api(call.method, call.path, call.body), 401)
		s.want(s.api(call.method, call.path, call.body, host), 403, "only the owner")
		if call.path != path {
			s.want(s.api(call.method, call.path, call.body, asOwner), 404, "no such rehearsal")
		}
	}
	s.want(s.api("POST", path, `{"listeners":1001,"seconds":10}`, asOwner), 422, "1 to 1000")
	s.want(s.api("POST", path, `{"listeners":0,"seconds":10}`, asOwner), 422, "listeners")
	s.want(s.api("POST", "/spaces/nowhere/rehearsals", `{"listeners":1,"seconds":10}`, asOwner), 404, "no space")
	s.want(s.api("POST", "/spaces/"+id+"/end", "", asOwner), 200)
	s.want(s.api("POST", path, `{"listeners":1,"seconds":10}`, asOwner), 409, "over")
}
