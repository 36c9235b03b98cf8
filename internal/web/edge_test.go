package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hustings/internal/live"
	"hustings/internal/space"
	"hustings/internal/web"
)

// newEdge serves a site's spaces as an edge of it does.
func newEdge(t *testing.T, change func(*web.EdgeOptions)) (*site, *site) {
	t.Helper()
	core := newSite(t)
	audience, err := live.New(live.Options{Spaces: core.desk, Programme: core.programme})
	if err != nil {
		t.Fatal(err)
	}
	o := web.EdgeOptions{
		Spaces: core.desk, Programme: core.programme, Live: audience, Pages: builtPages,
		Home:  func() string { return core.url },
		Edges: func() string { return "hustings/edges\n…" },
		Keys:  func() []string { return []string{"key+1"} },
	}
	if change != nil {
		change(&o)
	}
	edge, err := web.NewEdge(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, server: httptest.NewServer(edge.Handler())}
	t.Cleanup(s.server.Close)
	s.url = s.server.URL
	return core, s
}

func TestAnEdgeServesListenersAndLeadsOn(t *testing.T) {
	core, edge := newEdge(t, nil)
	id := core.announce("Town hall")
	for _, c := range []struct {
		method, path string
		status       int
		contains     string // the body, or the Location
	}{
		{"GET", "/", 200, "front"},
		{"GET", "/s/" + id, 200, "Town hall"},
		{"GET", "/s/" + id, 200, `"edges":"hustings/edges\n…"`},
		{"GET", "/s/nowhere", 404, "listener"},
		{"GET", "/assets/main-abc.js", 200, "script"},
		{"GET", "/api/v1/spaces/" + id, 200, `"listen":"` + edge.url + "/s/" + id},
		{"GET", "/api/v1/spaces/" + id, 200, `"studio":"` + core.url + "/studio/" + id},
		{"GET", "/api/v1/spaces/nowhere", 404, `"detail"`},
		{"GET", "/live/" + id + ".ogg", 425, `"detail"`},
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 200, "ready"},
		{"GET", "/.well-known/hustings-keys.json", 200, "key+1"},
		{"GET", "/studio/" + id + "?x=1", 302, core.url + "/studio/" + id + "?x=1"},
		{"HEAD", "/recordings/" + id + ".mp4", 302, core.url + "/recordings/" + id + ".mp4"},
		{"POST", "/api/v1/spaces", 307, core.url + "/api/v1/spaces"},
		{"DELETE", "/api/v1/spaces/" + id + "/whip/x", 307, core.url + "/api/v1/spaces/" + id + "/whip/x"},
		{"GET", "//evil.example.org/x", 307, "/evil.example.org/x"}, // the mux cleans it: it leads nowhere else
		{"OPTIONS", "/api/v1/spaces/" + id + "/whip", 204, ""},
	} {
		got := edge.ask(c.method, c.path, "", "Accept-Encoding: identity")
		where := got.body
		if got.status/100 == 3 {
			where = got.header.Get("Location")
		}
		if got.status != c.status || c.method != "OPTIONS" && !strings.Contains(where, c.contains) || strings.HasPrefix(where, "//") {
			t.Errorf("%s %s: %d %.300s", c.method, c.path, got.status, where)
		}
	}
	if cors := edge.ask("GET", "/api/v1/spaces/"+id, "").header.Get("Access-Control-Allow-Origin"); cors != "*" {
		t.Errorf("pages of other edges may not read it: %q", cors)
	}
}

// TestAnEdgeLeadsNowhereElse sends requests as no browser would.
func TestAnEdgeLeadsNowhereElse(t *testing.T) {
	core, edge := newEdge(t, nil)
	for _, target := range []string{"x:.evil.example.org/", "x:@evil.example.org", "http://evil.example.org/studio/x", "http:evil.example.org", "/studio/../..//evil.example.org", `/\evil.example.org`, "//evil.example.org"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(edge.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n", target)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		to := resp.Header.Get("Location")
		if there := strings.HasPrefix(to, core.url+"/") || strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//"); to != "" && !there || resp.StatusCode >= 500 {
			t.Errorf("%s: %d to %q", target, resp.StatusCode, to)
		}
	}
}

func TestAnEdgeThatDoesNotKnowItsCoreSaysSo(t *testing.T) {
	lost := space.Errorf(space.Full, "the bus is lost: listeners keep what they have")
	_, edge := newEdge(t, func(o *web.EdgeOptions) {
		o.Home = func() string { return "" }
		o.Ready = func(context.Context) error { return lost }
	})
	if got := edge.ask("GET", "/studio/x", ""); got.status != http.StatusMisdirectedRequest || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := edge.ask("GET", "/readyz", ""); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "bus is lost") {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
	_, secret := newEdge(t, func(o *web.EdgeOptions) {
		o.Ready = func(context.Context) error { return errors.New("postgres://user:password@host") }
	})
	if got := secret.ask("GET", "/readyz", ""); got.status != http.StatusServiceUnavailable || strings.Contains(got.body, "password") {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
	if _, err := web.NewEdge(web.EdgeOptions{}); err == nil {
		t.Error("an edge without anything was made")
	}
}

func TestTheAPITellsWhoServes(t *testing.T) {
	list := ""
	s := newSite(t, func(o *web.Options) { o.Edges = func() string { return list } })
	id := s.announce("Town hall")
	if got := s.ask("GET", "/api/v1/spaces/"+id, ""); strings.Contains(got.body, "edges") {
		t.Errorf("alone: %s", got.body)
	}
	list = "a signed list"
	if got := s.ask("GET", "/api/v1/spaces/"+id, ""); !strings.Contains(got.body, `"edges":"a signed list"`) {
		t.Errorf("with edges: %s", got.body)
	}
}
