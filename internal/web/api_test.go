package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hustings/internal/space"
	"hustings/internal/stage"
	"hustings/internal/web"
)

func TestLifeOfASpace(t *testing.T) {
	s := newSite(t)
	r := s.want(s.api("POST", "/spaces", `{"title":" The  debate ","starts_at":"2030-01-02T20:00:00+01:00","rung":96}`, asOwner), 201)
	sp := into[spaceReply](s, r)
	if sp.Title != "The debate" || sp.Phase != "scheduled" || sp.Rung != 96 || sp.StartsAt.Location() != time.UTC || sp.Tally != nil {
		t.Errorf("announced: %+v", sp)
	}
	if got := r.header.Get("Location"); got != "/api/v1/spaces/"+sp.ID {
		t.Errorf("Location: %s", got)
	}
	if sp.Links.Listen != s.url+"/s/"+sp.ID || sp.Links.Ogg != s.url+"/live/"+sp.ID+".ogg" || sp.Links.WHIP != s.url+"/api/v1/spaces/"+sp.ID+"/whip" || sp.Links.Recording != nil {
		t.Errorf("links: %+v", sp.Links)
	}
	path := "/spaces/" + sp.ID
	steps := []struct {
		method, path, body string
		phase              string
	}{
		{"PATCH", path, `{"starts_at":"2030-01-02T21:00:00Z"}`, "scheduled"},
		{"POST", path + "/open", "", "open"},
		{"POST", path + "/start", `{"anyway":true}`, "live"},
		{"PATCH", path, `{"title":"Later","description":null}`, "live"},
		{"POST", path + "/end", "", "ended"},
	}
	for _, step := range steps {
		got := into[spaceReply](s, s.want(s.api(step.method, step.path, step.body, asOwner), 200))
		shown := into[spaceReply](s, s.want(s.api("GET", path, ""), 200))
		if got.Phase != step.phase || shown.Phase != step.phase || !got.Rescheduled {
			t.Errorf("%s %s: %+v, shown as %s", step.method, step.path, got, shown.Phase)
		}
		if onAir := step.phase == "open" || step.phase == "live"; onAir != (got.Tally != nil) {
			t.Errorf("%s %s: tally %+v", step.method, step.path, got.Tally)
		}
		sp = got
	}
	if sp.Title != "Later" || sp.EndedAt == nil || sp.Links.Recording == nil || sp.Links.Recording.JSON != s.url+"/recordings/"+sp.ID+".json" {
		t.Errorf("ended: %+v", sp)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	_, speaker := s.guest(id, "speaker")
	_, host := s.guest(id, "host")
	path := "/spaces/" + id
	for name, c := range map[string]struct {
		reply  reply
		status int
		words  string
	}{
		"no title":          {s.api("POST", "/spaces", `{}`, asOwner), 422, "title"},
		"empty title":       {s.api("POST", "/spaces", `{"title":" "}`, asOwner), 422, "a title is required"},
		"long title":        {s.api("POST", "/spaces", `{"title":"`+strings.Repeat("x", 201)+`"}`, asOwner), 422, "at most 200"},
		"unknown member":    {s.api("POST", "/spaces", `{"title":"x","tilte":"y"}`, asOwner), 422, "tilte"},
		"wrong type":        {s.api("POST", "/spaces", `{"title":7}`, asOwner), 422, "body.title"},
		"wrong time":        {s.api("POST", "/spaces", `{"title":"x","starts_at":"tomorrow"}`, asOwner), 422, "starts_at"},
		"wrong rung":        {s.api("POST", "/spaces", `{"title":"x","rung":50}`, asOwner), 422, "rung"},
		"no JSON":           {s.api("POST", "/spaces", `title=x`, asOwner), 400, ""},
		"no body":           {s.ask("POST", "/api/v1/spaces", "", asOwner), 400, "body"},
		"too large":         {s.api("POST", "/spaces", `{"title":"`+strings.Repeat("x", 70<<10)+`"}`, asOwner), 413, ""},
		"no token":          {s.api("POST", "/spaces", `{"title":"x"}`), 401, "Bearer"},
		"bad token":         {s.api("POST", "/spaces", `{"title":"x"}`, "Authorization: Bearer nonsense"), 401, "not valid here"},
		"basic":             {s.api("POST", "/spaces", `{"title":"x"}`, "Authorization: Basic bm9uc2Vuc2U="), 401, "Bearer"},
		"host announces":    {s.api("POST", "/spaces", `{"title":"x"}`, host), 403, "owner"},
		"speaker opens":     {s.api("POST", path+"/open", "", speaker), 403, "host"},
		"speaker invites":   {s.api("POST", path+"/invites", `{"role":"speaker","name":"Bo"}`, speaker), 403, "host"},
		"caller":            {s.api("POST", path+"/invites", `{"role":"caller","name":"Bo"}`, host), 422, "role"},
		"no name":           {s.api("POST", path+"/invites", `{"role":"speaker","name":""}`, host), 422, "name"},
		"nowhere":           {s.api("GET", "/spaces/nowhere", ""), 404, "no space"},
		"open nowhere":      {s.api("POST", "/spaces/nowhere/open", "", asOwner), 404, "no space"},
		"end too early":     {s.api("POST", path+"/end", "", asOwner), 409, "open or start it first"},
		"not ready":         {s.api("POST", path+"/start", "", host), 409, `"message":"nobody is on stage`},
		"no such call":      {s.api("POST", path+"/explode", "", asOwner), 404, "nothing at this address"},
		"wrong method":      {s.api("PUT", path, "{}", asOwner), 405, "GET"},
		"no such page":      {s.ask("GET", "/nowhere", ""), 404, "nothing at this address"},
		"list after nobody": {s.api("GET", "/spaces?after=nowhere", ""), 404, "no space"},
		"list too much":     {s.api("GET", "/spaces?limit=1000", ""), 422, "limit"},
		"proof of nothing":  {s.api("GET", path+"/proof?from=5&to=5", ""), 422, "at least one"},
		"proof of what":     {s.api("GET", path+"/proof?from=x&to=5", ""), 422, "from"},
		"revoke nobody":     {s.api("DELETE", path+"/invites/zzzz", "", asOwner), 404, "no seat"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{t: t}
			s.want(c.reply, c.status, c.words)
			if got := c.reply.header.Get("WWW-Authenticate"); (c.status == 401) != (got != "") {
				t.Errorf("WWW-Authenticate: %q", got)
			}
			if got := c.reply.header.Get("Allow"); (c.status == 405) != (got != "") {
				t.Errorf("Allow: %q", got)
			}
		})
	}
}

