package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hustings/internal/client"
	"hustings/internal/fmp4"
	"hustings/internal/hls"
	"hustings/internal/opus"
)

// hlsHz is the tone that is spoken in the tests of HLS.
const hlsHz = 1300

// hum speaks a tone without end, with a pause in each second.
type hum struct {
	encoder *opus.Encoder
	at      int // in samples
}

func (h *hum) Next() ([]byte, int, error) {
	frame, packet := make([]float32, opus.FrameSamples), make([]byte, opus.MaxBytes)
	for i := range frame {
		if (h.at+i)%sampleRate < sampleRate*7/10 {
			frame[i] = float32(0.25 * math.Sin(2*math.Pi*hlsHz*float64(h.at+i)/sampleRate))
		}
	}
	h.at += len(frame)
	n, err := h.encoder.Encode(frame, packet)
	return packet[:n], opus.FrameSamples, err
}

// humming is a server with a live space in which somebody hums.
func humming(t *testing.T) (*server, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("plays for a while")
	}
	s, id := liveSpace(t, "By HLS")
	encoder, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: 64000})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	connected := make(chan struct{})
	var once sync.Once
	var speaking sync.WaitGroup
	speaking.Go(func() {
		in := s.invite(t, id, "speaker", "Hummer")
		_, err := client.Publish(ctx, client.PublishOptions{
			URL: s.url + "/s/" + id, Token: in.Token, Source: &hum{encoder: encoder}, Connected: func() { once.Do(func() { close(connected) }) },
		})
		if err != nil && ctx.Err() == nil {
			t.Errorf("humming: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		speaking.Wait()
	})
	select {
	case <-connected:
	case <-time.After(30 * time.Second):
		t.Fatal("the hummer does not get on stage")
	}
	return s, id
}

// codecs are those that this machine can make.
func codecs(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		return []string{"opus"}
	}
	return []string{"opus", "aac"}
}

// TestFFmpegPlaysHLS: another player hears what is said, in each codec.
func TestFFmpegPlaysHLS(t *testing.T) {
	t.Parallel() // it waits more than it works
	s, id := humming(t)
	for _, codec := range codecs(t) {
		pcm := decodeHLS(t, s.url+"/live/"+id+".m3u8?codec="+codec, 12*time.Second)
		if level := loudest(pcm, hlsHz); level < audible || len(pcm) < 11*sampleRate {
			t.Errorf("%s: %.1f s with the tone at %.1f dBFS", codec, float64(len(pcm))/sampleRate, level)
		}
		if level := loudest(pcm, hlsHz+700); level > audible {
			t.Errorf("%s: another tone at %.1f dBFS", codec, level)
		}
	}
}

// decodeHLS is decode, but for a word of ffmpeg's about every initialisation segment
// that it reads: it takes one before each segment.
func decodeHLS(t *testing.T, source string, most time.Duration) []float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-v", "warning", "-i", source,
		"-t", fmt.Sprintf("%.3f", most.Seconds()), "-f", "s16le", "-ac", "1", "-ar", "48000", "-")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg -i %s: %v\n%s", source, err, said.String())
	}
	for line := range strings.Lines(said.String()) {
		if !strings.Contains(line, "duplicated MOOV") && !strings.Contains(line, "Last message repeated") {
			t.Errorf("ffmpeg warns of %s: %s", source, line)
		}
	}
	pcm := make([]float64, out.Len()/2)
	for i := range pcm {
		pcm[i] = float64(int16(binary.LittleEndian.Uint16(out.Bytes()[2*i:]))) / 32768
	}
	return pcm
}

