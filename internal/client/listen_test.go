package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/fmp4"
	"hustings/internal/ogg"
	"hustings/internal/opus"
	"hustings/internal/programme"
)

// fakeProgramme serves a space's programme, its keys and its proofs.
type fakeProgramme struct {
	t      *testing.T
	server *httptest.Server
	signer *programme.Signer
	opened time.Time
	serve  func(w http.ResponseWriter, connection int) // the stream
	edges  string                                      // the signed list in the space's JSON

	mu          sync.Mutex
	connections int
	blocks      []*programme.Block
	tree        programme.Tree
	covered     uint64 // size of the newest checkpoint
	checkpoint  string
}

func newFakeProgramme(t *testing.T, holes ...int) *fakeProgramme {
	return newLongProgramme(t, 40, holes...)
}

func newLongProgramme(t *testing.T, blocks int, holes ...int) *fakeProgramme {
	signer, _, err := programme.NewSigner("talk.example")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeProgramme{t: t, signer: signer, opened: time.Now().Add(-time.Minute)}
	writer := programme.NewWriter(programme.WriterOptions{Space: "talk", Signer: signer, Publish: func([]byte) error { return nil }})
	var at int64
	for n := range blocks {
		for _, hole := range holes {
			if n == hole {
				at += 2 * programme.BlockSamples
			}
		}
		var rungs [programme.Rungs]programme.Packets
		for r := range rungs {
			for i := range programme.PacketsPerBlock {
				rungs[r] = append(rungs[r], append(opus.Silence(1), byte(n), byte(i), byte(r)))
			}
		}
		block, err := writer.Append(at, rungs, []byte(`{}`), n == blocks-1)
		if err != nil {
			t.Fatal(err)
		}
		f.blocks = append(f.blocks, block)
		f.tree.Append(block.Leaf().Hash())
		at = block.End()
	}
	f.sign(uint64(blocks))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/spaces/talk", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"opened_at": f.opened, "edges": f.edges})
	})
	mux.HandleFunc("GET /api/v1/spaces/talk/proof", f.proof)
	mux.HandleFunc("GET /.well-known/hustings-keys.json", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []string{signer.Verifier()}})
	})
	mux.HandleFunc("GET /live/talk.mp4", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.connections++
		n := f.connections
		f.mu.Unlock()
		f.serve(w, n)
	})
	f.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.server.Close()
		f.server.Client().CloseIdleConnections()
	})
	return f
}

// sign makes the checkpoint that covers the first blocks.
func (f *fakeProgramme) sign(size uint64) {
	root, err := f.tree.RootAt(size)
	if err != nil {
		f.t.Fatal(err)
	}
	note, err := f.signer.Sign(programme.Origin("talk", 0), size, root)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.covered, f.checkpoint = size, note
	f.mu.Unlock()
}

func (f *fakeProgramme) proof(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, err1 := strconv.ParseUint(r.FormValue("from"), 10, 64)
	to, err2 := strconv.ParseUint(r.FormValue("to"), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		f.t.Error(err)
	}
	switch {
	case to-from > 120:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	case to > f.covered:
		w.WriteHeader(http.StatusTooEarly)
		return
	}
	var out programme.Proof
	out.Checkpoint = f.checkpoint
	for seq := from; seq < to; seq++ {
		p, err := f.tree.Prove(seq, f.covered)
		if err != nil {
			f.t.Error(err)
		}
		out.Leaves = append(out.Leaves, f.blocks[seq].Leaf())
		out.Proofs = append(out.Proofs, p)
	}
	json.NewEncoder(w).Encode(out)
}

// stream writes the blocks from..to-1 of the second rung, after the headers.
func (f *fakeProgramme) stream(w io.Writer, from, to int) {
	out := fmp4.AppendInit(nil, fmp4.Track{Channels: 1, PreSkip: opus.PreSkip, PacketSamples: frameSamples})
	for _, b := range f.blocks[from:to] {
		if b.Final {
			out = fmp4.AppendEvent(out, fmp4.Event{Scheme: "urn:hustings:pulse", Value: "patch", Time: uint64(b.Start), Data: []byte(`{"phase":"ended"}`)})
		}
		out = fmp4.AppendFragment(out, fmp4.Fragment{Sequence: uint32(b.Seq + 1), Time: uint64(b.Start), Packets: b.Rungs[1]})
	}
	w.Write(out)
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
}

func (f *fakeProgramme) listen(t *testing.T, o ListenOptions) (Report, error) {
	o.URL, o.HTTP = f.server.URL+"/s/talk", f.server.Client()
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	return Listen(t.Context(), o)
}

