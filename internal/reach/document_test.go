package reach

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"hustings/internal/space"
)

const someHTML = `<!doctype html><link rel="icon" href="/assets/mark.svg" />
<script type="module" crossorigin src="/assets/listener-1.js"></script><link rel="modulepreload" href="/assets/shared-2.js">
<link rel="stylesheet" href="/assets/style.css"><script src="https://elsewhere.example/x.js"></script>
<noscript><link rel="stylesheet" href="/assets/plain.css"></noscript><script src="/assets/listener-1.js"></script>`

// talk is a server with one space.
func talk(t *testing.T, edges, key string) (server *httptest.Server, asked *[]string) {
	t.Helper()
	asked = new([]string)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /s/talk", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, someHTML) })
	mux.HandleFunc("GET /api/v1/spaces/talk", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"title":"Talk","phase":"live","opened_at":"2026-11-21T20:00:00Z","edges":%q}`, edges)
	})
	mux.HandleFunc("GET /.well-known/hustings-keys.json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"keys":[%q]}`, key) })
	mux.HandleFunc("GET /assets/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") })
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server, asked
}

func TestADocumentIsWhatAPageLoads(t *testing.T) {
	note, key := signed(t, time.Now(), map[string]int{edge(1): 1})
	server, asked := talk(t, note, key)
	front := httptest.NewServer(http.RedirectHandler(server.URL+"/s/talk", http.StatusMovedPermanently))
	defer front.Close()
	link, err := ParseLink(front.URL + "/s/talk")
	if err != nil {
		t.Fatal(err)
	}
	page, err := Document(t.Context(), link, DocumentOptions{Assets: true, HTTP: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if page.Link.Server != server.URL || page.Title != "Talk" || page.Phase != space.Live || page.OpenedAt.IsZero() || page.EdgesNote != note || page.Bytes < 500 {
		t.Errorf("the page is %+v", page)
	}
	if got := page.Edges.List(); len(got) != 1 || got[0] != edge(1) {
		t.Errorf("the edges are %v", got)
	}
	want := []string{
		"/s/talk", "/api/v1/spaces/talk", "/.well-known/hustings-keys.json",
		"/assets/mark.svg", "/assets/listener-1.js", "/assets/shared-2.js", "/assets/style.css",
	}
	if !slices.Equal(*asked, want) {
		t.Errorf("it asked for %v", *asked)
	}
	*asked = nil
	if _, err := Document(t.Context(), page.Link, DocumentOptions{Bare: true, HTTP: server.Client()}); err != nil || !slices.Equal(*asked, want[1:3]) {
		t.Errorf("bare, it asked for %v (%v)", *asked, err)
	}
}

func TestADocumentWhoseEdgesAreForgedIsRefused(t *testing.T) {
	note, key := signed(t, time.Now(), map[string]int{edge(1): 1})
	server, _ := talk(t, strings.Replace(note, "edge1", "edge2", 1), key)
	link, err := ParseLink(server.URL + "/s/talk")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Document(t.Context(), link, DocumentOptions{HTTP: server.Client()}); err == nil || !strings.Contains(err.Error(), "edges") {
		t.Errorf("got %v", err)
	}
	link.Space = "none"
	_, err = Document(t.Context(), link, DocumentOptions{HTTP: server.Client()})
	if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != http.StatusNotFound {
		t.Errorf("no such space: %v", err)
	}
}

func TestAServerTellsOfItsLine(t *testing.T) {
	line := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Hustings-Bus", line) }))
	if got := AskLine(t.Context(), server.Client(), server.URL, "talk"); got != LineFine {
		t.Errorf("a line that is well: %v", got)
	}
	line = "lost"
	if got := AskLine(t.Context(), server.Client(), server.URL, "talk"); got != LineLost {
		t.Errorf("a line that is lost: %v", got)
	}
	server.Close()
	if got := AskLine(t.Context(), server.Client(), server.URL, "talk"); got != LineDead {
		t.Errorf("nobody there: %v", got)
	}
}

func TestPausesAreSpread(t *testing.T) {
	for tries, most := range map[int]time.Duration{0: 500 * time.Millisecond, 1: time.Second, 5: 2 * time.Second, 13: 2 * time.Second, 20: 15 * time.Second, 250: 15 * time.Second} {
		seen := map[time.Duration]bool{}
		for range 50 {
			d := Pause(tries)
			if seen[d] = true; d < most/2 || d > most {
				t.Fatalf("after %d tries it waits %v", tries, d)
			}
		}
		if len(seen) < 40 {
			t.Errorf("after %d tries all wait the same", tries)
		}
	}
}
