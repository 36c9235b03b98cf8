package permit_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"hustings/internal/permit"
	"hustings/internal/programme"
	"hustings/internal/space"
)

func newSigner(t testing.TB) *programme.Signer {
	t.Helper()
	signer, _, err := programme.NewSigner("hustings.test")
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// rig is an office whose clock, servers and settings a test moves.
type rig struct {
	t       testing.TB
	opts    permit.Options
	office  *permit.Office
	now     time.Time
	bus     *fakeBus
	present int // connections of the crowd
	backlog string
	edges   []string
}

func newRig(t testing.TB, change ...func(*permit.Options)) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), backlog: "3s", edges: []string{"https://b.test", "https://a.test"}}
	r.bus = newFakeBus()
	nodes := permit.NewNodes(r.bus, func() time.Time { return r.now }, nil)
	r.bus.run(t, nodes)
	r.opts = permit.Options{
		Signer: newSigner(t), Keep: permit.File(filepath.Join(t.TempDir(), "rehearsal.json")),
		Nodes: nodes, Measure: func(space.ID) space.Served { return space.Served{Hearing: r.present} },
		Version: "1.0", Machine: permit.Machine{Processors: 2, Memory: 8 << 30},
		Settings: func() []permit.Setting {
			return []permit.Setting{{Name: "backlog", Value: r.backlog}, {Name: "tls", Value: "on"}}
		},
		Edges: func() []string { return r.edges },
		Now:   func() time.Time { return r.now }, MaxListeners: 20000, MaxTime: 10 * time.Minute,
	}
	for _, f := range change {
		f(&r.opts)
	}
	r.restart()
	return r
}

// restart makes the office anew of what was kept.
func (r *rig) restart() {
	r.t.Helper()
	var err error
	if r.office, err = permit.New(r.opts); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) ask(id space.ID, listeners int, seconds int) space.Permit {
	r.t.Helper()
	p, err := r.office.Ask(id, listeners, seconds)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// serve has a node say what it counts.
func (r *rig) serve(node, rehearsal string, served space.Served) {
	r.t.Helper()
	data, err := json.Marshal(map[string]any{"node": node, "rehearsal": rehearsal, "served": served})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.bus.Publish("hustings.served."+node, data); err != nil {
		r.t.Fatal(err)
	}
}

// fakeBus brings what is published to whoever has subscribed, at once.
type fakeBus struct {
	mu         sync.Mutex // guards handle
	handle     func(string, []byte)
	subscribed chan struct{}
}

func newFakeBus() *fakeBus { return &fakeBus{subscribed: make(chan struct{})} }

func (b *fakeBus) Subscribe(_ string, handle func(string, []byte)) (func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = handle
	close(b.subscribed)
	return func() {}, nil
}

func (b *fakeBus) Publish(subject string, data []byte) error {
	b.mu.Lock()
	handle := b.handle
	b.mu.Unlock()
	if handle != nil {
		handle(subject, data)
	}
	return nil
}

// run has nodes hear the bus until the test ends.
func (b *fakeBus) run(t testing.TB, nodes *permit.Nodes) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- nodes.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-b.subscribed
}

// forbidden fails unless err says so, with these words.
func forbidden(t testing.TB, err error, words string) {
	t.Helper()
	if space.KindOf(err) != space.Forbidden || !strings.Contains(err.Error(), words) {
		t.Errorf("%v; want Forbidden with %q", err, words)
	}
}