func TestChecklistThenStart(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.stage.state = stage.State{Seats: []space.Seat{{ID: "a2", Connected: true}}, Heard: []space.SeatID{"a2"}}
	s.want(s.api("POST", "/spaces/"+id+"/start", "", asOwner), 200, `"live"`)
}

func TestCancelled(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.want(s.api("POST", "/spaces/"+id+"/cancel", "", asOwner), 200, `"cancelled"`)
	s.want(s.api("POST", "/spaces/"+id+"/open", "", asOwner), 409, "announce a new space")
}

func TestListByPages(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.announce(fmt.Sprint("Space ", i))
	}
	type page struct {
		Spaces []spaceReply
		Next   string
	}
	seen := map[string]bool{}
	pages := 0
	for next := ""; ; {
		p := into[page](s, s.want(s.api("GET", "/spaces?limit=2&after="+next, ""), 200))
		pages++
		for _, sp := range p.Spaces {
			seen[sp.ID] = true
		}
		if next = p.Next; next == "" {
			break
		}
	}
	if len(seen) != 5 || pages != 3 {
		t.Errorf("%d spaces on %d pages", len(seen), pages)
	}
	if r := s.api("GET", "/spaces", ""); strings.Contains(r.body, ownerToken) || strings.Contains(r.body, "token") {
		t.Errorf("the list has a token in it: %s", r.body)
	}
}

