package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"hustings/internal/bus"
	"hustings/internal/ogg"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// startCore runs a node that edges can join.
func startCore(t *testing.T, change ...func(*Options)) *running {
	t.Helper()
	o := Options{BusListen: "127.0.0.1:0", Weight: 10}
	for _, f := range change {
		f(&o)
	}
	return startNode(t, o)
}

// startEdge runs an edge of it, which joins by the given URL.
func startEdge(t *testing.T, join string, change ...func(*Options)) *running {
	t.Helper()
	o := Options{Join: join, Weight: 10}
	for _, f := range change {
		f(&o)
	}
	return startNode(t, o)
}

// get asks a node for something and returns status and body.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	resp, err := http.Get(r.at.URL + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still not: %s", what)
		}
	}
}

// audience is one who listens at a node, by Ogg.
type audience struct {
	t      *testing.T
	body   io.ReadCloser
	done   chan struct{}
	mu     sync.Mutex // guards what follows
	end    int64      // of what was heard, in samples
	first  int64      // of the end of the first block
	blocks int
	gaps   int
	err    error
}

func (r *running) listen(id string) *audience {
	r.t.Helper()
	resp, err := http.Get(r.at.URL + "/live/" + id + ".ogg?listener=somebody-" + strings.Repeat("x", 8))
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("listening: %v, %v", resp, err)
	}
	a := &audience{t: r.t, body: resp.Body, done: make(chan struct{})}
	go a.hear()
	r.t.Cleanup(func() {
		a.body.Close()
		<-a.done
	})
	return a
}

func (a *audience) hear() {
	defer close(a.done)
	stream := ogg.NewReader(a.body)
	for {
		p, err := stream.Next()
		a.mu.Lock()
		if err != nil {
			a.err = err
			a.mu.Unlock()
			return
		}
		if p.Granule != ogg.NoGranule {
			if a.blocks > 0 && (p.Gap || p.Granule != a.end+programme.BlockSamples) {
				a.gaps++
			}
			if a.blocks == 0 {
				a.first = p.Granule
			}
			a.blocks, a.end = a.blocks+1, p.Granule
		}
		a.mu.Unlock()
	}
}

// so returns what was heard so far.
func (a *audience) so() (blocks, gaps int, end int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.blocks, a.gaps, a.end, a.err
}

// heard waits until there is as much of the programme.
func (a *audience) heard(end int64) {
	a.t.Helper()
	until(a.t, "the audience has heard it", func() bool {
		_, gaps, at, err := a.so()
		if gaps > 0 || err != nil {
			a.t.Fatalf("%d gaps, %v", gaps, err)
		}
		return at >= end
	})
}

// newest is the end of what a node has of a space, in samples.
func (r *running) newest(id string) space.Pulse {
	r.t.Helper()
	var pulse space.Pulse
	until(r.t, "there is a pulse", func() bool {
		status, body := r.get("/live/" + id + "/pulse")
		return status == http.StatusOK && json.Unmarshal([]byte(body), &pulse) == nil
	})
	return pulse
}

func TestAnEdgeThatStartsInMidEventServesAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("listens in real time")
	}
	before := goleak.IgnoreCurrent()
	core := startCore(t)
	id := core.space()
	core.invite(id, "Ada")
	there := core.listen(id)
	there.heard(7 * programme.BlockSamples)
	edge := startEdge(t, core.at.Join)
	a := edge.listen(id)
	until(t, "the first sound", func() bool { blocks, _, _, _ := a.so(); return blocks > 0 })
	_, _, at, _ := there.so()
	a.mu.Lock()
	first := a.first
	a.mu.Unlock()
	if back := at - first; back < 2*programme.SampleRate {
		t.Errorf("the backlog begins %d samples before the newest block, want at least 2 s", back)
	}
	a.heard(at + 2*programme.BlockSamples)
	pulse, own := edge.newest(id), core.newest(id)
	if pulse.Title != own.Title || pulse.Phase != space.Live || pulse.Notice != own.Notice || pulse.Title == "" {
		t.Errorf("the edge's pulse is %+v, the core's %+v", pulse, own)
	}
	until(t, "both listeners are in the tally", func() bool { return core.newest(id).Tally.Now == 1 }) // of one token
	until(t, "both nodes are in the list", func() bool {
		_, page := edge.get("/api/v1/spaces/" + id)
		_, here := core.get("/api/v1/spaces/" + id)
		return strings.Contains(page, edge.at.URL+`\n`) && strings.Contains(here, edge.at.URL+`\n`) && strings.Contains(here, "10 "+core.at.URL)
	})
	until(t, "the pulse has the list", func() bool { return strings.Contains(edge.newest(id).Edges, edge.at.URL) })
	for _, path := range []string{"/healthz", "/readyz", "/s/" + id, "/.well-known/hustings-keys.json", "/metrics"} {
		if status, body := edge.get(path); status != http.StatusOK && !strings.Contains(body, "not built") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	core.post("/spaces/"+id+"/end", "", "id")
	<-a.done
	<-there.done
	blocks, gaps, end, err := a.so()
	_, _, want, _ := there.so()
	if gaps > 0 || end != want || !errors.Is(err, io.EOF) {
		t.Errorf("after %d blocks with %d gaps the end is at %d, want %d (%v)", blocks, gaps, end, want, err)
	}
	until(t, "the edge knows that it has ended", func() bool { status, _ := edge.get("/live/" + id + ".ogg"); return status == http.StatusGone })
	if err := edge.stop(); err != nil {
		t.Errorf("the edge went down with %v", err)
	}
	if err := core.stop(); err != nil {
		t.Errorf("the core went down with %v", err)
	}
	goleak.VerifyNone(t, before)
}