func TestAPermitOpensItsSpaceForItsTime(t *testing.T) {
	r := newRig(t)
	p := r.ask("debate", 15000, 120)
	if p.Listeners != 15000 || p.ExpiresAt.Sub(r.now) != 2*time.Minute || p.Limits != (space.Limits{Listeners: 20000, Seconds: 600}) {
		t.Errorf("permit: %+v", p)
	}
	edge, err := permit.NewVerifier(permit.VerifierOptions{Keys: func() []string { return []string{"nonsense", r.opts.Signer.Verifier()} }, Now: r.opts.Now})
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func(space.ID, string) error{"core": r.office.Check, "edge": edge.Check} {
		t.Run(name, func(t *testing.T) {
			start := r.now
			defer func() { r.now = start }()
			if err := check("debate", p.Permit); err != nil {
				t.Errorf("refused: %v", err)
			}
			forbidden(t, check("another", p.Permit), "another space")
			forbidden(t, check("debate", ""), "no permit")
			r.now = start.Add(2 * time.Minute)
			if err := check("debate", p.Permit); err != nil {
				t.Errorf("in its last second: %v", err)
			}
			r.now = start.Add(2*time.Minute + time.Second)
			forbidden(t, check("debate", p.Permit), "expired")
			r.now = start.Add(-time.Minute)
			forbidden(t, check("debate", p.Permit), "clocks")
		})
	}
}