func TestInvites(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	in, ana := s.guest(id, "speaker")
	if in.URL != s.url+"/studio/"+id+"#token="+in.Token || in.Seat == "" {
		t.Errorf("invite: %+v", in)
	}
	s.want(s.api("GET", "/me", "", ana), 200, `"owner":false`, `"seat":"`+in.Seat+`"`, `"role":"speaker"`, `"name":"Ana"`, `"space":"`+id+`"`)
	s.want(s.api("GET", "/me", "", asOwner), 200, `"owner":true`, `"invite":null`)
	s.want(s.api("GET", "/me", ""), 200, `"owner":false`, `"invite":null`)
	s.want(s.api("GET", "/me", "", "Authorization: Bearer x"), 401)
	s.want(s.api("GET", "/spaces/"+id+"/invites", ""), 401)
	s.want(s.api("GET", "/spaces/"+id+"/invites", "", ana), 403)
	s.want(s.api("GET", "/spaces/"+id+"/invites", "", asOwner), 200, in.Token, in.URL)
	s.want(s.api("DELETE", "/spaces/"+id+"/invites/"+in.Seat, "", asOwner), 204)
	if got := s.stage.noted(); got != "remove "+in.Seat+" by host" {
		t.Errorf("the stage was told: %s", got)
	}
	s.want(s.api("GET", "/me", "", ana), 401, "withdrawn")
	s.want(s.api("GET", "/spaces/"+id+"/invites", "", asOwner), 200, `"invites":[]`)
}

// signIn follows the printed link and returns the cookie's header.
func signIn(s *site) string {
	s.t.Helper()
	r := s.ask("GET", "/signin?token="+ownerToken, "")
	if r.status != http.StatusSeeOther || r.header.Get("Location") != "/" || r.header.Get("Cache-Control") != "no-store" {
		s.t.Fatalf("sign-in: %d %v", r.status, r.header)
	}
	cookie := r.header.Get("Set-Cookie")
	if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || strings.Contains(cookie, ownerToken) {
		s.t.Errorf("cookie: %s", cookie)
	}
	value, _, _ := strings.Cut(cookie, ";")
	return "Cookie: " + value
}

func TestSignIn(t *testing.T) {
	s := newSite(t)
	s.want(s.ask("GET", "/signin?token=guess", ""), 401, "newest one that the server printed")
	s.want(s.ask("GET", "/signin", ""), 401)
	cookie := signIn(s)
	s.want(s.api("GET", "/me", "", cookie), 200, `"owner":true`)
	s.want(s.api("POST", "/spaces", `{"title":"x"}`, cookie), 201)
	s.want(s.api("GET", "/me", "", cookie+"x"), 200, `"owner":false`)
	s.want(s.api("POST", "/spaces", `{"title":"x"}`, cookie+"x"), 401)
	out := s.want(s.api("POST", "/signout", "", cookie), 204)
	if got := out.header.Get("Set-Cookie"); !strings.HasPrefix(got, "hustings=;") || !strings.Contains(got, "Max-Age=0") {
		t.Errorf("sign-out: %s", got)
	}
}

