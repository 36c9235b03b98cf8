package guard_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"hustings/internal/guard"

	"github.com/prometheus/client_golang/prometheus"
)

// patience is how long a test waits for what should be there at once.
const patience = 20 * time.Second

// record keeps what is logged.
type record struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func refuse(rw http.ResponseWriter, _ *http.Request, status int, detail string) {
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, "refused: "+detail)
}

// serve guards a handler and returns its address.
func serve(t *testing.T, o guard.Options, handler http.Handler) string {
	t.Helper()
	o.Refuse = refuse
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, listener, g.Observe(handler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return listener.Addr().String()
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	log := new(record)
	registry := prometheus.NewRegistry()
	o := guard.Options{Registry: registry, Logger: slog.New(slog.NewTextHandler(log, nil))} // no debug
	address := serve(t, o, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/before":
			panic("the sky fell")
		case "/within":
			_, _ = io.WriteString(rw, strings.Repeat("x", 1<<16)) // more than is held back
			panic("in the middle")
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	}))
	resp, err := http.Get("http://" + address + "/before")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 500 || !strings.Contains(string(body), "refused: something went wrong on our side") || strings.Contains(string(body), "sky") {
		t.Errorf("answered %d %s", resp.StatusCode, body)
	}
	if resp, err := http.Get("http://" + address + "/within"); err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Error("an answer that broke off looks whole")
		}
	}
	if resp, err := http.Get("http://" + address + "/cut"); err == nil {
		resp.Body.Close()
		t.Error("what wanted to be cut was answered")
	}
	text := log.String()
	for _, want := range []string{"level=ERROR", "the sky fell", "in the middle", "guard_test.go"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q: %s", want, text)
		}
	}
	if strings.Contains(text, "127.0.0.1") || strings.Contains(text, "abort") {
		t.Errorf("the log says too much: %s", text)
	}
}

func TestWhoTakesNothingOfAnAnswerIsLetGo(t *testing.T) {
	gone := make(chan error, 1)
	address := serve(t, guard.Options{Stall: 100 * time.Millisecond}, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(rw, endless{}) // a recording of days
		gone <- err
	}))
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-gone:
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("still there")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A connection's next answer does not end by the deadline of the one before.
func TestAStallIsOfOneAnswer(t *testing.T) {
	const stall = 500 * time.Millisecond
	address := serve(t, guard.Options{Stall: stall}, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-time.After(stall + stall/2)
		}
		_, _ = io.WriteString(rw, "ok")
	}))
	get := func(path string) {
		t.Helper()
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "ok" {
			t.Errorf("%s: %s %v", path, body, err)
		}
	}
	get("/")
	get("/slow")
	get("/")
}

func TestRefusalsHaveOneForm(t *testing.T) {
	g, err := guard.New(guard.Options{Refuse: refuse})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /there", func(rw http.ResponseWriter, r *http.Request) {
		told := g.InForm(rw, r, func(status int) string { return "do otherwise" })
		if r.URL.RawQuery == "" {
			_, _ = io.WriteString(told, "fine")
			return
		}
		http.Error(told, "in the library's words", http.StatusTeapot)
	})
	handler := g.Observe(g.Route(mux))
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/there", 200, "fine"},
		{"GET", "/there?no", 418, "refused: do otherwise"},
		{"GET", "/nowhere", 404, "refused: there is nothing at this address; check the link"},
		{"POST", "/there", 405, "refused: this address does not take POST; it takes GET, HEAD"},
		{"OPTIONS", "/there", 204, ""},
		{"OPTIONS", "/nowhere", 404, "refused: there is nothing at this address; check the link"},
	} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(c.method, c.path, nil))
		if rec.Code != c.status || rec.Body.String() != c.body {
			t.Errorf("%s %s: %d %q", c.method, c.path, rec.Code, rec.Body)
		}
	}
	if _, err := guard.New(guard.Options{}); err == nil {
		t.Error("a guard that can't refuse was made")
	}
}
