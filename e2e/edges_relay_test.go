package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/programme"
)

// relay speaks the programme of one space of a server to pages as an edge does, and
// does what a test tells it: it delivers at any interval, tells any depth, and can
// lose its line to the stage.
type relay struct {
	*httptest.Server
	t  *testing.T
	id string

	listeners atomic.Int32 // connections of pages
	query     atomic.Value // url.Values: of the newest
	asked     atomic.Int32 // for its pulse

	mu       sync.Mutex // guards all below
	init     []byte
	pieces   []piece
	pulse    []byte // as of the newest piece
	depth    time.Duration
	interval time.Duration
	version  uint32 // of depth
	lost     bool
}

// piece is a block as pages get it.
type piece struct {
	start uint64
	state []byte // the whole pulse before it
	bytes []byte // events and fragment
}

// newRelay begins to relay, and returns once it has a few blocks to begin with.
func newRelay(t *testing.T, s *server, id string, depth, interval time.Duration) *relay {
	t.Helper()
	r := &relay{t: t, id: id, depth: depth, interval: interval}
	response, err := http.Get(s.url + "/live/" + id + ".mp4?relay=1")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the programme to relay: %v %v", response, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { r.read(response.Body) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live/{file}", r.stream)
	mux.HandleFunc("GET /live/{id}/pulse", r.tell)
	r.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		response.Body.Close()
		reading.Wait()
		r.kill()
	})
	r.await(depth)
	return r
}

