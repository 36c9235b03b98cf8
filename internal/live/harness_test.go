package live_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/fmp4"
	"hustings/internal/live"
	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// patience is how long a test waits for what should be there at once.
const patience = 20 * time.Second

// directory is a fake of what knows the spaces.
type directory struct {
	mu     sync.Mutex // guards spaces
	spaces map[space.ID]space.Space
}

func (d *directory) Get(_ context.Context, id space.ID) (space.Space, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sp, ok := d.spaces[id]
	if !ok {
		return sp, space.Errorf(space.NotFound, "there is no space %q", string(id))
	}
	return sp, nil
}

func (d *directory) put(sp space.Space) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spaces[sp.ID] = sp
}

// fakeProgramme sends each listener a line, and has what was put into it.
type fakeProgramme struct {
	mu       sync.Mutex // guards all below
	ready    bool
	refuse   error // of Attach
	looked   int   // how often it was asked whether it is ready
	attached []broadcast.Listener
	counted  []string // listeners who pull

	blocks   []broadcast.Kept
	packets  map[broadcast.Kept][][]byte
	final    bool
	changed  chan struct{}
	windows  int // how often it was asked for a window, a fragment, an init
	rendered int
	inits    int
}

func (f *fakeProgramme) put(epoch uint32, seq uint64, start int64, packets ...[]byte) {
	f.change(func() {
		b := broadcast.Kept{Epoch: epoch, Seq: seq, Start: start, Came: time.Now()}
		if len(packets) == 0 {
			packets = [][]byte{{0xf8, byte(epoch), byte(seq)}}
		}
		f.blocks, f.packets[b] = append(f.blocks, b), packets
		if len(f.blocks) > 120 {
			f.blocks = f.blocks[1:]
		}
	})
}

func (f *fakeProgramme) change(by func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeProgramme) Window(space.ID) (broadcast.Window, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.windows++
	blocks := append([]broadcast.Kept(nil), f.blocks...)
	return broadcast.Window{Blocks: blocks, Final: f.final, Changed: f.changed}, len(blocks) > 0
}

func (f *fakeProgramme) Fragment(_ space.ID, epoch uint32, seq uint64, rung programme.Rung) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rendered++
	for _, b := range f.blocks {
		if b.Epoch == epoch && b.Seq == seq {
			return fmp4.AppendFragment([]byte{0, 0, 0, 12, 'f', 'r', 'e', 'e', byte(rung), 0, 0, 0}, fmp4.Fragment{Sequence: uint32(seq) + 1, Time: uint64(b.Start), Packets: f.packets[b]}), true
		}
	}
	return nil, false
}

func (f *fakeProgramme) Init(space.ID, programme.Rung) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inits++
	return fmp4.AppendInit(nil, fmp4.Track{Channels: 1, PreSkip: opus.PreSkip, PacketSamples: programme.PacketSamples}), true
}

func (f *fakeProgramme) Count(_ space.ID, name string, rehearsal bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rehearsal {
		name += " rehearses"
	}
	f.counted = append(f.counted, name)
}

func (f *fakeProgramme) Ready(space.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked++
	return f.ready
}

func (f *fakeProgramme) Attach(l broadcast.Listener) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.attached = append(f.attached, l)
	go func() {
		defer l.Conn.Close()
		_, _ = l.Conn.Write(append(append([]byte{}, l.Head...), "sound"...))
	}()
	return nil
}

func (f *fakeProgramme) Block(id space.ID, seq uint64) ([]byte, bool) {
	w, _ := f.Window(id)
	for i := len(w.Blocks) - 1; i >= 0; i-- {
		if w.Blocks[i].Seq == seq {
			return f.Fragment(id, w.Blocks[i].Epoch, seq, programme.Rung48)
		}
	}
	return nil, false
}

func (f *fakeProgramme) Pulse(space.ID) ([]byte, bool) {
	return []byte(`{"phase":"live"}`), f.Ready("")
}

func (f *fakeProgramme) set(ready bool, refuse error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready, f.refuse = ready, refuse
}

// permits takes one permit for every space.
type permits string

func (p permits) Check(_ space.ID, permit string) error {
	if permit != string(p) {
		return space.Errorf(space.Forbidden, "this permit does not hold; ask for another")
	}
	return nil
}

// site is a server of what is live, with what stands behind it.
type site struct {
	t         testing.TB
	url       string
	server    *httptest.Server
	spaces    *directory
	programme *fakeProgramme
	log       *bytes.Buffer // after the server was closed
}

// newSite serves; change may alter the options.
func newSite(t testing.TB, change ...func(*live.Options)) *site {
	t.Helper()
	s := &site{t: t, spaces: &directory{spaces: map[space.ID]space.Space{}}, programme: &fakeProgramme{ready: true, packets: map[broadcast.Kept][][]byte{}, changed: make(chan struct{})}, log: &bytes.Buffer{}}
	o := live.Options{Spaces: s.spaces, Programme: s.programme, Logger: slog.New(slog.NewTextHandler(s.log, nil))}
	for _, f := range change {
		f(&o)
	}
	l, err := live.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	l.Routes(mux)
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	s.url = s.server.URL
	return s
}

// announce makes a space in a phase.
func (s *site) announce(id space.ID, phase space.Phase) string {
	s.spaces.put(space.Space{ID: id, Title: "Debate", Phase: phase})
	return string(id)
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers come as "Name: value".
func (s *site) ask(method, path string, headers ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Error(err)
		return reply{}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: string(data)}
}

// want fails unless the reply has the status, and if it is an error, is a problem
// that says the words.
func (s *site) want(r reply, status int, words ...string) reply {
	s.t.Helper()
	if r.status != status {
		s.t.Fatalf("status %d; want %d\n%s", r.status, status, r.body)
	}
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			s.t.Errorf("%s\ndoes not say %q", r.body, word)
		}
	}
	if status >= 400 {
		var p struct {
			Status        int
			Title, Detail string
		}
		if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
			s.t.Errorf("status %d comes as %s", status, kind)
		}
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Status != status || p.Title == "" || len(p.Detail) < 10 {
			s.t.Errorf("%s is no problem of status %d: %v", r.body, status, err)
		}
	}
	return r
}
