package crowd_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hustings/internal/crowd"
	"hustings/internal/fmp4"
	"hustings/internal/opus"
	"hustings/internal/programme"
)

// theatre is a server that speaks the public protocol, of which a test says what
// each listener is sent.
type theatre struct {
	*httptest.Server
	t      *testing.T
	signer *programme.Signer
	blocks []*programme.Block
	tree   programme.Tree
	stream func(w *sender, r *http.Request, n int) // the n-th that asks, from 0

	mu    sync.Mutex
	asked int
	pages int
	names map[string]int
}

// sender is what a listener is sent.
type sender struct {
	http.ResponseWriter
	theatre *theatre
}

func (w *sender) send(b []byte) {
	_, _ = w.Write(b) // whoever has left needs nothing
	w.ResponseWriter.(http.Flusher).Flush()
}

func (w *sender) begin() {
	w.send(fmp4.AppendInit(nil, fmp4.Track{Channels: 1, PreSkip: opus.PreSkip, PacketSamples: programme.PacketSamples}))
}

// blocks sends the blocks from..to-1, as change makes them; nil leaves them alone.
func (w *sender) blocks(from, to int, change func(n int, b []byte)) {
	var out []byte
	for n := from; n < to; n++ {
		one := w.theatre.rendered(n)
		if change != nil {
			change(n, one)
		}
		out = append(out, one...)
	}
	w.send(out)
}

func (w *sender) end() {
	w.send(fmp4.AppendEvent(nil, fmp4.Event{Scheme: "urn:hustings:pulse", Value: "patch", Time: 1 << 40, Data: []byte(`{"phase":"ended"}`)}))
}

func (h *theatre) rendered(n int) []byte {
	b := h.blocks[n]
	return fmp4.AppendFragment(nil, fmp4.Fragment{Sequence: uint32(b.Seq + 1), Time: uint64(b.Start), Packets: b.Rungs[1]})
}

// newTheatre opens one with a programme of 40 blocks, all signed.
func newTheatre(t *testing.T, secure bool) *theatre {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	signer, _, err := programme.NewSigner("talk.example")
	if err != nil {
		t.Fatal(err)
	}
	h := &theatre{t: t, signer: signer, names: map[string]int{}}
	h.compose(40)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /s/talk", func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		h.pages++
		h.mu.Unlock()
		_, _ = w.Write([]byte(`<!doctype html><script type="module" src="/a.js"></script>`))
	})
	mux.HandleFunc("GET /a.js", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("1")) })
	mux.HandleFunc("GET /api/v1/spaces/talk", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"phase": "live", "title": strings.Repeat("talk ", 1000)})
	})
	mux.HandleFunc("GET /.well-known/hustings-keys.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []string{signer.Verifier()}})
	})
	mux.HandleFunc("GET /api/v1/spaces/talk/proof", h.proof)
	mux.HandleFunc("GET /live/talk.mp4", func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		n := h.asked
		h.asked++
		h.names[r.FormValue("listener")]++
		h.mu.Unlock()
		w.Header().Set("Connection", "close")
		h.stream(&sender{w, h}, r, n)
	})
	h.Server = httptest.NewUnstartedServer(mux)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if secure {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	return h
}

// compose writes the programme and its log.
func (h *theatre) compose(n int) {
	writer := programme.NewWriter(programme.WriterOptions{Space: "talk", Signer: h.signer, Publish: func([]byte) error { return nil }})
	for i := range n {
		var rungs [programme.Rungs]programme.Packets
		for r := range rungs {
			for p := range programme.PacketsPerBlock {
				rungs[r] = append(rungs[r], append(opus.Silence(1), byte(i), byte(p), byte(r)))
			}
		}
		block, err := writer.Append(int64(i)*programme.BlockSamples, rungs, []byte(`{}`), false)
		if err != nil {
			h.t.Fatal(err)
		}
		h.blocks = append(h.blocks, block)
		h.tree.Append(block.Leaf().Hash())
	}
}

func (h *theatre) proof(w http.ResponseWriter, r *http.Request) {
	size := uint64(len(h.blocks))
	from, _ := strconv.ParseUint(r.FormValue("from"), 10, 64)
	to, _ := strconv.ParseUint(r.FormValue("to"), 10, 64)
	root, err := h.tree.RootAt(size)
	if err != nil {
		h.t.Error(err)
	}
	checkpoint, err := h.signer.Sign(programme.Origin("talk", 0), size, root)
	if err != nil {
		h.t.Error(err)
	}
	out := programme.Proof{Checkpoint: checkpoint}
	for seq := from; seq < min(to, size); seq++ {
		p, err := h.tree.Prove(seq, size)
		if err != nil {
			h.t.Error(err)
		}
		out.Leaves, out.Proofs = append(out.Leaves, h.blocks[seq].Leaf()), append(out.Proofs, p)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// visit has a crowd come, and returns its figures once all have left.
func (h *theatre) visit(o crowd.Options) crowd.Figures {
	h.t.Helper()
	o.URL = h.URL + "/s/talk"
	o.Logger = slog.New(slog.NewTextHandler(h.t.Output(), nil))
	if h.TLS != nil {
		roots := x509.NewCertPool()
		roots.AddCert(h.Certificate())
		o.TLS = &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	}
	c, err := crowd.New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Run(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return c.Snapshot()
}

// both runs a test by the engine and by goroutines behind TLS.
func both(t *testing.T, test func(t *testing.T, h *theatre)) {
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) { test(t, newTheatre(t, secure)) })
	}
}