func TestAnEdgeLeadsOnToTheCore(t *testing.T) {
	core := startCore(t)
	id := core.space()
	edge := startEdge(t, core.at.Join)
	follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/studio/" + id, 302}, {"GET", "/recordings/" + id + ".ogg", 302}, {"POST", "/api/v1/spaces", 307},
		{"POST", "/api/v1/spaces/" + id + "/whip", 307}, {"GET", "/api/v1/spaces?limit=3", 302}, {"GET", "/signin", 302},
		{"PATCH", "/api/v1/spaces/" + id, 307}, {"OPTIONS", "/api/v1/spaces/" + id + "/whip", 204},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, edge.at.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := follow.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); resp.StatusCode != c.status || c.status != 204 && to != core.at.URL+c.path {
			t.Errorf("%s %s: %d to %q", c.method, c.path, resp.StatusCode, to)
		}
	}
	if status, body := edge.get("/s/nowhere"); status != http.StatusNotFound && !strings.Contains(body, "not built") {
		t.Errorf("a space that is none: %d", status)
	}
	if status, body := edge.get("/api/v1/spaces/nowhere"); status != http.StatusNotFound || !strings.Contains(body, `"detail"`) {
		t.Errorf("a space that is none: %d %s", status, body)
	}
	until(t, "the listen link is the edge's, the studio's the core's", func() bool {
		_, body := edge.get("/api/v1/spaces/" + id)
		return strings.Contains(body, edge.at.URL+"/s/"+id) && strings.Contains(body, core.at.URL+"/studio/"+id)
	})
}

// TestAReportNamesTheEdgesBesideTheServer, so that the capacity is stale without them.
func TestAReportNamesTheEdgesBesideTheServer(t *testing.T) {
	core := startCore(t)
	id := core.space()
	edge := startEdge(t, core.at.Join)
	until(t, "the edge is in the list", func() bool { _, body := core.get("/api/v1/spaces/" + id); return strings.Contains(body, edge.at.URL) })
	rehearsal := core.post("/spaces/"+id+"/rehearsals", `{"listeners":10,"seconds":60}`, "id")
	figures, err := json.Marshal(map[string]space.Crowd{"figures": {Shape: "even", Listeners: 10}})
	if err != nil {
		t.Fatal(err)
	}
	report := core.post("/spaces/"+id+"/rehearsals/"+rehearsal+"/report", string(figures), "note")
	if !strings.Contains(report, "\nedges 1\nedge "+edge.at.URL+"\n") {
		t.Errorf("the report: %s", report)
	}
	if err := edge.stop(); err != nil {
		t.Error(err)
	}
	until(t, "the capacity is stale", func() bool {
		_, body := core.get("/api/v1/capacity")
		return strings.Contains(body, "edge "+edge.at.URL+" is gone") && !strings.Contains(body, "; edge")
	})
}

// wire is a way to the bus that can be cut.
type wire struct {
	t    *testing.T
	l    net.Listener
	to   string
	done sync.WaitGroup

	mu    sync.Mutex // guards what follows
	cut   bool
	conns map[net.Conn]bool
}

