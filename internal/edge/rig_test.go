package edge

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hustings/internal/archive"
	"hustings/internal/bus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	town   = space.ID("town-hall")
	secret = "correct-horse-battery"
)

// rig is a core: its bus with a port, its archive, and a stage's writer.
type rig struct {
	t       *testing.T
	bus     *bus.Bus
	signer  *programme.Signer
	archive *archive.Archive
	core    *Core
	spaces  *shelf
	w       *programme.Writer
	blocks  []*programme.Block
	data    [][]byte // the same as they were published
	log     syncBuffer
}

func newSigner(t *testing.T) *programme.Signer {
	t.Helper()
	s, _, err := programme.NewSigner("hustings.test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, signer: newSigner(t), spaces: new(shelf)}
	r.bus = runBus(t, bus.Options{Name: "core", Listen: "127.0.0.1:0", Secret: secret})
	var err error
	r.archive, err = archive.New(archive.Options{Dir: t.TempDir(), Bus: r.bus, Verifier: r.signer.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	run(t, r.archive.Run)
	receive(t, r.archive.Ready())
	r.core, err = NewCore(CoreOptions{Bus: r.bus, Signer: r.signer, Spaces: r.spaces, URL: "https://core.example.org", Weight: 5, Logger: r.log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	r.core.settled = 0 // nobody was there before
	run(t, r.core.Run)
	receive(t, r.core.Ready())
	return r
}

func runBus(t *testing.T, o bus.Options) *bus.Bus {
	t.Helper()
	b, err := bus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, b.Run)
	receive(t, b.Ready())
	return b
}

// run runs f until the test ends, or until stop is called, which returns its error.
func run(t *testing.T, f func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return stop
}

func receive[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came in 20 s")
	}
	return v
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s still not: %s", what)
		}
	}
}

// join is an edge of the rig, as its options are changed; it does not run yet.
func (r *rig) join(change ...func(*Options)) *Edge {
	r.t.Helper()
	o := Options{
		Bus:  runBus(r.t, bus.Options{Name: "edge", URL: bus.JoinURL(r.bus.Address(), secret, false)}),
		Name: "e1", URL: "https://e1.example.org", Weight: 10,
	}
	for _, f := range change {
		f(&o)
	}
	e, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// epoch begins one where the archive says.
func (r *rig) epoch() {
	r.t.Helper()
	resume, err := r.archive.Resume(town)
	if err != nil {
		r.t.Fatal(err)
	}
	r.blocks, r.data = r.blocks[:resume.Seq], r.data[:resume.Seq]
	r.w = programme.NewWriter(programme.WriterOptions{Space: town, Resume: resume, Signer: r.signer, Publish: func(data []byte) error {
		r.data = append(r.data, data)
		return r.bus.Publish("hustings.block."+string(town), data)
	}})
}

// say writes n blocks.
func (r *rig) say(n int) []*programme.Block {
	r.t.Helper()
	for range n {
		b, err := r.w.Append(r.w.End(), sound(r.w.Seq()), fmt.Appendf(nil, `{"title":"block %d"}`, r.w.Seq()), false)
		if err != nil {
			r.t.Fatal(err)
		}
		r.blocks = append(r.blocks, b)
	}
	return slices.Clone(r.blocks[len(r.blocks)-n:])
}

// kept waits until all that was said is in the archive.
func (r *rig) kept() {
	r.t.Helper()
	until(r.t, "the archive has it all", func() bool {
		_, err := Reader{Bus: r.bus}.Snapshot(r.t.Context(), town, uint64(len(r.data)))
		return err == nil
	})
}

// sound is nothing that can be heard, but no two blocks have the same.
func sound(seq uint64) (rungs [programme.Rungs]programme.Packets) {
	for r := range rungs {
		for i := range programme.PacketsPerBlock {
			rungs[r] = append(rungs[r], fmt.Appendf(nil, "packet %d of rung %d in %d", i, r, seq))
		}
	}
	return rungs
}

// altered is a block with something else in it.
func (r *rig) altered(seq int, change func(*programme.Block)) *programme.Block {
	r.t.Helper()
	b, err := programme.UnmarshalBlock(bytes.Clone(r.data[seq]))
	if err != nil {
		r.t.Fatal(err)
	}
	change(b)
	return b
}

// shelf is the core's store.
type shelf struct {
	mu     sync.Mutex // guards what follows
	spaces []space.Space
	fail   error
}

func (s *shelf) add(spaces ...space.Space) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spaces = append(s.spaces, spaces...)
}

func (s *shelf) List(_ context.Context, after space.ID, limit int) (page []space.Space, next space.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := slices.IndexFunc(s.spaces, func(sp space.Space) bool { return sp.ID == after }) + 1
	page = slices.Clone(s.spaces[from:min(from+limit, len(s.spaces))])
	if from+limit < len(s.spaces) {
		next = page[len(page)-1].ID
	}
	return page, next, s.fail
}

type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.buf.String(), text)
}

func (b *syncBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
