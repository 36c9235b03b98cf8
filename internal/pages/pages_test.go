package pages_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"hustings/internal/pages"
)

const mark = "<head><!--hustings:head--></head><body><!--hustings:data--><noscript><!--hustings:noscript--></noscript></body>"

func read(t *testing.T, files fstest.MapFS) *pages.Pages {
	t.Helper()
	p, err := pages.Read(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFill(t *testing.T) {
	p := read(t, fstest.MapFS{"index.html": {Data: []byte(mark)}})
	for _, c := range []struct {
		fill pages.Filling
		want string
	}{
		{pages.Filling{Title: "A & B"}, "<head><title>A &amp; B</title></head><body><noscript></noscript></body>"},
		{pages.Filling{Title: "A", Head: pages.Meta("name", "description", `"<b>"`), Data: map[string]string{"x": "</script><!--"}, Noscript: "<p>no</p>"},
			`<head><title>A</title><meta name="description" content="&#34;&lt;b&gt;&#34;"></head><body>` +
				`<script type="application/json" id="space">{"x":"\u003c/script\u003e\u003c!--"}</script><noscript><p>no</p></noscript></body>`},
		// What is filled in is not filled in again.
		{pages.Filling{Title: "A", Noscript: "<!--hustings:data-->", Data: 1},
			`<head><title>A</title></head><body><script type="application/json" id="space">1</script><noscript><!--hustings:data--></noscript></body>`},
	} {
		got, err := p.Fill("index.html", c.fill)
		if err != nil || got != c.want {
			t.Errorf("%+v:\n%s, %v; want\n%s", c.fill, got, err, c.want)
		}
	}
	if _, err := p.Fill("index.html", pages.Filling{Data: func() {}}); err == nil {
		t.Error("a func was written as JSON")
	}
}

func TestRead(t *testing.T) {
	for _, files := range []fstest.MapFS{nil, {}, {".gitkeep": {}}, {"assets/a.js": {}}} {
		p, err := pages.Read(files, "index.html")
		if err != nil {
			t.Fatalf("%v: %v", files, err)
		}
		if _, err := p.Fill("index.html", pages.Filling{}); !errors.Is(err, pages.ErrNotBuilt) {
			t.Errorf("%v: %v; want ErrNotBuilt", files, err)
		}
	}
	if _, err := pages.Read(fstest.MapFS{"other.html": {Data: []byte("x")}}, "index.html"); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("half a build: %v", err)
	}
}

func TestAssetsInTheBestEncoding(t *testing.T) {
	p := read(t, fstest.MapFS{
		"index.html":       {Data: []byte(mark)},
		"assets/a-1.js":    {Data: []byte("plain")},
		"assets/a-1.js.br": {Data: []byte("brotli")},
		"assets/a-1.js.gz": {Data: []byte("gzip")},
		"assets/b-1.css":   {Data: []byte("plain")},
		"only.js.br":       {Data: []byte("brotli")},
		"mark.svg":         {Data: []byte("<svg/>")},
	})
	assets := map[string]http.Handler{}
	for path, a := range p.Assets() {
		assets[path] = a
	}
	if len(assets) != 4 {
		t.Errorf("%d assets; want 4", len(assets))
	}
	for _, c := range []struct {
		path, accept string
		status       int
		body         string
		encoding     string
	}{
		{"assets/a-1.js", "", 200, "plain", ""},
		{"assets/a-1.js", "identity", 200, "plain", ""},
		{"assets/a-1.js", "gzip, deflate, br, zstd", 200, "brotli", "br"},
		{"assets/a-1.js", "gzip;q=0.5", 200, "gzip", "gzip"},
		{"assets/a-1.js", "br;q=0, GZIP", 200, "gzip", "gzip"},
		{"assets/a-1.js", "br; q=0.0,gzip;q=0", 200, "plain", ""},
		{"assets/a-1.js", "br;q=x", 200, "plain", ""},
		{"assets/a-1.js", "brotli,gzipped", 200, "plain", ""},
		{"assets/b-1.css", "br", 200, "plain", ""},
		{"only.js", "br", 200, "brotli", "br"},
		{"only.js", "", 406, "", ""},
	} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", c.accept)
		assets[c.path].ServeHTTP(rec, r)
		if rec.Code != c.status || rec.Header().Get("Content-Encoding") != c.encoding || c.body != "" && rec.Body.String() != c.body || rec.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s for %q: %d %v %s", c.path, c.accept, rec.Code, rec.Header(), rec.Body)
		}
		etag := rec.Header().Get("ETag")
		if c.status != 200 {
			continue
		}
		rec = httptest.NewRecorder()
		r.Header.Set("If-None-Match", `"other", W/`+etag)
		assets[c.path].ServeHTTP(rec, r)
		if rec.Code != 304 || rec.Body.Len() != 0 {
			t.Errorf("%s for %q again: %d %s", c.path, c.accept, rec.Code, rec.Body)
		}
	}
	for path, want := range map[string]string{"assets/a-1.js": "text/javascript; charset=utf-8", "assets/b-1.css": "text/css; charset=utf-8", "mark.svg": "image/svg+xml"} {
		rec := httptest.NewRecorder()
		assets[path].ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if got := rec.Header().Get("Content-Type"); got != want {
			t.Errorf("%s is %s; want %s", path, got, want)
		}
		if got := rec.Header().Get("Cache-Control"); strings.HasPrefix(path, "assets/") != strings.Contains(got, "immutable") {
			t.Errorf("%s: %s", path, got)
		}
	}
}