// wireTo lays a wire to the bus of a join URL, and returns the URL through it.
func wireTo(t *testing.T, join string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(join)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, l: l, to: u.Host, conns: make(map[net.Conn]bool)}
	w.done.Go(w.serve)
	t.Cleanup(func() {
		l.Close()
		w.set(true)
		w.done.Wait()
	})
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *wire) serve() {
	for {
		in, err := w.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			in.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			w.done.Go(func() {
				io.Copy(pair[0], pair[1])
				pair[0].Close()
				pair[1].Close()
			})
		}
		w.mu.Lock()
		w.conns[in], w.conns[out] = true, true
		w.mu.Unlock()
		w.set(w.isCut())
	}
}

func (w *wire) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// set cuts the wire, or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for c := range w.conns {
		if cut {
			c.Close()
			delete(w.conns, c)
		}
	}
}

// TestAnEdgeKeepsItsListenersWhileTheBusIsLost cuts the bus for ten seconds: who
// listens there stays connected, and has every block in the end.
func TestAnEdgeKeepsItsListenersWhileTheBusIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the bus away for ten seconds")
	}
	core := startCore(t)
	id := core.space()
	w, join := wireTo(t, core.at.Join)
	edge := startEdge(t, join)
	there, a := core.listen(id), edge.listen(id)
	a.heard(4 * programme.BlockSamples)
	until(t, "the edge is in the list", func() bool { _, body := core.get("/api/v1/spaces/" + id); return strings.Contains(body, edge.at.URL) })

	w.set(true)
	until(t, "the edge says that it has lost the bus", func() bool {
		resp, err := http.Get(edge.at.URL + "/live/" + id + "/pulse")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		status, why := edge.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(why, "bus is lost") && resp.Header.Get("Hustings-Bus") == "lost"
	})
	_, _, at, _ := there.so()
	until(t, "it is out of the list", func() bool { _, body := core.get("/api/v1/spaces/" + id); return !strings.Contains(body, edge.at.URL) })
	there.heard(at + 10*programme.SampleRate)
	if _, _, end, err := a.so(); err != nil || end > at+2*programme.BlockSamples {
		t.Errorf("meanwhile the edge's listener is at %d of %d, %v", end, at, err)
	}
	w.set(false)
	_, _, at, _ = there.so()
	a.heard(at + 4*programme.BlockSamples)
	until(t, "the edge is ready again", func() bool { status, _ := edge.get("/readyz"); return status == http.StatusOK })
	until(t, "it is in the list again", func() bool { _, body := core.get("/api/v1/spaces/" + id); return strings.Contains(body, edge.at.URL) })
}

// TestListenersOfAnEdgeStayWhileTheCoreStartsAnew ends the core and starts it again at
// the same addresses: a new epoch follows on.
func TestListenersOfAnEdgeStayWhileTheCoreStartsAnew(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server twice")
	}
	core := startCore(t)
	id := core.space()
	edge := startEdge(t, core.at.Join)
	a := edge.listen(id)
	a.heard(4 * programme.BlockSamples)
	u, err := url.Parse(core.at.Join)
	if err != nil {
		t.Fatal(err)
	}
	if err := core.stop(); err != nil {
		t.Fatal(err)
	}
	again := startCore(t, func(o *Options) { o.Data, o.BusListen = core.data, u.Host })
	blocks, _, end, _ := a.so()
	until(t, "the programme goes on", func() bool {
		now, _, at, err := a.so()
		if err != nil {
			t.Fatalf("the listener was let go: %v", err)
		}
		return now >= blocks+4 && at > end
	})
	if pulse := edge.newest(id); pulse.Phase != space.Live || pulse.Title != again.newest(id).Title {
		t.Errorf("the pulse: %+v", pulse)
	}
	until(t, "the edge is in the new core's list", func() bool { _, body := again.get("/api/v1/spaces/" + id); return strings.Contains(body, edge.at.URL) })
}

