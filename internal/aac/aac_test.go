package aac_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hustings/internal/aac"
	"hustings/internal/opus"
	"hustings/internal/space"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience     = 20 * time.Second
	town         = space.ID("town")
	blockSamples = 24000
)

// tape is a log whose blocks are put one by one.
type tape struct {
	mu      sync.Mutex // guards what follows
	blocks  []aac.Block
	packets map[aac.Block][][]byte
	final   bool
	gone    bool
	changed chan struct{}
}

func newTape() *tape {
	return &tape{packets: map[aac.Block][][]byte{}, changed: make(chan struct{})}
}

func (l *tape) Window(space.ID) ([]aac.Block, bool, <-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]aac.Block(nil), l.blocks...), l.final, l.changed, len(l.blocks) > 0 && !l.gone
}

func (l *tape) Packets(_ space.ID, epoch uint32, seq uint64) ([][]byte, int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.blocks {
		if b.Epoch == epoch && b.Seq == seq {
			return l.packets[b], 1, true
		}
	}
	return nil, 0, false
}

func (l *tape) change(by func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	by()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *tape) put(b aac.Block, packets [][]byte) {
	l.change(func() { l.blocks, l.packets[b] = append(l.blocks, b), packets })
}

// sound is noise, the same at each time of the log however it is cut: what comes out
// can be found in it.
func sound(samples int) []float32 {
	random := rand.New(rand.NewPCG(1, 2))
	pcm, low := make([]float32, samples), 0.0
	for i := range pcm {
		low += 0.1 * (random.Float64()*2 - 1 - low)
		pcm[i] = float32(low * (1 + 0.8*math.Sin(float64(i)/4000)))
	}
	return pcm
}

// encode returns the blocks of sound.
func encode(t testing.TB, pcm []float32) (blocks [][][]byte) {
	t.Helper()
	enc, err := opus.NewEncoder(opus.EncoderOptions{Bitrate: 64000, Music: true})
	if err != nil {
		t.Fatal(err)
	}
	var block [][]byte
	for ; len(pcm) >= opus.FrameSamples; pcm = pcm[opus.FrameSamples:] {
		packet := make([]byte, opus.MaxBytes)
		n, err := enc.Encode(pcm[:opus.FrameSamples], packet)
		if err != nil {
			t.Fatal(err)
		}
		if block = append(block, packet[:n]); len(block) == 25 {
			blocks, block = append(blocks, block), nil
		}
	}
	return blocks
}

// run runs an encoder until the test ends.
func run(t *testing.T, o aac.Options) *aac.Encoder {
	t.Helper()
	e, err := aac.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return e
}

// until waits for a window that is as it should be.
func until(t *testing.T, e *aac.Encoder, what string, is func(aac.Window) bool) aac.Window {
	t.Helper()
	deadline := time.After(patience)
	for {
		w, ok := e.Window(town)
		if ok && is(w) {
			return w
		}
		if !ok { // not yet, or not any more
			closed := make(chan struct{})
			time.AfterFunc(10*time.Millisecond, func() { close(closed) })
			w.Changed = closed
		}
		select {
		case <-w.Changed:
		case <-deadline:
			t.Fatalf("%s: %+v", what, w)
		}
	}
}

// hear decodes parts by ffmpeg, as one file.
func hear(t *testing.T, e *aac.Encoder, parts []aac.Part) []float32 {
	t.Helper()
	data, ok := e.Init(town)
	if !ok {
		t.Fatal("no initialisation segment")
	}
	for _, p := range parts {
		piece, ok := e.Part(town, p.Epoch, p.Seq)
		if !ok {
			t.Fatalf("part %d of epoch %d is not there", p.Seq, p.Epoch)
		}
		data = append(data, piece...)
	}
	name := filepath.Join(t.TempDir(), "x.mp4")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-i", name, "-f", "f32le", "-ac", "1", "-ar", "48000", "pipe:1")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Fatalf("ffmpeg: %v %s", err, &said)
	}
	pcm := make([]float32, out.Len()/4)
	if _, err := binary.Decode(out.Bytes(), binary.LittleEndian, pcm); err != nil {
		t.Fatal(err)
	}
	return pcm
}

