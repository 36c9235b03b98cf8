package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hustings/internal/opus"
	"hustings/internal/programme"
)

// tool runs a program and returns what it said.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// A recording with a hole, a resumed epoch and an end is, for the usual tools, a
// file like any other.
func TestToolsFindNothingWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("runs opusinfo, ffmpeg and ffprobe")
	}
	for _, stereo := range []bool{false, true} {
		g := newRig(t).start()
		g.resume(stereo)
		g.write(61, 0, false)
		g.kill()
		g.start()
		g.resume(stereo)
		g.write(60, 77*programme.PacketSamples, true)
		g.finished()
		g.sameRecording()
		want := float64(121*programme.BlockSamples+77*programme.PacketSamples-opus.PreSkip) / programme.SampleRate
		if got := g.info().Length; got != want {
			t.Errorf("the length is %v, want %v", got, want)
		}
		checkOpusinfo(t, g.onDisk("recording.ogg"), want)
		for _, ext := range []string{"ogg", "mp4"} {
			checkFFmpeg(t, g.onDisk("recording."+ext), want)
		}
		g.stop()
	}
}

func checkOpusinfo(t *testing.T, path string, seconds float64) {
	t.Helper()
	out := tool(t, "opusinfo", path)
	for _, bad := range []string{"WARNING", "ERROR", "missing", "hole", "corrupt", "negative", "EOS"} {
		if strings.Contains(out, bad) {
			t.Errorf("opusinfo says %q:\n%s", bad, out)
		}
	}
	length := fmt.Sprintf("Playback length: %dm:%06.3fs", int(seconds)/60, math.Mod(seconds, 60))
	if !strings.Contains(out, length) {
		t.Errorf("opusinfo does not say %q:\n%s", length, out)
	}
}

func checkFFmpeg(t *testing.T, path string, seconds float64) {
	t.Helper()
	if out := tool(t, "ffmpeg", "-v", "warning", "-i", path, "-f", "null", "-"); out != "" {
		t.Errorf("ffmpeg says of %s:\n%s", path, out)
	}
	probed := strings.TrimSpace(tool(t, "ffprobe", "-v", "warning", "-show_entries", "format=duration", "-of", "csv=p=0", path))
	got, err := strconv.ParseFloat(probed, 64)
	if strings.HasSuffix(path, ".ogg") {
		got -= float64(opus.PreSkip) / programme.SampleRate // ffprobe counts it in Ogg, of any encoder
	}
	if err != nil || math.Abs(got-seconds) > 0.0005 {
		t.Errorf("ffprobe gives %s the length %q, want %v", path, probed, seconds)
	}
	// Decoded from the middle on, it has all that follows.
	samples := len(tool(t, "ffmpeg", "-v", "error", "-ss", "30", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "48000", "-")) / 2
	if want := int((seconds - 30) * programme.SampleRate); samples < want-1000 || samples > want+1000 {
		t.Errorf("from 30 s on %s has %d samples, want about %d", path, samples, want)
	}
}

func TestChromiumSeeks(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Chromium")
	}
	g := newRig(t).start()
	g.resume(false)
	g.write(240, 0, true)
	g.finished()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		ext, ok := strings.CutPrefix(q.URL.Path, "/recording.")
		if !ok {
			fmt.Fprint(w, "<!doctype html><title>recording</title>")
			return
		}
		c, err := g.a.Open(q.Context(), town, ext)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		defer c.Close()
		w.Header().Set("Content-Type", c.Type)
		http.ServeContent(w, q, "", c.ModTime, c)
	}))
	defer server.Close()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox,
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for _, ext := range []string{"mp4", "ogg"} {
		if _, err := chromedp.Run(ctx, chromedp.Navigate(server.URL)); err != nil {
			t.Fatal(err)
		}
		said, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(seekScript, ext), chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Duration, At float64
			Error        string
		}
		if err := json.Unmarshal([]byte(said), &got); err != nil {
			t.Fatal(err)
		}
		want := g.info().Length
		if got.Error != "" || math.Abs(got.Duration-want) > 0.01 || got.At < 100.2 {
			t.Errorf("%s in Chromium: %s; want %v long, and to play on from 100 s", ext, said, want)
		}
	}
}

// seekScript goes to 100 s and plays for a moment.
const seekScript = `new Promise(done => {
	const a = new Audio("/recording.%s");
	const tell = error => done(JSON.stringify({duration: a.duration, at: a.currentTime, error}));
	a.onerror = () => tell(a.error.message || "code " + a.error.code);
	a.onloadedmetadata = () => { a.currentTime = 100; };
	a.onseeked = () => a.play().catch(e => tell(String(e)));
	a.ontimeupdate = () => { if (a.currentTime > 100.2 && !a.paused) tell(""); };
	setTimeout(() => tell("nothing in 20 s"), 20000);
})`

// Ten hours are finished, and taken up again after a crash, in a moment.
func TestTenHours(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a log of ten hours")
	}
	const blocks = 10 * 3600 * 2
	g := newRig(t)
	a, err := New(Options{Dir: g.dir, Bus: g.bus, Verifier: g.signer.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	// The fast path: the same writer, log and renderer, without the bus between them.
	r := newRecorder(a, town)
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	w := programme.NewWriter(programme.WriterOptions{Space: town, Signer: g.signer, Publish: func(data []byte) error {
		b, err := programme.UnmarshalBlock(data)
		if err != nil {
			return err
		}
		return r.append(b, data)
	}})
	for seq := range uint64(blocks) {
		pulse := fmt.Appendf(nil, `{"speaking":["%d"]}`, seq/8) // another speaker every 4 s
		if _, err := w.Append(w.End(), tone(t, seq), pulse, seq == blocks-1); err != nil {
			t.Fatal(err)
		}
	}
	r.mu.Lock()
	for {
		more, err := r.renderSome()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	if err := r.render.sync(); err != nil { // as it was all along, but for the last 10 s
		t.Fatal(err)
	}
	asOgg, asMP4 := sizeOf(t, g.onDisk("recording.ogg")), sizeOf(t, g.onDisk("recording.mp4"))
	began := time.Now()
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
	t.Logf("finished in %v", time.Since(began))
	r.mu.Unlock()
	r.closeFiles()
	// How long that takes is up to the machine; what there is to do is not: a page,
	// and a table of four bytes a packet.
	if grew := sizeOf(t, g.onDisk("recording.ogg")) - asOgg; grew > 64<<10 {
		t.Errorf("at the end %d bytes of Ogg were left to write", grew)
	}
	if grew := sizeOf(t, g.onDisk("recording.mp4")) - asMP4; grew > 5*blocks*programme.PacketsPerBlock {
		t.Errorf("at the end %d bytes of MP4 were left to write", grew)
	}
	probed := strings.TrimSpace(tool(t, "ffprobe", "-v", "warning", "-show_entries", "format=duration", "-of", "csv=p=0", g.onDisk("recording.mp4")))
	if probed != "35999.993500" {
		t.Errorf("ffprobe gives the length %s", probed)
	}

	// A crash right before the end, and the log is read again.
	again := newRecorder(a, town)
	began = time.Now()
	if err := again.open(); err != nil {
		t.Fatal(err)
	}
	t.Logf("opened again in %v", time.Since(began))
	if again.log.next() != blocks || again.note == "" {
		t.Errorf("read again: %d blocks, checkpoint %q", again.log.next(), again.note)
	}
	again.closeFiles()
}

func sizeOf(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
