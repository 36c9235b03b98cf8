package web_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"hustings/internal/space"
	"hustings/internal/web"
)

// dataIn returns the JSON that a page's script finds.
func dataIn(t *testing.T, page string) map[string]any {
	t.Helper()
	_, rest, _ := strings.Cut(page, `<script type="application/json" id="space">`)
	text, _, ok := strings.Cut(rest, `</script>`)
	var data map[string]any
	if err := json.Unmarshal([]byte(text), &data); err != nil || !ok {
		t.Fatalf("no data in %s: %v", page, err)
	}
	return data
}

func TestListenerPage(t *testing.T) {
	s := newSite(t)
	title := `</script><script>alert("x")</script> & "quotes"`
	body, _ := json.Marshal(map[string]string{"title": title, "description": `<img src=x onerror=alert(1)>`})
	id := into[spaceReply](s, s.want(s.api("POST", "/spaces", string(body), asOwner), 201)).ID
	for _, step := range []struct {
		verb, body string
		phase      space.Phase
		words      string
	}{
		{"", "", space.Scheduled, "has not begun"},
		{"open", "", space.Open, "doors are open"},
		{"start", `{"anyway":true}`, space.Live, "live now"},
		{"end", "", space.Ended, "recording"},
	} {
		phase, words := step.phase, step.words
		if step.verb != "" {
			s.want(s.api("POST", "/spaces/"+id+"/"+step.verb, step.body, asOwner), 200)
		}
		r := s.ask("GET", "/s/"+id, "", "Accept: text/html")
		if r.status != 200 || !strings.HasPrefix(r.body, "<html>") || !strings.Contains(r.body, "listener") || strings.Contains(r.body, "<!--hustings") {
			t.Fatalf("%s: %d %s", phase, r.status, r.body)
		}
		if strings.Contains(r.body, "<script>") || strings.Contains(r.body, "<img") {
			t.Errorf("%s: not escaped: %s", phase, r.body)
		}
		data := dataIn(t, r.body)
		if data["title"] != title || data["phase"] != string(phase) || data["id"] != id {
			t.Errorf("%s: data %v", phase, data)
		}
		if !strings.Contains(r.body, `<meta property="og:url" content="`+s.url+"/s/"+id+`">`) || !strings.Contains(r.body, "<title>&lt;/script&gt;") {
			t.Errorf("%s: head of %s", phase, r.body)
		}
		_, noscript, _ := strings.Cut(r.body, "<noscript>")
		if !strings.Contains(noscript, words) {
			t.Errorf("%s: without script: %s", phase, noscript)
		}
		sound := map[space.Phase]string{space.Open: "/live/" + id + ".ogg", space.Live: "/live/" + id + ".ogg", space.Ended: "/recordings/" + id + ".ogg"}[phase]
		if (sound != "") != strings.Contains(noscript, "<audio") || !strings.Contains(noscript, sound) {
			t.Errorf("%s: sound without script: %s", phase, noscript)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "connect-src 'self' ws://127.0.0.1", "Permissions-Policy": "microphone=(self)", "X-Frame-Options": "DENY",
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache", "Content-Type": "text/html; charset=utf-8",
		} {
			if !strings.Contains(r.header.Get(name), want) {
				t.Errorf("%s: %q; want %q", name, r.header.Get(name), want)
			}
		}
	}
}

func TestUnknownSpaceIsAFriendlyPage(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/s/nowhere", "/studio/nowhere", "/s/%00"} {
		r := s.ask("GET", path, "")
		if r.status != 404 || !strings.Contains(r.body, "listener") || dataIn(t, r.body)["missing"] != true || !strings.Contains(r.body, "Check the link") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

func TestFrontAndStudio(t *testing.T) {
	s := newSite(t)
	id := s.announce("Q&A")
	r := s.ask("GET", "/", "")
	if r.status != 200 || !strings.Contains(r.body, `<a href="/s/`+id+`">Q&amp;A</a> (scheduled)`) {
		t.Errorf("front: %d %s", r.status, r.body)
	}
	r = s.ask("GET", "/studio/"+id, "")
	if r.status != 200 || dataIn(t, r.body)["id"] != id || !strings.Contains(r.body, "noindex") {
		t.Errorf("studio: %d %s", r.status, r.body)
	}
	if r = s.ask("HEAD", "/s/"+id, ""); r.status != 200 || r.body != "" {
		t.Errorf("HEAD: %d %s", r.status, r.body)
	}
	s.want(s.ask("POST", "/s/"+id, ""), 405)
}

func TestAssets(t *testing.T) {
	s := newSite(t)
	r := s.ask("GET", "/assets/main-abc.js", "", "Accept-Encoding: gzip, br")
	if r.body != "br" || r.header.Get("Content-Encoding") != "br" || !strings.Contains(r.header.Get("Cache-Control"), "immutable") {
		t.Errorf("asset: %v %s", r.header, r.body)
	}
	if r = s.ask("GET", "/favicon.svg", ""); r.status != 200 || strings.Contains(r.header.Get("Cache-Control"), "immutable") {
		t.Errorf("favicon: %d %v", r.status, r.header)
	}
	for _, path := range []string{"/assets/", "/assets/other.js", "/.gitkeep", "/listener.html", "/assets/main-abc.js.br"} {
		s.want(s.ask("GET", path, ""), 404)
	}
}

func TestPagesThatAreNotBuilt(t *testing.T) {
	s := newSite(t, func(o *web.Options) { o.Pages = fstest.MapFS{".gitkeep": {}} })
	id := s.announce("Debate")
	for _, path := range []string{"/", "/s/" + id, "/studio/" + id} {
		if r := s.ask("GET", path, ""); r.status != 503 || !strings.Contains(r.body, "make build") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	half := s.web.Options
	half.Pages = fstest.MapFS{"index.html": builtPages["index.html"]}
	if _, err := web.New(half); err == nil || !strings.Contains(err.Error(), "listener.html") {
		t.Errorf("half a build: %v", err)
	}
}