// offset returns by how many samples heard lags behind want, of which it is a copy,
// and how alike they are then, up to 1.
func offset(want, heard []float32, most int) (lag int, alike float64) {
	const span = 20000
	for d := -most; d <= most; d++ {
		var ab, aa, bb float64
		for i := most; i < most+span; i++ {
			a, b := float64(want[i]), float64(heard[i+d])
			ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
		}
		if c := ab / math.Sqrt(aa*bb); c > alike {
			lag, alike = d, c
		}
	}
	return lag, alike
}

// checkParts wants parts that follow from one another on the grid.
func checkParts(t *testing.T, parts []aac.Part) {
	t.Helper()
	for i, p := range parts {
		if p.Start%aac.FrameSamples != 0 || p.Samples%aac.FrameSamples != 0 {
			t.Errorf("part %d is off the grid: %+v", p.Seq, p)
		}
		length := time.Duration(p.Samples) * time.Second / 48000
		if last := i == len(parts)-1; length > aac.PartTarget || !last && length*100 < aac.PartTarget*85 {
			t.Errorf("part %d is of %v", p.Seq, length)
		}
		if i > 0 && (p.Seq != parts[i-1].Seq+1 || p.Start != parts[i-1].Start+parts[i-1].Samples) {
			t.Errorf("part %+v does not follow from %+v", p, parts[i-1])
		}
	}
}

func needFFmpeg(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs ffmpeg")
	}
}

// TestTheClockIsThatOfTheLog: what is heard is what was said, at the time when the
// Opus renditions have it, from the first sample to the last.
func TestTheClockIsThatOfTheLog(t *testing.T) {
	needFFmpeg(t)
	const blocks = 12
	pcm := sound(blocks * blockSamples)
	l := newTape()
	encoded := encode(t, pcm)
	e := run(t, aac.Options{Log: l})
	for seq, packets := range encoded {
		l.put(aac.Block{Epoch: 1, Seq: uint64(seq), Start: int64(seq) * blockSamples}, packets)
		if seq == 5 { // the past is taken up, and then one block after another
			first := until(t, e, "some parts", func(w aac.Window) bool { return len(w.Parts) > 0 })
			if len(first.Parts) < 6 {
				t.Errorf("%d parts are shown before the past is made up", len(first.Parts))
			}
			checkParts(t, first.Parts)
		}
	}
	// A part is out when its block is in: nothing of it waits for the next block.
	w := until(t, e, "all parts", func(w aac.Window) bool { return len(w.Parts) == blocks })
	if w.Final {
		t.Error("it has not ended")
	}
	l.change(func() { l.final = true })
	w = until(t, e, "the end", func(w aac.Window) bool { return w.Final })
	checkParts(t, w.Parts)
	if len(w.Parts) != blocks+1 || w.Parts[0].Start != 0 {
		t.Fatalf("%+v", w.Parts)
	}
	heard := hear(t, e, w.Parts)
	if end := w.Parts[blocks].Start + w.Parts[blocks].Samples; end < blocks*blockSamples || end > blocks*blockSamples+aac.FrameSamples || int64(len(heard)) != end {
		t.Errorf("%d samples heard, the last part ends at %d; want %d", len(heard), end, blocks*blockSamples)
	}
	for _, at := range []int{0, 100_000, 200_000} {
		// The codec delay of Opus is in the log's clock: other renditions have it too.
		lag, alike := offset(pcm[at:], heard[at:], 1200)
		if lag != opus.PreSkip || alike < 0.9 {
			t.Errorf("at %d: %d samples late (%.3f alike); want %d", at, lag, alike, opus.PreSkip)
		}
	}
}

// TestOneWhoComesLate hears whole segments of the past, and the same grid of frames.
func TestOneWhoComesLate(t *testing.T) {
	needFFmpeg(t)
	const blocks = 60
	pcm := sound(blocks * blockSamples)
	l := newTape()
	const start = 960 * 7 // the log of an epoch may begin anywhere
	for seq, packets := range encode(t, pcm) {
		l.put(aac.Block{Epoch: 3, Seq: uint64(seq) + 100, Start: start + int64(seq)*blockSamples}, packets)
	}
	e := run(t, aac.Options{Log: l, History: 10 * time.Second})
	w := until(t, e, "the past", func(w aac.Window) bool {
		return len(w.Parts) > 0 && w.Parts[len(w.Parts)-1].Seq == 100+blocks-1
	})
	checkParts(t, w.Parts)
	if first := w.Parts[0]; first.Seq%8 != 0 || len(w.Parts) < 13 || len(w.Parts) > 20 {
		t.Errorf("it begins at %d, with %d parts", first.Seq, len(w.Parts))
	}
	heard := hear(t, e, w.Parts)
	from := int(w.Parts[0].Start - start)
	if lag, alike := offset(pcm[from+2048:], heard[2048:], 1200); lag != opus.PreSkip || alike < 0.9 {
		t.Errorf("%d samples late (%.3f alike)", lag, alike)
	}
}