// TestBothCodecsHaveOneClock: what is in AAC is in Opus at the same time, to the
// sample, as decoded from what the playlists name.
func TestBothCodecsHaveOneClock(t *testing.T) {
	t.Parallel() // it waits more than it works
	if len(codecs(t)) < 2 {
		t.Skip("needs ffmpeg")
	}
	s, id := humming(t)
	heard := map[string][]float64{}
	begins := map[string]int64{}
	for rendition, codec := range map[string]string{"opus48": "opus", "aac": "aac"} {
		base := s.url + "/live/" + id + "/"
		until := time.Now().Add(40 * time.Second)
		var list hls.Playlist
		for n := 0; n < 3; time.Sleep(300 * time.Millisecond) {
			var err error
			if list, err = hls.Parse(body(t, base+rendition+".m3u8?codec="+codec)); err != nil {
				t.Fatal(err)
			}
			n = 0
			for _, segment := range list.Segments {
				if segment.URI != "" {
					n++
				}
			}
			if time.Now().After(until) {
				t.Fatalf("%s: %d segments", rendition, n)
			}
		}
		file := body(t, base+list.Segments[0].Map)
		for i, segment := range list.Segments {
			if segment.URI == "" {
				break
			}
			data := body(t, base+segment.URI)
			file = append(file, data...)
			if i == 0 {
				begins[codec] = timeOf(t, file)
			}
		}
		name := filepath.Join(t.TempDir(), rendition+".mp4")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		heard[codec] = decode(t, name, 0)
		if codec == "opus" {
			begins[codec] += opus.PreSkip // ffmpeg throws these away
		}
	}
	// Where the tone begins, in the log's clock, in each.
	lag, alike := alignment(heard["opus"], begins["opus"], heard["aac"], begins["aac"])
	if lag < -48 || lag > 48 || alike < 0.95 {
		t.Errorf("AAC is %d samples behind Opus (%.3f alike)", lag, alike)
	}
}

// timeOf returns when the first fragment of a file begins.
func timeOf(t *testing.T, file []byte) int64 {
	t.Helper()
	r := fmp4.NewReader(bytes.NewReader(file))
	for {
		part, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if part.Fragment != nil {
			return int64(part.Fragment.Time)
		}
	}
}

// alignment returns by how many samples b lags behind a, each beginning at a time of
// one clock, and how alike they are then. The tone repeats itself 1,300 times a
// second, so the pauses in it are what is compared: its level by tenths of a
// millisecond.
func alignment(a []float64, aBegins int64, b []float64, bBegins int64) (lag int, alike float64) {
	from := max(aBegins, bBegins) + sampleRate
	const span, most = 4 * sampleRate, 4800
	level := func(pcm []float64, begins int64, shift int) []float64 {
		out, sum := make([]float64, 0, span/48), 0.0
		start := int(from-begins) + shift
		for i := start; i < start+span && i < len(pcm); i++ {
			sum += math.Abs(pcm[i])
			if (i-start)%48 == 47 {
				out, sum = append(out, sum), 0
			}
		}
		return out
	}
	base := level(a, aBegins, 0)
	for shift := -most; shift <= most; shift += 12 {
		other := level(b, bBegins, shift)
		var ab, aa, bb float64
		for i := range min(len(base), len(other)) {
			ab, aa, bb = ab+base[i]*other[i], aa+base[i]*base[i], bb+other[i]*other[i]
		}
		if c := ab / math.Sqrt(aa*bb+1e-12); c > alike {
			lag, alike = shift, c
		}
	}
	return lag, alike
}

func body(t *testing.T, address string) []byte {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v\n%s", address, response.Status, err, data)
	}
	return data
}

// hlsPage plays an address when its button is pressed: by the browser itself, or by
// hls.js. It keeps all errors, and measures how loud the tone is.
const hlsPage = `<!doctype html><button id=go>play</button><audio id=sound></audio><script src=/hls.js></script>
<script>
const faults = [], audio = document.getElementById('sound');
let analyser, player;
audio.onerror = () => faults.push('element: ' + audio.error.message);
function begin() {
	const query = new URLSearchParams(location.search), address = query.get('src');
	const context = new AudioContext({ sampleRate: 48000 });
	analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0, minDecibels: -140 });
	const source = context.createMediaElementSource(audio);
	source.connect(analyser);
	source.connect(context.destination);
	if (query.has('native')) audio.src = address;
	else {
		player = new Hls({ lowLatencyMode: true, enableWorker: false });
		player.on(Hls.Events.ERROR, (_, what) => faults.push(what.type + ': ' + what.details + ' ' + (what.error?.message ?? '')));
		player.loadSource(address);
		player.attachMedia(audio);
	}
	audio.play().catch((err) => faults.push('play: ' + err));
	setInterval(() => {
		const now = new Float32Array(analyser.frequencyBinCount);
		analyser.getFloatFrequencyData(now);
		const at = Math.round(%d / 48000 * 8192);
		peak = Math.max(peak, ...now.slice(at - 2, at + 3));
	}, 50);
}
let peak = -200;
document.getElementById('go').onclick = begin;
const urls = () => performance.getEntriesByType('resource').map((entry) => entry.name);
</script>`