// await waits until the relay holds so much of the programme.
func (r *relay) await(much time.Duration) {
	r.t.Helper()
	deadline := time.Now().Add(much + 20*time.Second)
	for {
		r.mu.Lock()
		n := len(r.pieces)
		r.mu.Unlock()
		if time.Duration(n)*500*time.Millisecond >= much+time.Second {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the relay has %d blocks, %v were to come", n, much)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// read takes the programme in.
func (r *relay) read(body io.Reader) {
	parts := fmp4.NewReader(body)
	var ahead []byte
	var state []byte
	for {
		part, err := parts.Next()
		if err != nil {
			return
		}
		r.mu.Lock()
		switch {
		case part.Init != nil:
			r.init = fmp4.AppendInit(nil, *part.Init)
		case part.Event != nil && part.Event.Scheme == "urn:hustings:pulse":
			state = r.pulse
			if part.Event.Value == "state" {
				r.pulse = part.Event.Data
			} else if now, err := programme.Apply(r.pulse, part.Event.Data); err == nil {
				r.pulse = now
			}
			ahead = fmp4.AppendEvent(ahead, *part.Event)
		case part.Fragment != nil:
			r.pieces = append(r.pieces, piece{start: part.Fragment.Time, state: state, bytes: fmp4.AppendFragment(ahead, *part.Fragment)})
			ahead, state = nil, r.pulse
		}
		r.mu.Unlock()
	}
}

// setPace tells pages another depth, and delivers at another interval.
func (r *relay) setPace(depth, interval time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.depth, r.interval = depth, interval
	r.version++
}

// loseLine has the relay send nothing more, as an edge does that has lost the bus;
// findLine has it send what was missed.
func (r *relay) loseLine() { r.setLost(true) }
func (r *relay) findLine() { r.setLost(false) }

func (r *relay) setLost(lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = lost
}

// kill ends the relay and cuts all its connections, as kill -9 does.
func (r *relay) kill() {
	r.CloseClientConnections()
	r.Close()
}

func (r *relay) tell(rw http.ResponseWriter, _ *http.Request) {
	r.asked.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	header := rw.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers", "Hustings-Bus")
	header.Set("Content-Type", "application/json")
	if r.lost {
		header.Set("Hustings-Bus", "lost")
	}
	_, _ = rw.Write(r.pulse)
}

// stream serves one page.
func (r *relay) stream(rw http.ResponseWriter, request *http.Request) {
	if q := request.URL.Query(); q.Get("follow") != "1" || len(q.Get("listener")) != 22 {
		r.t.Errorf("a page asks for %s", request.URL)
	}
	r.query.Store(request.URL.Query())
	r.listeners.Add(1)
	defer r.listeners.Add(-1)
	rw.Header().Set("Access-Control-Allow-Origin", "*")
	rw.Header().Set("Content-Type", "audio/mp4")
	head, next, version := r.join()
	turn := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := rw.Write(head); err != nil {
			return
		}
		rw.(http.Flusher).Flush()
		head = nil
		for head == nil {
			select {
			case <-request.Context().Done():
				return
			case <-tick.C:
				head = r.turn(&next, &version, &turn)
			}
		}
	}
}

// join returns what a page gets at once: the depth, the pulse and a backlog that is
// as deep, and a block more.
func (r *relay) join() (head []byte, next int, version uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = len(r.pieces)
	backlog := max(6, int(r.depth/(500*time.Millisecond))+1)
	from := max(0, next-backlog)
	head = append(bytes.Clone(r.init), r.paceEvent()...)
	if state := r.pieces[from].state; len(state) > 0 {
		head = fmp4.AppendEvent(head, fmp4.Event{Scheme: "urn:hustings:pulse", Value: "state", Time: r.pieces[from].start, Data: state})
	}
	for _, p := range r.pieces[from:next] {
		head = append(head, p.bytes...)
	}
	return head, next, r.version
}

// turn returns what is due for a page now, if anything is.
func (r *relay) turn(next *int, version *uint32, last *time.Time) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []byte
	if *version != r.version {
		*version = r.version
		due = r.paceEvent()
	}
	if r.lost || time.Since(*last) < r.interval {
		return due
	}
	*last = last.Add(r.interval)
	if time.Since(*last) > r.interval {
		*last = time.Now()
	}
	for ; *next < len(r.pieces); *next++ {
		due = append(due, r.pieces[*next].bytes...)
	}
	return due
}

func (r *relay) paceEvent() []byte {
	return fmp4.AppendEvent(nil, fmp4.Event{
		Scheme: "urn:hustings:pace", Value: "depth", ID: r.version, Data: fmt.Appendf(nil, `{"depth":%g}`, r.depth.Seconds()),
	})
}

// front is the page's own server, with a signed list of edges in its documents. It
// serves no programme by itself, unless it is told to.
type front struct {
	*httptest.Server
	serves atomic.Bool
}

// newFront puts a front before a server. The list is signed by a key of the test.
func newFront(t *testing.T, s *server, edges ...programme.Edge) *front {
	t.Helper()
	signer, _, err := programme.NewSigner("edges.example")
	if err != nil {
		t.Fatal(err)
	}
	list, err := signer.SignEdges(programme.Edges{At: time.Now(), List: edges})
	if err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	f := new(front)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(behind)
			p.Out.Host = p.In.Host
		},
		ModifyResponse: func(response *http.Response) error { return putEdges(response, list) },
		FlushInterval:  -1,
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("GET /.well-known/hustings-keys.json", func(rw http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(rw).Encode(map[string][]string{"keys": {signer.Verifier()}})
	})
	mux.HandleFunc("GET /live/", func(rw http.ResponseWriter, request *http.Request) {
		if !f.serves.Load() {
			http.Error(rw, "this server carries no listeners", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(rw, request)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// putEdges writes the list into a space: in a page, or as the API gives it.
func putEdges(response *http.Response, list string) error {
	path := response.Request.URL.Path
	mark := ""
	switch {
	case strings.HasPrefix(path, "/s/"):
		mark = `<script type="application/json" id="space">{`
	case strings.HasPrefix(path, "/api/v1/spaces/"):
		mark = `{`
	default:
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	body = bytes.Replace(body, []byte(mark), []byte(mark+`"edges":`+string(text)+`,`), 1)
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Set("Content-Length", fmt.Sprint(len(body)))
	return nil
}