func TestListenHearsProvesAndRecordsToTheEnd(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t, 15)
	f.serve = func(w http.ResponseWriter, _ int) { f.stream(w, 10, 40) }
	var file bytes.Buffer
	report, err := f.listen(t, ListenOptions{Out: &file})
	if err != nil {
		t.Fatal(err)
	}
	if report.Blocks != 30 || report.Proven != 30 || report.Seconds != 15 || report.Gaps != 1 || report.GapSeconds != 1 || !report.Ended || report.Reconnects != 0 || report.Bytes == 0 {
		t.Errorf("report: %+v", report)
	}
	checkRecording(t, file.Bytes(), f.blocks[10:])
}

// checkRecording compares a recording with the blocks, holes filled with silence.
func checkRecording(t *testing.T, file []byte, blocks []*programme.Block) {
	t.Helper()
	reader := ogg.NewReader(bytes.NewReader(file))
	at := blocks[0].Start
	for _, b := range blocks {
		want := [][]byte{}
		for ; at < b.Start; at += frameSamples {
			want = append(want, opus.Silence(1))
		}
		want = append(want, b.Rungs[1]...)
		at = b.End()
		for i, w := range want {
			p, err := reader.Next()
			if err != nil || !bytes.Equal(p.Data, w) || p.Gap {
				t.Fatalf("block %d, packet %d: %x (gap %v, %v), want %x", b.Seq, i, p.Data, p.Gap, err, w)
			}
			if last := b.Final && i == len(want)-1; p.Last != last {
				t.Errorf("block %d, packet %d: end of stream: %v", b.Seq, i, p.Last)
			}
			if p.Granule != ogg.NoGranule && i == len(want)-1 && p.Granule != at-blocks[0].Start {
				t.Errorf("block %d ends at granule %d, want %d", b.Seq, p.Granule, at-blocks[0].Start)
			}
		}
	}
	if _, err := reader.Next(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
}

func TestListenComesBackAndHearsNothingTwice(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t)
	f.serve = func(w http.ResponseWriter, connection int) {
		switch connection {
		case 1:
			f.stream(w, 0, 10)
		case 2: // the server starts again
			w.WriteHeader(http.StatusBadGateway)
		case 3: // its backlog reaches back
			f.stream(w, 6, 14)
		default: // the space ended meanwhile
			w.WriteHeader(http.StatusGone)
		}
	}
	report, err := f.listen(t, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Blocks != 14 || report.Proven != 14 || report.Seconds != 7 || report.Gaps != 0 || report.Reconnects != 3 || !report.Ended {
		t.Errorf("report: %+v", report)
	}
}

// A listener whose own network was away for long comes back to what was said much
// later: the server proves a minute at a time.
func TestListenProvesBothSidesOfALongAbsence(t *testing.T) {
	t.Parallel()
	f := newLongProgramme(t, 400)
	f.serve = func(w http.ResponseWriter, connection int) {
		if connection == 1 {
			f.stream(w, 0, 10)
		} else {
			f.stream(w, 250, 400)
		}
	}
	report, err := f.listen(t, ListenOptions{})
	if err != nil || report.Blocks != 160 || report.Proven != 160 || report.Gaps != 1 {
		t.Errorf("report: %+v, %v", report, err)
	}
}

// Checkpoints come every ten blocks, and nobody joins just after one.
func TestBlocksAreProvenAsTheyAreHeard(t *testing.T) {
	t.Parallel()
	f := newLongProgramme(t, 200)
	p := newProver(Link{Server: f.server.URL, Space: "talk"}, f.server.Client())
	for n := 3; n < 180; n++ {
		f.sign(uint64((n + 1) / 10 * 10)) // with its last block
		p.add(&fmp4.Fragment{Sequence: uint32(n + 1), Time: uint64(f.blocks[n].Start), Packets: f.blocks[n].Rungs[1]})
		if err := p.some(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(p.pending) > 30 {
			t.Fatalf("after block %d, %d blocks are not proven: %v", n, len(p.pending), p.failure)
		}
	}
}

// A crash takes blocks from the disk that somebody heard; the new epoch gives their
// numbers to others, later ones.
func TestListenHearsNumbersThatACrashGaveOutTwice(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t, 8) // 8 comes a second later than the end of 7
	f.tree = programme.Tree{}
	for i, b := range f.blocks {
		if i >= 8 {
			b.Epoch = 1
		}
		f.tree.Append(b.Leaf().Hash())
	}
	f.sign(40)
	lost := newFakeProgramme(t) // as it was before the crash
	f.serve = func(w http.ResponseWriter, connection int) {
		if connection == 1 {
			lost.stream(w, 0, 10) // 8 and 9 are lost
		} else {
			f.stream(w, 8, 40)
		}
	}
	var out bytes.Buffer
	report, err := f.listen(t, ListenOptions{Out: &out})
	if err != nil {
		t.Fatalf("%v after %+v", err, report)
	}
	if report.Blocks != 42 || report.Seconds != 21 || report.Proven != 40 || report.Gaps != 0 || !report.Ended {
		t.Errorf("report: %+v; want 42 blocks heard, of which the 40 that the log still has are proven", report)
	}
}

func TestListenWaitsForTheDoors(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t)
	f.serve = func(w http.ResponseWriter, connection int) {
		if connection == 1 {
			w.WriteHeader(http.StatusTooEarly)
			return
		}
		f.stream(w, 0, 40)
	}
	report, err := f.listen(t, ListenOptions{Unproven: true})
	if err != nil || report.Blocks != 40 || report.Reconnects != 0 || report.Proven != 0 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestListenStopsWhenItHasHeardForLongEnough(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t)
	released := make(chan struct{})
	f.serve = func(w http.ResponseWriter, _ int) {
		f.stream(w, 0, 6)
		<-released
	}
	defer close(released)
	f.sign(3) // the rest is under no checkpoint yet
	time.AfterFunc(300*time.Millisecond, func() { f.sign(10) })
	report, err := f.listen(t, ListenOptions{For: 200 * time.Millisecond})
	if err != nil || report.Blocks != 6 || report.Backlog != 3 || report.Ended {
		t.Errorf("report %+v, %v", report, err)
	}
	if report.Proven != 6 {
		t.Errorf("proven %d blocks, want all 6 once the checkpoint covers them", report.Proven)
	}
}