// hlsFront is a site with the page, hls.js, and the server's /live/ behind it, so that
// all is of one origin.
func hlsFront(t *testing.T, s *server) string {
	t.Helper()
	script, err := os.ReadFile("../ui/node_modules/hls.js/dist/hls.light.min.js")
	if err != nil {
		t.Skip("hls.js is not installed: `make pages` does it")
	}
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, hlsPage, hlsHz)
	})
	mux.HandleFunc("GET /hls.js", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/javascript")
		_, _ = rw.Write(script)
	})
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // a closed page's last reload
	mux.Handle("/live/", proxy)
	front := httptest.NewServer(mux)
	t.Cleanup(front.Close)
	return front.URL
}

// TestBrowsersPlayHLS: Chromium's own HLS and hls.js play each codec, with sound that
// goes on, without an error, close to what is said, and count as one listener.
func TestBrowsersPlayHLS(t *testing.T) {
	s, id := humming(t)
	front := hlsFront(t, s)
	for _, codec := range codecs(t) {
		for _, by := range []string{"native", "hlsjs"} {
			t.Run(by+" "+codec, func(t *testing.T) { playHLS(t, s, front, id, by, codec) })
		}
	}
}

func playHLS(t *testing.T, s *server, front, id, by, codec string) {
	ctx := browser(t, "")
	address := front + "/?" + by + "&src=" + url.QueryEscape("/live/"+id+".m3u8?codec="+codec)
	do(t, ctx, chromedp.Navigate(address))
	if by == "native" && !eval[bool](t, ctx, `document.createElement('audio').canPlayType('application/vnd.apple.mpegurl') !== ''`) {
		t.Skip("this Chromium has no HLS of its own")
	}
	pressed := time.Now()
	do(t, ctx, chromedp.Click(chromedp.CSS("#go"), chromedp.NodeVisible))
	until(t, ctx, `faults.length > 0 || audio.currentTime > 0 && !audio.paused && audio.readyState >= 3`)
	sound := time.Since(pressed)
	from := eval[float64](t, ctx, `audio.currentTime`)
	until(t, ctx, fmt.Sprintf(`faults.length > 0 || audio.currentTime > %f`, from+12))
	until(t, ctx, fmt.Sprintf(`faults.length > 0 || peak > %d`, audible))
	if faults := eval[[]string](t, ctx, `faults`); len(faults) > 0 {
		t.Fatalf("faults: %v\nit asked for:\n%s", faults, strings.Join(eval[[]string](t, ctx, `urls()`), "\n"))
	}
	var parts int
	for _, asked := range eval[[]string](t, ctx, `urls()`) {
		if !strings.HasPrefix(asked, front) {
			t.Errorf("it asked for %s", asked)
		}
		if strings.Contains(asked, "/b/") {
			parts++
		}
	}
	if by == "hlsjs" {
		behind := eval[float64](t, ctx, `player.latency`)
		if behind > 6 || parts == 0 {
			t.Errorf("%.1f s behind, by %d parts", behind, parts)
		}
		t.Logf("first sound after %v, then %.2f s behind the newest, by %d parts", sound.Round(time.Millisecond), behind, parts)
	}
	if by == "native" {
		t.Logf("first sound after %v", sound.Round(time.Millisecond))
	}
	var told struct {
		Tally struct{ Now int }
	}
	deadline := time.Now().Add(20 * time.Second)
	for told.Tally.Now == 0 && time.Now().Before(deadline) {
		if err := json.Unmarshal(body(t, s.url+"/live/"+id+"/pulse"), &told); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if told.Tally.Now < 1 {
		t.Errorf("the tally says %d", told.Tally.Now)
	}
}