func TestTheCredentialsOfAnEdgeCanNotSpeak(t *testing.T) {
	if testing.Short() {
		t.Skip("listens in real time")
	}
	core := startCore(t)
	id := core.space()
	there := core.listen(id)
	there.heard(3 * programme.BlockSamples)
	b, err := bus.New(bus.Options{URL: core.at.Join})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	<-b.Ready()
	forged := programme.NewWriter(programme.WriterOptions{
		Space: space.ID(id), Resume: programme.Resume{Epoch: 1000}, Publish: func(data []byte) error { return b.Publish("hustings.block."+id, data) },
	})
	var rungs [programme.Rungs]programme.Packets
	for r := range rungs {
		for range programme.PacketsPerBlock {
			rungs[r] = append(rungs[r], []byte{0xfc, 0xff, 0xfe})
		}
	}
	for range 3 {
		if _, err := forged.Append(forged.End(), rungs, []byte(`{"title":"Forged"}`), false); err != nil {
			t.Fatal(err)
		}
	}
	_, _, at, _ := there.so()
	there.heard(at + 4*programme.BlockSamples) // without a gap: a forged epoch would be one
	if title := core.newest(id).Title; title != "A test" {
		t.Errorf("the title is %q", title)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAnEdgeThatIsNotLetInSaysWhatToDo(t *testing.T) {
	core := startCore(t)
	wrong := strings.Replace(core.at.Join, "edge:", "edge:x", 1)
	elsewhere := startCore(t)
	pinned := t.TempDir()
	joined := startEdge(t, elsewhere.at.Join, func(o *Options) { o.Data = pinned })
	if err := joined.stop(); err != nil {
		t.Fatal(err)
	}
	cutOff, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	for path, text := range map[string]string{filepath.Join(cutOff, "core.key"): "", secret: "hush-hush\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"a wrong secret":      {Options{Data: t.TempDir(), Join: wrong}, "edge.credentials"},
		"another core's key":  {Options{Data: pinned, Join: core.at.Join}, "core.key"},
		"a key given by hand": {Options{Data: t.TempDir(), Join: core.at.Join, CoreKey: elsewhere.verifier()}, "another key"},
		"no key, in a file":   {Options{Data: t.TempDir(), Join: core.at.Join, CoreKey: secret}, "holds no key"},
		"a key that was lost": {Options{Data: cutOff, Join: core.at.Join}, "holds no key"},
		"a file that is none": {Options{Data: t.TempDir(), Join: core.at.Join, CoreKey: "/nowhere/key"}, "--core-key"},
	} {
		c.options.Listen = "127.0.0.1:0"
		n, err := New(c.options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := n.Run(ctx); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "edge:x") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want something about %q", name, err, c.want)
		}
		cancel()
	}
	again := startEdge(t, core.at.Join, func(o *Options) { o.CoreKey = core.verifier() })
	if status, _ := again.get("/readyz"); status != http.StatusOK {
		t.Errorf("with the right key: %d", status)
	}
}

func TestAnEdgeThatWaitsForItsCoreEndsInGoodOrder(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.Addr().String()
	nobody.Close()
	tried := make(chan struct{})
	n, err := New(Options{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Join: "nats://edge:correct-horse-battery@" + address,
		Logger: slog.New(slog.NewTextHandler(tells{"trying again", sync.OnceFunc(func() { close(tried) })}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-tried:
	case <-time.After(30 * time.Second):
		t.Error("it does not say that it waits")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// tells is a log that says when something is in it.
type tells struct {
	what string
	say  func()
}

func (l tells) Write(line []byte) (int, error) {
	if strings.Contains(string(line), l.what) {
		l.say()
	}
	return len(line), nil
}

// verifier is the key by which the node's programme is checked.
func (r *running) verifier() string {
	r.t.Helper()
	_, body := r.get("/.well-known/hustings-keys.json")
	var keys struct{ Keys []string }
	if err := json.Unmarshal([]byte(body), &keys); err != nil || len(keys.Keys) != 1 {
		r.t.Fatalf("%s: %v", body, err)
	}
	return keys.Keys[0]
}

// TestEdgesJoinThroughACluster: core and edges on a NATS server of somebody else's, and
// the edge is started first.
func TestEdgesJoinThroughACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("waits in vain for a core")
	}
	cluster, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: "us", Password: "secret", NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Start()
	t.Cleanup(func() { cluster.Shutdown(); cluster.WaitForShutdown() })
	if !cluster.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	address := "nats://us:secret@" + cluster.Addr().String()
	early := startEdge(t, address) // says that it does not know yet what is on
	if status, body := early.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "not told yet") {
		t.Errorf("without a core: %d %s", status, body)
	}
	if status, body := early.get("/live/x.ogg"); status != http.StatusServiceUnavailable || !strings.Contains(body, "try again") {
		t.Errorf("a listener without a core: %d %s", status, body)
	}
	core := startNode(t, Options{NATS: address, Weight: 10})
	id := core.space()
	until(t, "the edge is ready", func() bool { status, _ := early.get("/readyz"); return status == http.StatusOK })
	until(t, "a block is there", func() bool { status, _ := early.get("/live/" + id + "/pulse"); return status == http.StatusOK })
	a := early.listen(id)
	a.heard(3 * programme.BlockSamples)
	until(t, "the edge is in the list", func() bool { _, body := core.get("/api/v1/spaces/" + id); return strings.Contains(body, early.at.URL) })
	if core.at.Join != "" {
		t.Errorf("a join line that leads nowhere: %s", core.at.Join)
	}
}