// TestANewEpoch goes on with a process of its own, where the log does.
func TestANewEpoch(t *testing.T) {
	needFFmpeg(t)
	pcm := sound(10 * blockSamples)
	encoded := encode(t, pcm)
	l := newTape()
	e := run(t, aac.Options{Log: l})
	for seq := range 5 {
		l.put(aac.Block{Epoch: 1, Seq: uint64(seq), Start: int64(seq) * blockSamples}, encoded[seq])
	}
	until(t, e, "the first epoch", func(w aac.Window) bool { return len(w.Parts) >= 5 })
	const hole = 48000
	for seq := 5; seq < 10; seq++ {
		l.put(aac.Block{Epoch: 2, Seq: uint64(seq), Start: int64(seq)*blockSamples + hole}, encoded[seq])
	}
	w := until(t, e, "the second epoch", func(w aac.Window) bool { return len(w.Parts) == 5+1+5 })
	checkParts(t, w.Parts[:6])
	checkParts(t, w.Parts[6:])
	if tail, next := w.Parts[5], w.Parts[6]; tail.Epoch != 1 || tail.Start+tail.Samples < 5*blockSamples || next.Epoch != 2 || next.Seq != 5 || next.Start <= 5*blockSamples+hole-aac.FrameSamples {
		t.Errorf("%+v is followed by %+v", tail, next)
	}
	heard := hear(t, e, w.Parts[6:])
	from := w.Parts[6].Start - hole
	if lag, alike := offset(pcm[from+2048:], heard[2048:], 1200); lag != opus.PreSkip || alike < 0.9 {
		t.Errorf("%d samples late (%.3f alike)", lag, alike)
	}
}

// script writes a program that stands for ffmpeg. It passes on what says that it can
// encode at all.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(name, []byte("#!/bin/sh\ncase \"$*\" in *s16le*) exec ffmpeg \"$@\";; esac\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAProcessThatDies is started anew, and nothing is missing or twice.
func TestAProcessThatDies(t *testing.T) {
	needFFmpeg(t)
	const blocks = 10
	pcm := sound(blocks * blockSamples)
	l := newTape()
	log := &lockedBuffer{}
	mark := filepath.Join(t.TempDir(), "mark")
	// The first one dies of too little memory after what it has read of some blocks.
	program := script(t, "if [ -e "+mark+" ]; then exec ffmpeg \"$@\"; fi\ntouch "+mark+"\nhead -c 30000 | ffmpeg \"$@\"\necho 'no memory' >&2\nexit 3\n")
	e := run(t, aac.Options{Log: l, FFmpeg: program, Logger: slog.New(slog.NewTextHandler(log, nil))})
	for seq, packets := range encode(t, pcm) {
		l.put(aac.Block{Seq: uint64(seq), Start: int64(seq) * blockSamples}, packets)
	}
	w := until(t, e, "all parts", func(w aac.Window) bool { return len(w.Parts) == blocks })
	checkParts(t, w.Parts)
	if !strings.Contains(log.String(), "no memory") || !strings.Contains(log.String(), "started anew") {
		t.Errorf("the log says: %s", log.String())
	}
	heard := hear(t, e, w.Parts)
	for _, at := range []int{0, 60_000, 150_000} {
		if lag, alike := offset(pcm[at:], heard[at:], 1200); lag != opus.PreSkip || alike < 0.9 {
			t.Errorf("at %d: %d samples late (%.3f alike)", at, lag, alike)
		}
	}
}