func TestAForgedPermitIsRefused(t *testing.T) {
	r := newRig(t)
	p := r.ask("debate", 100, 60)
	signed, err := base64.RawURLEncoding.DecodeString(p.Permit)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	text, _, _ := strings.Cut(string(signed), "\n\n")
	foreign, err := newSigner(t).SignNote(text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	own, err := r.opts.Signer.SignNote("hustings/edges\n2026-01-01T00:00:00Z\n1 https://x\n1\n2\n3\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, forged := range map[string]string{
		"larger":       encode(strings.Replace(string(signed), "\n100\n", "\n999\n", 1)),
		"another key":  encode(foreign),
		"another text": encode(own),
		"padded":       p.Permit + "=",
		"broken":       p.Permit[:40] + "\n" + p.Permit[40:],
		"cut":          p.Permit[:len(p.Permit)-2],
		"long":         strings.Repeat("A", 5000),
	} {
		forbidden(t, r.office.Check("debate", forged), "no permit")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// An edge may be asked before it knows its core's key.
func TestAnEdgeWithoutAKeyAsksToWait(t *testing.T) {
	r := newRig(t)
	p := r.ask("debate", 100, 60)
	var keys []string
	edge, err := permit.NewVerifier(permit.VerifierOptions{Keys: func() []string { return keys }, Now: r.opts.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := edge.Check("debate", p.Permit); space.KindOf(err) != space.Full {
		t.Errorf("without a key: %v", err)
	}
	keys = []string{r.opts.Signer.Verifier()}
	if err := edge.Check("debate", p.Permit); err != nil {
		t.Errorf("with the key: %v", err)
	}
}

func TestACrowdIsNoLargerThanPermitted(t *testing.T) {
	r := newRig(t)
	p := r.ask("debate", 100, 60)
	r.present = 199 // a storm: the old connections are not known to be gone yet
	if err := r.office.Check("debate", p.Permit); err != nil {
		t.Errorf("a storm is refused: %v", err)
	}
	r.present = 200
	forbidden(t, r.office.Check("debate", p.Permit), "as large as its permit")
}

func TestOneRehearsalAtATime(t *testing.T) {
	r := newRig(t)
	first := r.ask("debate", 100, 60)
	if _, err := r.office.Ask("other", 100, 60); space.KindOf(err) != space.Conflict || !strings.Contains(err.Error(), first.ID) {
		t.Errorf("a second one: %v", err)
	}
	r.now = r.now.Add(61 * time.Second)
	second := r.ask("other", 100, 60)
	forbidden(t, r.office.Check("debate", first.Permit), "expired")
	if err := r.office.End("other", second.ID); err != nil {
		t.Fatal(err)
	}
	forbidden(t, r.office.Check("other", second.Permit), "over") // replayed after its end
	third := r.ask("debate", 100, 60)
	forbidden(t, r.office.Check("other", second.Permit), "over")
	if err := r.office.Check("debate", third.Permit); err != nil {
		t.Errorf("the third: %v", err)
	}
	for name, err := range map[string]error{
		"end":    r.office.End("other", second.ID),
		"report": second2(r.office.Report("other", second.ID, space.Crowd{})),
		"status": second2(r.office.Status("debate", "nobody")),
	} {
		if space.KindOf(err) != space.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second2[T any](_ T, err error) error { return err }

func TestTheLimitsHold(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		listeners, seconds int
		words              string
	}{{0, 60, "1 to 20000"}, {20001, 60, "1 to 20000"}, {10, 0, "1 to 600 seconds"}, {10, 601, "1 to 600 seconds"}, {-1, -1, "1 to"}} {
		_, err := r.office.Ask("debate", c.listeners, c.seconds)
		if space.KindOf(err) != space.Invalid || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%d for %d s: %v", c.listeners, c.seconds, err)
		}
	}
	r.ask("debate", 20000, 600)
}

// heard are the figures of a crowd that heard all.
func heard(n int) space.Crowd {
	return space.Crowd{Shape: "rush", Listeners: n, Joined: n, Heard: n, Whole: n, Together: n,
		FirstSound: space.Spread{P50: 0.1, P90: 0.2, P99: 0.3, Max: 0.4}, Blocks: 1234, BlocksProven: 12, Bytes: 99, Seconds: 60, Workers: 1}
}

func TestTheReportIsSigned(t *testing.T) {
	r := newRig(t)
	p := r.ask("debate", 15000, 120)
	want := space.Served{Joined: 15010, Hearing: 14990, Skips: 3, Nodes: 2, Processor: 0.634, Late: 0.04, Interval: 4, Depth: 6, Rung: 24}
	serve := func() {
		r.serve("core", p.ID, space.Served{Joined: 5010, Hearing: 4990, Skips: 1, Processor: 0.2, Late: 0.04, Interval: 4, Depth: 6, Rung: 48})
		r.serve("edge", p.ID, space.Served{Joined: 10000, Hearing: 10000, Skips: 2, Processor: 0.634, Interval: 2, Depth: 5, Rung: 24})
		r.serve("edge", "another", space.Served{Joined: 99999, Hearing: 99999})
	}
	serve()
	status, err := r.office.Status("debate", p.ID)
	if err != nil || status.Now != want || status.Worst.Hearing != 14990 || status.Over {
		t.Errorf("status: %+v, %v", status, err)
	}
	r.now = r.now.Add(90 * time.Second)
	serve()
	signed, err := r.office.Report("debate", p.ID, heard(15000))
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewVerifier(r.opts.Signer.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"hustings/rehearsal", "space debate", "rehearsal " + p.ID, "permitted 15000", "began 2026-11-21T20:00:00Z", "ended 2026-11-21T20:01:30Z",
		"capacity 14990", "version 1.0", "setting-backlog 3s", "setting-tls on", "processors 2", "edges 2", "edge https://a.test", "edge https://b.test",
		"crowd-whole 15000", "crowd-first-sound-p99-seconds 0.300", "server-hearing-most 14990", "server-processor-most 0.634", "server-rung-least 24",
	} {
		if !strings.Contains("\n"+opened.Text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, opened.Text)
		}
	}
	altered := strings.Replace(signed, "capacity 14990", "capacity 99990", 1)
	if _, err := note.Open([]byte(altered), note.VerifierList(key)); err == nil || altered == signed {
		t.Errorf("an altered report verifies")
	}
	forbidden(t, r.office.Check("debate", p.Permit), "over")
	if _, err := r.office.Report("debate", p.ID, heard(15000)); space.KindOf(err) != space.NotFound {
		t.Errorf("reported twice: %v", err)
	}
}

// The signature must not cover lines that somebody slipped into a value.
func TestAValueStaysOnItsLine(t *testing.T) {
	r := newRig(t)
	r.backlog = "3s\ncapacity 1000000\x1b[2J"
	p := r.ask("debate", 10, 60)
	signed, err := r.office.Report("debate", p.ID, heard(10))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(signed, "\ncapacity 1000000") || strings.Contains(signed, "\x1b") || !strings.Contains(signed, "setting-backlog 3s?capacity 1000000?[2J\n") {
		t.Errorf("slipped in:\n%s", signed)
	}
}

func TestFiguresThatCantBeAreRefused(t *testing.T) {
	r := newRig(t)
	p := r.ask("debate", 100, 60)
	for name, spoil := range map[string]func(*space.Crowd){
		"more than permitted":   func(c *space.Crowd) { c.Listeners = 101 },
		"more heard than came":  func(c *space.Crowd) { c.Heard = 101 },
		"more whole than heard": func(c *space.Crowd) { c.Heard, c.Together = 50, 50 },
		"more at once":          func(c *space.Crowd) { c.Whole, c.Heard, c.Together = 0, 10, 11 },
		"negative":              func(c *space.Crowd) { c.Gaps = -1 },
		"negative time":         func(c *space.Crowd) { c.FirstSound.P50 = -1 },
		"no shape":              func(c *space.Crowd) { c.Shape = "" },
		"a shape of two lines":  func(c *space.Crowd) { c.Shape = "rush\nx" },
		"more dead":             func(c *space.Crowd) { c.DeadWorkers = 2 },
	} {
		crowd := heard(100)
		spoil(&crowd)
		if _, err := r.office.Report("debate", p.ID, crowd); space.KindOf(err) != space.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.now = r.now.Add(12 * time.Minute)
	if _, err := r.office.Report("debate", p.ID, heard(100)); space.KindOf(err) != space.Conflict {
		t.Errorf("long after: %v", err)
	}
}

func TestCapacityIsThatOfTheLastRehearsal(t *testing.T) {
	r := newRig(t)
	if c := r.office.Capacity(); c.Listeners != 0 || !c.Stale || c.Why == "" || c.RehearsedAt != nil {
		t.Errorf("before any: %+v", c)
	}
	for _, c := range []struct{ crowd, served, want int }{{100, 100, 100}, {50, 60, 50}, {100, 80, 80}} {
		p := r.ask("debate", 100, 60)
		r.serve("core", p.ID, space.Served{Hearing: c.served})
		if _, err := r.office.Report("debate", p.ID, heard(c.crowd)); err != nil {
			t.Fatal(err)
		}
		got := r.office.Capacity()
		if got.Listeners != c.want || got.Stale || got.Why != "" || !got.RehearsedAt.Equal(r.now) || !strings.Contains(got.Report, "hustings/rehearsal") {
			t.Errorf("crowd %d, servers %d: %+v", c.crowd, c.served, got)
		}
	}
}

func TestAnInterruptedRehearsalChangesNoCapacity(t *testing.T) {
	r := newRig(t)
	for _, interrupted := range []bool{false, true} {
		p := r.ask("debate", 100, 60)
		r.serve("core", p.ID, space.Served{Hearing: 80})
		crowd := heard(100)
		if crowd.Interrupted = interrupted; interrupted {
			crowd.Together = 3
		}
		note, err := r.office.Report("debate", p.ID, crowd)
		if err != nil || strings.Contains(note, "\ncapacity unchanged\n") != interrupted {
			t.Errorf("%v: %s", err, note)
		}
		if c := r.office.Capacity(); c.Listeners != 80 || strings.Contains(c.Report, "crowd-interrupted true") {
			t.Errorf("interrupted %v: %+v", interrupted, c)
		}
	}
}

func TestCapacityIsStaleOnceSomethingChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig)
		why    string
	}{
		"version":  {func(r *rig) { r.opts.Version = "1.1" }, "version 1.0 and is 1.1"},
		"setting":  {func(r *rig) { r.backlog = "1s" }, "backlog was 3s and is 1s"},
		"unset":    {func(r *rig) { r.opts.Settings = nil }, "tls was on and is no longer set"},
		"edge":     {func(r *rig) { r.edges = r.edges[1:] }, "edge https://a.test is gone"},
		"new edge": {func(r *rig) { r.edges = append(r.edges, "https://c.test") }, "edge https://c.test is new"},
		"machine":  {func(r *rig) { r.opts.Machine.Processors = 1 }, "had 2 processors and has 1"},
		"memory":   {func(r *rig) { r.opts.Machine.Memory /= 2 }, "memory"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := r.ask("debate", 100, 60)
			r.serve("core", p.ID, space.Served{Hearing: 100})
			if _, err := r.office.Report("debate", p.ID, heard(100)); err != nil {
				t.Fatal(err)
			}
			r.edges = []string{"https://a.test", "https://b.test"} // in another order
			r.restart()
			if got := r.office.Capacity(); got.Stale || got.Listeners != 100 {
				t.Fatalf("after a mere restart: %+v", got)
			}
			c.change(r)
			r.restart()
			if got := r.office.Capacity(); !got.Stale || !strings.Contains(got.Why, c.why) || got.Listeners != 100 {
				t.Errorf("%+v; want it stale with %q", got, c.why)
			}
		})
	}
}

func TestAPermitSurvivesARestart(t *testing.T) {
	r := newRig(t)
	p := r.ask("debate", 100, 60)
	r.restart()
	if err := r.office.Check("debate", p.Permit); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if _, err := r.office.Ask("debate", 1, 1); space.KindOf(err) != space.Conflict {
		t.Errorf("a second one after the restart: %v", err)
	}
	if err := r.office.End("debate", p.ID); err != nil {
		t.Fatal(err)
	}
	r.restart()
	forbidden(t, r.office.Check("debate", p.Permit), "over")
	if _, err := r.office.Report("debate", p.ID, heard(100)); err != nil {
		t.Errorf("reported after the restart: %v", err)
	}
}

// fullDisk keeps nothing.
type fullDisk struct{ data []byte }

func (d fullDisk) Load() ([]byte, error) { return d.data, nil }
func (fullDisk) Save([]byte) error       { return errors.New("no space left on device") }

func TestWhatCantBeKeptIsNotGranted(t *testing.T) {
	r := newRig(t, func(o *permit.Options) { o.Keep = fullDisk{} })
	if _, err := r.office.Ask("debate", 100, 60); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("granted: %v", err)
	}
	r.opts.Keep = nil
	r.restart()
	r.ask("debate", 100, 60)
}

