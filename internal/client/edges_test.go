package client

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/programme"
)

// withEdges gives a programme edges that serve it, and not its home. serve says what
// the n-th to ask any of them is sent, from 1, and by which.
func (f *fakeProgramme) withEdges(edges int, serve func(w http.ResponseWriter, r *http.Request, edge, n int)) {
	var mu sync.Mutex
	n := 0
	list := programme.Edges{At: time.Now()}
	for edge := range edges {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			n++
			nth := n
			mu.Unlock()
			serve(w, r, edge, nth)
		}))
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.Start()
		f.t.Cleanup(server.Close)
		list.List = append(list.List, programme.Edge{URL: server.URL, Weight: 1})
	}
	note, err := f.signer.SignEdges(list)
	if err != nil {
		f.t.Fatal(err)
	}
	f.edges = note
	f.serve = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) }
}

func TestListenMovesToAnotherEdgeWithoutLosingABlock(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t)
	var names []string
	var at []int
	f.withEdges(2, func(w http.ResponseWriter, r *http.Request, edge, n int) {
		names, at = append(names, r.FormValue("listener")), append(at, edge)
		if n > 1 {
			f.stream(w, 12, 40)
			return
		}
		f.stream(w, 10, 16)
		panic(http.ErrAbortHandler) // in the middle of everything
	})
	var out bytes.Buffer
	report, err := f.listen(t, ListenOptions{Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	if report.Blocks != 30 || report.Proven != 30 || report.Gaps != 0 || report.Moves != 1 || report.Reconnects != 1 || !report.Ended {
		t.Errorf("report: %+v", report)
	}
	checkRecording(t, out.Bytes(), f.blocks[10:])
	if len(names) != 2 || names[0] != names[1] || len(names[0]) < 8 || at[0] == at[1] {
		t.Errorf("it gave the names %q at the edges %v", names, at)
	}
}

// An edge whose machine is gone says nothing any more, and does not even hang up.
func TestListenLeavesASilentEdge(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for an edge to be silent for long enough")
	}
	t.Parallel()
	f := newFakeProgramme(t)
	f.withEdges(2, func(w http.ResponseWriter, r *http.Request, _, n int) {
		if n > 1 {
			f.stream(w, 12, 40)
			return
		}
		f.stream(w, 10, 16)
		<-r.Context().Done()
	})
	asked := time.Now()
	report, err := f.listen(t, ListenOptions{})
	if err != nil || report.Blocks != 30 || report.Gaps != 0 || report.Moves != 1 {
		t.Errorf("report: %+v, %v", report, err)
	}
	if took := time.Since(asked); took < 2*time.Second {
		t.Errorf("it was hasty: it moved after %v, and 3 s of sound had come", took)
	}
}

func TestListenTriesAllEdgesAtFirst(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t)
	f.withEdges(2, func(w http.ResponseWriter, _ *http.Request, _, _ int) { w.WriteHeader(http.StatusNotFound) })
	f.serve = func(w http.ResponseWriter, _ int) { f.stream(w, 0, 40) } // at home
	report, err := f.listen(t, ListenOptions{Unproven: true})
	if err != nil || report.Blocks != 40 || report.Moves != 2 {
		t.Errorf("report: %+v, %v", report, err)
	}
	f.serve = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) }
	if _, err := f.listen(t, ListenOptions{Unproven: true}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("nobody serves it: %v", err)
	}
}

// The edges that were there at the beginning need not be those of the end.
func TestListenLearnsEdgesFromThePulse(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t)
	f.withEdges(1, func(w http.ResponseWriter, _ *http.Request, _, _ int) { f.stream(w, 8, 40) })
	quoted, err := json.Marshal(map[string]string{"edges": f.edges})
	if err != nil {
		t.Fatal(err)
	}
	f.edges = ""
	connections := 0
	f.serve = func(w http.ResponseWriter, _ int) {
		if connections++; connections > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.stream(w, 0, 10)
		for _, data := range []string{`{"edges":"forged"}`, string(quoted)} {
			w.Write(fmp4.AppendEvent(nil, fmp4.Event{Scheme: pulseScheme, Value: "patch", Data: []byte(data)}))
		}
	}
	report, err := f.listen(t, ListenOptions{})
	if err != nil || report.Blocks != 40 || report.Gaps != 0 || report.Moves != 1 || connections != 1 {
		t.Errorf("report: %+v, %v; %d connections at home", report, err, connections)
	}
}

func TestListenIsPatientAtADepth(t *testing.T) {
	h := newHeard(time.Now())
	event := func(scheme, data string) { h.event(&fmp4.Event{Scheme: scheme, Data: []byte(data)}) }
	if got := h.quiet(silentFor); got != silentFor {
		t.Errorf("in calm: %v", got)
	}
	event(paceScheme, `{"depth":12}`)
	event(paceScheme, `{"depth":-1}`)
	event(paceScheme, `{"depth":1e9}`)
	event(paceScheme, `no JSON`)
	event("urn:other", `{"depth":100,"phase":"ended"}`)
	if got := h.quiet(silentFor); got != 12*time.Second-sendAhead || h.ended {
		t.Errorf("at a depth of 12 s: %v, ended %v", got, h.ended)
	}
	if event(pulseScheme, `{"phase":"ended"}`); !h.ended {
		t.Error("the end was not understood")
	}
}