// TestWhatComesOutIsNotBelieved: garbage on the way out is no sound, and no fault.
func TestWhatComesOutIsNotBelieved(t *testing.T) {
	needFFmpeg(t)
	l, log := newTape(), &lockedBuffer{}
	e := run(t, aac.Options{Log: l, FFmpeg: script(t, "echo this is no ADTS; cat >/dev/null\n"), Logger: slog.New(slog.NewTextHandler(log, nil))})
	l.put(aac.Block{}, encode(t, sound(blockSamples))[0])
	if w, ok := waitVoice(t, e); !ok || len(w.Parts) > 0 {
		t.Fatalf("%+v %v", w, ok)
	}
	l.change(func() { l.final = true })
	eventually(t, "the log tells", func() bool { return strings.Contains(log.String(), "not AAC") })
	if w, _ := e.Window(town); len(w.Parts) > 0 {
		t.Errorf("parts of garbage: %+v", w.Parts)
	}
}

func waitVoice(t *testing.T, e *aac.Encoder) (w aac.Window, ok bool) {
	t.Helper()
	eventually(t, "it is made", func() bool { w, ok = e.Window(town); return ok })
	return w, ok
}

// TestNobodyAsks: a rendition that is not asked for any more is not made any more, and
// its process ends.
func TestNobodyAsks(t *testing.T) {
	needFFmpeg(t)
	l := newTape()
	gone := filepath.Join(t.TempDir(), "gone")
	program := script(t, "ffmpeg \"$@\"\ntouch "+gone+"\n")
	e := run(t, aac.Options{Log: l, FFmpeg: program, Idle: 100 * time.Millisecond})
	blocks := encode(t, sound(4*blockSamples))
	l.put(aac.Block{}, blocks[0])
	waitVoice(t, e)
	eventually(t, "its process ends", func() bool { _, err := os.Stat(gone); return err == nil })
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	for seq := 1; seq < 4; seq++ {
		l.put(aac.Block{Seq: uint64(seq), Start: int64(seq) * blockSamples}, blocks[seq])
	}
	until(t, e, "it is made again", func(w aac.Window) bool { return len(w.Parts) > 0 && w.Parts[len(w.Parts)-1].Seq == 3 })
	eventually(t, "that ends too", func() bool { _, err := os.Stat(gone); return err == nil })
}

// TestItEndsWithTheServer: processes are killed that do not end by themselves, with
// what they have started. This one reads nothing, so that it holds up who feeds it.
func TestItEndsWithTheServer(t *testing.T) {
	needFFmpeg(t)
	l := newTape()
	name := filepath.Join(t.TempDir(), "pid")
	program := script(t, "trap '' TERM INT PIPE\nsleep 600 & echo $! > "+name+"\nwhile :; do sleep 1; done\n")
	e, err := aac.New(aac.Options{Log: l, FFmpeg: program})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for seq, packets := range encode(t, sound(30*blockSamples)) { // more than a pipe takes
		l.put(aac.Block{Seq: uint64(seq), Start: int64(seq) * blockSamples}, packets)
	}
	waitVoice(t, e)
	var pid string
	eventually(t, "it runs", func() bool {
		data, _ := os.ReadFile(name)
		pid = strings.TrimSpace(string(data))
		return pid != ""
	})
	began := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("it took %v, which is more than a server has to end", took)
	}
	eventually(t, "its child is gone", func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ") // dead, and not yet buried by init
	})
	if _, ok := e.Window(town); ok {
		t.Error("a rendition after the end")
	}
}

func TestWithoutFFmpeg(t *testing.T) {
	l, log := newTape(), &lockedBuffer{}
	l.put(aac.Block{}, nil)
	for name, program := range map[string]string{
		"not installed": filepath.Join(t.TempDir(), "nothing"),
		"can't encode":  mustScript(t, "echo unknown encoder >&2; exit 1\n"),
	} {
		e := run(t, aac.Options{Log: l, FFmpeg: program, Logger: slog.New(slog.NewTextHandler(log, nil))})
		eventually(t, name, func() bool { ok, reason := e.Available(); return !ok && strings.Contains(reason, "install") })
		if _, ok := e.Window(town); ok {
			t.Errorf("%s: a rendition all the same", name)
		}
		if _, ok := e.Part(town, 0, 0); ok {
			t.Errorf("%s: a part all the same", name)
		}
	}
	eventually(t, "the log tells", func() bool {
		return strings.Contains(log.String(), "unknown encoder") && strings.Count(log.String(), "no AAC rendition") == 2
	})
	if _, err := aac.New(aac.Options{}); err == nil {
		t.Error("an encoder without a log")
	}
}

func mustScript(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

type lockedBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