func TestOtherSitesCantUseTheCookie(t *testing.T) {
	s := newSite(t, func(o *web.Options) { o.BaseURL = "https://hustings.example" })
	const host = "Host: hustings.example"
	r := s.ask("GET", "/signin?token="+ownerToken, "", host)
	set := r.header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "__Host-hustings=") || !strings.Contains(set, "Secure") {
		t.Errorf("cookie under https: %s", set)
	}
	value, _, _ := strings.Cut(set, ";")
	cookie := "Cookie: " + value
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{[]string{"Sec-Fetch-Site: same-origin"}, 201},
		{[]string{"Origin: https://hustings.example"}, 201},
		{[]string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403},
		{[]string{"Sec-Fetch-Site: same-site", "Origin: https://other.hustings.example"}, 403},
		{[]string{"Origin: https://evil.example"}, 403},
		{[]string{"Origin: null"}, 403},
		// A token is no cookie: whoever has it may use it from anywhere.
		{[]string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site", asOwner}, 201},
	} {
		s.want(s.api("POST", "/spaces", `{"title":"x"}`, append(c.headers, cookie, host)...), c.status)
	}
	s.want(s.api("POST", "/signout", "", cookie, host, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"), 403)
	s.want(s.api("GET", "/me", "", cookie, host, "Sec-Fetch-Site: cross-site"), 200, `"owner":true`)
	if set = s.ask("GET", "/signin?token="+ownerToken, "").header.Get("Set-Cookie"); strings.Contains(set, "Secure") {
		t.Errorf("cookie by plain HTTP to another address: %s", set)
	}
}

func TestRefusalsOfLibrariesSayWhatToDo(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	s.bring(id, space.Ended)
	stage := "/api/v1/spaces/" + id + "/stage"
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	for _, c := range []struct {
		path    string
		headers []string
		status  int
		word    string
	}{
		{"/recordings/" + id + ".ogg", []string{"Range: bytes=9999-"}, 416, "ask for a range within"},
		{"/recordings/" + id + ".ogg", []string{"Range: nonsense"}, 416, "ask for a range within"},
		{"/recordings/" + id + ".ogg", []string{`If-Match: "another"`}, 412, "ask again without"},
		{stage, nil, 426, "WebSocket"},
		{stage, append(upgrade, "Origin: https://evil.example"), 403, "another site's page"},
	} {
		r := s.want(s.ask("GET", c.path, "", c.headers...), c.status, c.word)
		if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s %v: %s", c.path, c.headers, kind)
		}
	}
}

func TestWhatCannotBeReadIsExplained(t *testing.T) {
	s := newSite(t)
	s.want(s.ask("POST", "/api/v1/spaces", "title=x", asOwner, "Content-Type: application/x-www-form-urlencoded"), 415, "Content-Type: application/json")
	s.want(s.ask("POST", "/api/v1/spaces", "", asOwner, "Content-Type: application/json"), 400, "a JSON object")
	long := strings.Repeat("a", 80)
	s.want(s.ask("GET", "/api/v1/spaces/"+long, ""), 404, "there is no space")
	s.want(s.ask("GET", "/api/v1/spaces?after="+long, ""), 404)
	s.want(s.ask("DELETE", "/api/v1/spaces/"+s.announce("Debate")+"/invites/"+long, "", asOwner), 404)
}

func TestAClientThatNamesNoHostGetsWholeLinks(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	address := strings.TrimPrefix(s.server.URL, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/v1/spaces/%s HTTP/1.0\r\n\r\n", id)
	text, err := io.ReadAll(conn)
	if want := `"listen":"http://` + address + "/s/" + id + `"`; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("no %s in %s (%v)", want, text, err)
	}
}

func TestCORS(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	for _, path := range []string{"/api/v1/spaces", "/live/" + id + ".ogg", "/live/" + id + "/pulse", "/recordings/" + id + ".ogg", "/.well-known/hustings-keys.json"} {
		r := s.ask("GET", path, "", "Origin: https://other.example")
		if r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s (%d): %v", path, r.status, r.header)
		}
	}
	for path, method := range map[string]string{"/api/v1/spaces": "POST", "/api/v1/spaces/" + id: "PATCH", "/api/v1/spaces/" + id + "/invites/x": "DELETE",
		"/live/" + id + ".ogg": "GET", "/api/v1/spaces/" + id + "/whip": "POST", "/api/v1/spaces/" + id + "/whep/x": "PATCH"} {
		r := s.ask("OPTIONS", path, "", "Origin: https://other.example", "Access-Control-Request-Method: "+method)
		allowed := r.header.Get("Access-Control-Allow-Headers")
		if r.status != 204 || r.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(r.header.Get("Access-Control-Allow-Methods"), method) ||
			!strings.Contains(allowed, "Authorization") || !strings.Contains(allowed, "If-Match") {
			t.Errorf("preflight of %s %s: %d %v", method, path, r.status, r.header)
		}
	}
	if r := s.ask("GET", "/s/"+id, ""); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a page may be read by other sites")
	}
}