func TestACrowdHearsAndProvesAll(t *testing.T) {
	both(t, func(t *testing.T, h *theatre) {
		h.stream = func(w *sender, _ *http.Request, _ int) {
			w.begin()
			w.blocks(10, 16, nil)
			w.blocks(16, 24, nil)
			w.end()
		}
		f := h.visit(crowd.Options{Listeners: 60, Proofs: 10})
		if f.Left != 60 || f.EverJoined != 60 || f.EverHeard != 60 || f.NeverHeard != 0 || f.Blocks != 60*14 || f.Reconnects != 0 || len(f.Failed) != 0 {
			t.Errorf("figures: %+v", f)
		}
		if f.Proven != 6*14 || f.Compared != 54*14 || f.Mismatched != 0 || f.Unproven != 0 {
			t.Errorf("%d proven, %d compared, %d mismatched, %d unproven", f.Proven, f.Compared, f.Mismatched, f.Unproven)
		}
		if h.pages != 61 || len(h.names) != 60 {
			t.Errorf("%d pages were asked for, by %d names", h.pages, len(h.names))
		}
		if f.Gaps.Count+f.Dries.Count+f.Holes.Count+f.Repeated != 0 || f.Documents.Count() != 60 {
			t.Errorf("gaps %+v, dry %+v, holes %+v, %d repeated", f.Gaps, f.Dries, f.Holes, f.Repeated)
		}
	})
}

func TestACrowdFindsWhatIsNotInTheLog(t *testing.T) {
	both(t, func(t *testing.T, h *theatre) {
		h.stream = func(w *sender, _ *http.Request, n int) {
			w.begin()
			w.blocks(0, 10, func(i int, b []byte) {
				if n == 3 && i == 7 {
					b[len(b)-5] ^= 1
				}
			})
			w.end()
		}
		f := h.visit(crowd.Options{Listeners: 20, Opens: crowd.OpensNothing})
		if f.Mismatched != 1 || f.Proven+f.Compared != 20*10-1 || f.Left != 20 {
			t.Errorf("%d mismatched, %d proven, %d compared of %d blocks", f.Mismatched, f.Proven, f.Compared, f.Blocks)
		}
	})
}

func TestACrowdComesBackAfterARefusalAndACut(t *testing.T) {
	if testing.Short() {
		t.Skip("waits as long as the server asks for")
	}
	both(t, func(t *testing.T, h *theatre) {
		h.stream = func(w *sender, _ *http.Request, n int) {
			switch {
			case n < 5:
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
			case n < 10:
				w.begin()
				w.blocks(0, 6, nil) // and cut off
			default:
				w.begin()
				w.blocks(3, 9, nil)
				w.end()
			}
		}
		f := h.visit(crowd.Options{Listeners: 10, Opens: crowd.OpensNothing})
		if f.Refused[503] != 5 || f.Failed["ended early"] != 5 || f.Reconnects != 10 || f.Left != 10 || f.EverHeard != 10 {
			t.Errorf("figures: %+v", f)
		}
		if f.Blocks != 5*9+5*6 || f.Gaps.Count != 0 || f.Repeated != 0 || len(h.names) != 10 {
			t.Errorf("%d blocks, gaps %+v, %d repeated, %d names", f.Blocks, f.Gaps, f.Repeated, len(h.names))
		}
	})
}

// A reader that takes 4 kB a second of 64 kB leaves before it has all.
func TestSlowListenersReadSlowly(t *testing.T) {
	if testing.Short() {
		t.Skip("reads slowly")
	}
	both(t, func(t *testing.T, h *theatre) {
		const whole = 64 << 10
		h.stream = func(w *sender, r *http.Request, _ int) {
			w.begin()
			w.send(append([]byte{0, whole >> 16, whole >> 8 & 255, 0, 'f', 'r', 'e', 'e'}, make([]byte, whole-8)...)) // nothing to hear
			<-r.Context().Done()
		}
		f := h.visit(crowd.Options{
			Listeners: 4, Opens: crowd.OpensNothing, Hold: 1500 * time.Millisecond,
			Slow: func(i, _ int) int { return 4000 * (i % 2) },
		})
		if f.Bytes < 2*whole+2*1000 || f.Bytes > 2*whole+2*12000 {
			t.Errorf("%d bytes were read; two took %d each at once, two 4000 a second", f.Bytes, whole)
		}
		if f.Left != 4 || len(f.Failed) != 0 {
			t.Errorf("figures: %+v", f)
		}
	})
}

func TestACrowdThatNobodyAnswers(t *testing.T) {
	h := newTheatre(t, false)
	h.stream = func(w *sender, r *http.Request, _ int) {
		w.begin()
		<-r.Context().Done()
	}
	link := h.URL + "/s/nothing"
	c, err := crowd.New(crowd.Options{URL: link, Listeners: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no such page: %v", err)
	}
	f := h.visit(crowd.Options{Listeners: 3, Opens: crowd.OpensNothing, Hold: 200 * time.Millisecond})
	if f.EverJoined != 3 || f.NeverHeard != 3 || f.Left != 3 {
		t.Errorf("who heard nothing: %+v", f)
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for name, o := range map[string]crowd.Options{
		"no link":       {Listeners: 1},
		"nobody":        {URL: "http://127.0.0.1/s/talk"},
		"too many":      {URL: "http://127.0.0.1/s/talk", Listeners: 1e6},
		"too many, TLS": {URL: "https://127.0.0.1/s/talk", Listeners: 5000},
		"no rung":       {URL: "http://127.0.0.1/s/talk", Listeners: 1, Rung: 47},
		"no hold":       {URL: "http://127.0.0.1/s/talk", Listeners: 1, Hold: -1},
	} {
		if _, err := crowd.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