func TestListenTellsWhatIsNotAsSigned(t *testing.T) {
	t.Parallel()
	other, _, err := programme.NewSigner("talk.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, tamper := range map[string]func(f *fakeProgramme){
		"other sound": func(f *fakeProgramme) { f.blocks[7].Rungs[1][3][2] ^= 1 },
		"a moved block": func(f *fakeProgramme) {
			leaf := f.blocks[7].Leaf()
			leaf.Start++
			f.tree = programme.Tree{}
			for i, b := range f.blocks {
				if i == 7 {
					f.tree.Append(leaf.Hash())
				} else {
					f.tree.Append(b.Leaf().Hash())
				}
			}
			f.sign(40)
		},
		"another key":   func(f *fakeProgramme) { f.signer = other; f.sign(40) },
		"another space": func(f *fakeProgramme) { f.checkpoint, _ = f.signer.Sign("hustings/walk/0", 40, f.tree.Root()) },
		"another root":  func(f *fakeProgramme) { f.checkpoint, _ = f.signer.Sign("hustings/talk/0", 40, tlog.Hash{}) },
	} {
		f := newFakeProgramme(t)
		var heard bytes.Buffer
		f.stream(&heard, 0, 40)
		f.serve = func(w http.ResponseWriter, _ int) { w.Write(heard.Bytes()) }
		tamper(f)
		report, err := f.listen(t, ListenOptions{})
		if !errors.Is(err, ErrNotAsSigned) || report.Reconnects > 0 || report.Blocks > proveEach {
			t.Errorf("%s: got %v after %+v", name, err, report)
		}
	}
}

func TestListenSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	f := newFakeProgramme(t)
	for _, status := range []int{401, 404, 410, 503} {
		f.serve = func(w http.ResponseWriter, _ int) { w.WriteHeader(status) }
		_, err := f.listen(t, ListenOptions{})
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != status {
			t.Errorf("%d: got %v", status, err)
		}
	}
	f.serve = func(w http.ResponseWriter, _ int) { io.WriteString(w, "<html>no stream") }
	if _, err := f.listen(t, ListenOptions{}); err == nil {
		t.Error("a page instead of a stream: no error")
	}
	f.serve = func(w http.ResponseWriter, _ int) { f.stream(w, 0, 40) }
	full := errors.New("no space left on device")
	_, err := f.listen(t, ListenOptions{Out: writerFunc(func([]byte) (int, error) { return 0, full })})
	if !errors.Is(err, full) {
		t.Errorf("a full disk: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Listen(ctx, ListenOptions{URL: f.server.URL + "/s/talk", HTTP: f.server.Client()}); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestHeardMeasuresFromTheStage(t *testing.T) {
	begun := time.Now()
	h := newHeard(begun)
	h.opened = begun.Add(-time.Minute)
	for n := range 10 {
		f := &fmp4.Fragment{Sequence: uint32(n + 1), Time: uint64(n) * 24000, Packets: make([][]byte, 25)}
		f.Time += 57 * 48000 // the backlog: 57 s to 60 s
		come := begun.Add(20 * time.Millisecond)
		if n >= 6 {
			come = h.opened.Add(duration(int64(f.Time)+24000) + 60*time.Millisecond)
		}
		h.add(f, come)
	}
	got := h.report()
	if got.Backlog != 3 || got.Latency != 0.08 || got.FirstSound != 0.02 || got.Seconds != 5 {
		t.Errorf("report: %+v", got)
	}
	if line, err := json.Marshal(got); err != nil || bytes.Contains(line, []byte("\n")) || !bytes.Contains(line, []byte(`"seconds_heard":5`)) {
		t.Errorf("as JSON: %s (%v)", line, err)
	}
}