func TestOperations(t *testing.T) {
	down := errors.New("the database is away")
	var state error
	metrics := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("figures")) })
	s := newSite(t, func(o *web.Options) {
		o.Ready = func(context.Context) error { return state }
		o.Metrics = metrics
	})
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n", "/metrics": "figures", "/.well-known/hustings-keys.json": `{"keys":["key+1"]}` + "\n"} {
		if r := s.ask("GET", path, ""); r.status != 200 || r.body != want {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	state = down
	if r := s.ask("GET", "/readyz", ""); r.status != 503 || strings.Contains(r.body, "database") || r.header.Get("Retry-After") == "" {
		t.Errorf("/readyz when not ready: %d %s", r.status, r.body)
	}
	if r := s.ask("GET", "/healthz", ""); r.status != 200 {
		t.Errorf("/healthz when not ready: %d", r.status)
	}
}

func TestOpenAPI(t *testing.T) {
	s := newSite(t)
	r := s.want(s.ask("GET", "/api/openapi.json", ""), 200)
	doc := into[struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Parameters []struct {
				Name, In string
				Required bool
			}
			Responses map[string]any
		}
		Components struct{ Schemas map[string]any }
	}](s, r)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("version %s", doc.OpenAPI)
	}
	for _, want := range []string{"post /api/v1/spaces", "patch /api/v1/spaces/{id}", "post /api/v1/spaces/{id}/start", "post /api/v1/spaces/{id}/whip",
		"patch /api/v1/spaces/{id}/whep/{session}", "get /live/{id}.mp4", "get /recordings/{id}.json", "get /api/v1/spaces/{id}/proof",
		"get /healthz", "get /readyz", "get /metrics", "get /.well-known/hustings-keys.json", "get /signin"} {
		method, path, _ := strings.Cut(want, " ")
		if doc.Paths[path][method].Responses == nil {
			t.Errorf("%s is not described", want)
		}
	}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct {
					Name, In string
					Required bool
				}) bool {
					return p.Name == name[1] && p.In == "path" && p.Required
				}) {
					t.Errorf("%s %s does not describe {%s}", method, path, name[1])
				}
			}
			if op.Responses["default"] == nil {
				t.Errorf("%s %s does not describe its errors", method, path)
			}
		}
	}
	for _, ref := range regexp.MustCompile(`"#/components/schemas/(\w+)"`).FindAllStringSubmatch(r.body, -1) {
		if doc.Components.Schemas[ref[1]] == nil {
			t.Errorf("no schema %s", ref[1])
		}
	}
	s.want(s.api("GET", "/spaces/x/proof?from=3&to=9", ""), 200, "note 3-9")
}

func TestLogHasNoSecretsAndNoAddresses(t *testing.T) {
	s := newSite(t)
	id := s.announce("Debate")
	in, ana := s.guest(id, "speaker")
	signIn(s)
	s.ask("GET", "/signin?token=guess", "")
	s.api("GET", "/me", "", ana)
	s.ask("GET", "/live/"+id+".ogg?token=secret-in-a-query", "")
	s.server.Close()
	log := s.log.String()
	for _, secret := range []string{ownerToken, in.Token, "guess", "127.0.0.1", "secret-in-a-query"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q in it", secret)
		}
	}
	for _, said := range []string{`route="GET /signin"`, `route="GET /live/{file}"`, "status=425"} {
		if !strings.Contains(log, said) {
			t.Errorf("the log does not say %s:\n%s", said, log)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := web.New(web.Options{}); err == nil {
		t.Error("a door to nothing was made")
	}
	s := newSite(t)
	for _, base := range []string{"example.org", "ftp://example.org", "https://example.org/path", "https://"} {
		o := s.web.Options
		o.BaseURL = base
		if _, err := web.New(o); err == nil {
			t.Errorf("base URL %q was taken", base)
		}
	}
}
