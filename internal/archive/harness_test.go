package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"hustings/internal/bus"
	"hustings/internal/ogg"
	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const town = space.ID("town-hall")

// rig is a bus with an archive on it, and a stage's writer.
type rig struct {
	t       *testing.T
	bus     *bus.Bus
	dir     string
	signer  *programme.Signer
	a       *Archive
	log     *syncBuffer
	metrics *prometheus.Registry // of the newest archive
	stop    func()
	w       *programme.Writer
	sent    []*programme.Block
	state   []byte
}

func newRig(t *testing.T) *rig {
	t.Helper()
	signer, _, err := programme.NewSigner("hustings.test")
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.New(bus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, b.Run)
	receive(t, b.Ready())
	return &rig{t: t, bus: b, dir: t.TempDir(), signer: signer, log: new(syncBuffer)}
}

// run runs f until the test ends, or until stop is called.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func receive[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 s")
	}
	return v
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

// start runs an archive in the rig's folder, as its options change it.
func (g *rig) start(change ...func(*Archive)) *rig {
	g.t.Helper()
	g.metrics = prometheus.NewRegistry()
	a, err := New(Options{
		Dir: g.dir, Bus: g.bus, Verifier: g.signer.Verifier(),
		Logger: slog.New(slog.NewTextHandler(g.log, nil)), Metrics: g.metrics,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range change {
		f(a)
	}
	g.a = a
	g.stop = run(g.t, a.Run)
	receive(g.t, a.Ready())
	return g
}

// kill is what a crash leaves: the folder as it stands, and no archive.
func (g *rig) kill() {
	g.t.Helper()
	copied := g.t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(g.dir)); err != nil {
		g.t.Fatal(err)
	}
	g.stop()
	g.dir = copied
}

// resume lets a stage begin, or begin anew.
func (g *rig) resume(stereo bool) programme.Resume {
	g.t.Helper()
	resume, err := g.a.Resume(town)
	if err != nil {
		g.t.Fatal(err)
	}
	said := resume
	g.w = programme.NewWriter(programme.WriterOptions{
		Space: town, Stereo: stereo, Resume: resume, Signer: g.signer,
		Publish: func(data []byte) error { return g.bus.Publish("hustings.block.town-hall", data) },
	})
	g.state = nil
	return said
}

// write publishes n blocks that begin hole samples after the last, the last of
// them final if it is said so, and waits until the archive has them.
func (g *rig) write(n int, hole int64, final bool) {
	g.t.Helper()
	g.publish(n, hole, final)
	g.waitFor(g.w.Seq())
}

func (g *rig) publish(n int, hole int64, final bool) {
	g.t.Helper()
	for i := range n {
		phase := space.Open
		if g.w.Seq() >= 4 {
			phase = space.Live
		}
		state, err := json.Marshal(space.Pulse{
			Phase: phase, Title: "Town hall", Tally: space.Tally{Now: int(g.w.Seq()), Peak: 99, Total: 100},
			Speaking: [][]space.SeatID{{}, {"a"}, {"b"}}[g.w.Seq()/4%3], Seats: map[space.SeatID]space.PulseSeat{},
		})
		if err != nil {
			g.t.Fatal(err)
		}
		patch, err := programme.Diff(g.state, state)
		if err != nil {
			g.t.Fatal(err)
		}
		g.state = state
		b, err := g.w.Append(g.w.End()+hole, tone(g.t, g.w.Seq()), patch, final && i == n-1)
		if err != nil {
			g.t.Fatal(err)
		}
		hole = 0
		g.sent = append(g.sent, b)
	}
}

// waitFor waits until the log has all blocks below next.
func (g *rig) waitFor(next uint64) {
	g.t.Helper()
	until(g.t, "the blocks are in the log", func() bool {
		r := g.a.known(town)
		if r == nil {
			return g.a.isComplete(town)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.log == nil && r.opened || r.log != nil && r.log.next() >= next
	})
}

func (g *rig) finished() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	if err := g.a.Finished(ctx, town); err != nil {
		g.t.Fatalf("%v; the log says %s", err, g.log)
	}
}

func (g *rig) info() Recording {
	g.t.Helper()
	rec, err := g.a.Info(g.t.Context(), town)
	if err != nil {
		g.t.Fatal(err)
	}
	return rec
}

// wantPackets is what the recording must hold: the top rung of what was
// published, silence where nothing was.
func wantPackets(blocks []*programme.Block) (want [][]byte) {
	channels := 1
	if blocks[0].Stereo {
		channels = 2
	}
	for _, b := range blocks {
		for int64(len(want))*programme.PacketSamples < b.Start {
			want = append(want, opus.Silence(channels))
		}
		want = append(want, b.Rungs[programme.Rung48]...)
	}
	return want
}

// sameRecording checks both files packet for packet.
func (g *rig) sameRecording() {
	g.t.Helper()
	want := wantPackets(g.sent)
	oggPackets := readOgg(g.t, g.content("ogg"))
	mp4Packets := readMP4(g.t, g.content("mp4"))
	for name, got := range map[string][][]byte{"ogg": oggPackets, "mp4": mp4Packets} {
		if len(got) != len(want) {
			g.t.Errorf("%s has %d packets, want %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				g.t.Errorf("%s: packet %d is another one", name, i)
				break
			}
		}
	}
}

func (g *rig) content(ext string) []byte {
	g.t.Helper()
	c, err := g.a.Open(g.t.Context(), town, ext)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	data, err := io.ReadAll(c)
	if err != nil || int64(len(data)) != c.Size {
		g.t.Fatalf("%d bytes of %d, %v", len(data), c.Size, err)
	}
	return data
}

func readOgg(t *testing.T, data []byte) (packets [][]byte) {
	t.Helper()
	r := ogg.NewReader(bytes.NewReader(data))
	for {
		p, err := r.Next()
		if err == io.EOF {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, bytes.Clone(p.Data))
	}
}

// tones are encoded once: a second of a tone for each channel count and rung.
var tones = sync.OnceValues(func() (all [3][50][]byte, err error) {
	for rung := range all {
		enc, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: programme.Rung(rung).Bitrate(false)})
		if err != nil {
			return all, err
		}
		pcm, out := make([]float32, programme.PacketSamples), make([]byte, programme.MaxPacket)
		for i := range all[rung] {
			for s := range pcm {
				pcm[s] = 0.3 * float32(math.Sin(2*math.Pi*440*float64(i*len(pcm)+s)/programme.SampleRate))
			}
			n, err := enc.Encode(pcm, out)
			if err != nil {
				return all, err
			}
			all[rung][i] = bytes.Clone(out[:n])
		}
	}
	return all, nil
})