func TestAFileThatIsNoneIsForgotten(t *testing.T) {
	for _, text := range []string{"{", "[]", `{"on":7}`} {
		r := newRig(t, func(o *permit.Options) { o.Keep = fullDisk{data: []byte(text)} })
		if c := r.office.Capacity(); c.Listeners != 0 || !c.Stale {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := permit.New(permit.Options{}); err == nil {
		t.Error("an office without a key")
	}
	if _, err := permit.New(permit.Options{Signer: newSigner(t), MaxListeners: -1}); err == nil {
		t.Error("a negative bound")
	}
	if _, err := permit.NewVerifier(permit.VerifierOptions{}); err == nil {
		t.Error("a verifier without keys")
	}
}

func FuzzCheck(f *testing.F) {
	r := newRig(f)
	good := r.ask("debate", 100, 60).Permit
	f.Add(good)
	f.Add("")
	f.Add(good[:80])
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("hustings/permit\na\nb\nc\nd\ne\n\n— x y\n")))
	f.Fuzz(func(t *testing.T, text string) {
		if err := r.office.Check("debate", text); (err == nil) != (text == good) {
			t.Fatalf("Check(%q) = %v", text, err)
		}
	})
}

func FuzzKept(f *testing.F) {
	r := newRig(f)
	p := r.ask("debate", 100, 60)
	if _, err := r.office.Report("debate", p.ID, heard(100)); err != nil {
		f.Fatal(err)
	}
	data, err := r.opts.Keep.Load()
	if err != nil || !json.Valid(data) {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"on":{"id":"x"}}`))
	signer := newSigner(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		office, err := permit.New(permit.Options{Signer: signer, Keep: fullDisk{data: data}})
		if err != nil {
			t.Fatal(err)
		}
		if c := office.Capacity(); c.Stale == (c.Why == "") {
			t.Fatalf("%+v", c)
		}
	})
}