// tone returns the audio of block seq.
func tone(t testing.TB, seq uint64) (rungs [programme.Rungs]programme.Packets) {
	t.Helper()
	all, err := tones()
	if err != nil {
		t.Fatal(err)
	}
	for r := range rungs {
		first := int(seq%2) * programme.PacketsPerBlock
		rungs[r] = all[r][first : first+programme.PacketsPerBlock]
	}
	return rungs
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

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// disk is a disk that may be full.
type disk struct {
	mu   sync.Mutex // guards what follows
	full bool
	room int // bytes that still fit when it is full
}

func (d *disk) fill(room int) { d.set(true, room) }
func (d *disk) free()         { d.set(false, 0) }

func (d *disk) set(full bool, room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.room = full, room
}

func (d *disk) open(path string) (file, error) {
	f, err := openFile(path)
	return diskFile{f, d}, err
}

type diskFile struct {
	file
	d *disk
}

// WriteAt writes what fits, as a disk does that runs full.
func (f diskFile) WriteAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if !f.d.full || len(p) <= f.d.room {
		f.d.room -= len(p)
		return f.file.WriteAt(p, at)
	}
	n, err := f.file.WriteAt(p[:f.d.room], at)
	f.d.room = 0
	if err == nil {
		err = &os.PathError{Op: "write", Path: "test", Err: syscall.ENOSPC}
	}
	return n, err
}

// memFile is a file in memory.
type memFile struct{ data []byte }

func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, at)
}

func (f *memFile) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); need > len(f.data) {
		f.data = append(f.data, make([]byte, need-len(f.data))...)
	}
	return copy(f.data[at:], p), nil
}

func (f *memFile) Truncate(size int64) error { f.data = f.data[:size]; return nil }
func (f *memFile) Size() (int64, error)      { return int64(len(f.data)), nil }
func (f *memFile) Sync() error               { return nil }
func (f *memFile) Close() error              { return nil }

// onDisk returns the path of a file of the town hall.
func (g *rig) onDisk(name string) string { return filepath.Join(g.dir, string(town), name) }
