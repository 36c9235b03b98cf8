package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// The tones of the three who speak. The hold audio is silent at all of them.
const (
	annaHz   = 1200
	benHz    = 1900
	greenHz  = 3300 // speaks while the doors are open only
	audible  = -45  // dBFS: a tone of -12 dBFS stays far above this through every codec
	inaudble = -60
)

// spy lets the test hear what the page hears: the spectrum of every track that
// comes in by WebRTC, and every element that plays.
const spy = `
window.heard = []; window.players = new Set(); window.granted = 0;
const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (ask) navigator.mediaDevices.getUserMedia = async (wanted) => { const got = await ask(wanted); setTimeout(() => granted++, 100); return got };
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { players.add(this); return play.call(this) };
const Native = RTCPeerConnection;
window.RTCPeerConnection = class extends Native {
  constructor(...args) {
    super(...args);
    this.addEventListener('track', ({ track }) => {
      const context = new AudioContext({ sampleRate: 48000 });
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0, minDecibels: -140 });
      context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      const peak = new Float32Array(analyser.frequencyBinCount).fill(-200), now = peak.slice();
      setInterval(() => { analyser.getFloatFrequencyData(now); now.forEach((v, i) => { if (v > peak[i]) peak[i] = v }) }, 60);
      heard.push(peak);
    });
  }
};
window.strongest = (hz) => Math.max(-200, ...heard.map((peak) => { const at = Math.round(hz / 48000 * 8192); return Math.max(...peak.slice(at - 2, at + 3)) }));
window.forget = () => heard.forEach((peak) => peak.fill(-200));
`

func withSpy(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: spy})
		return err
	}))
}

// joinStage opens an invite in a browser whose microphone plays the tone, and joins.
func joinStage(t *testing.T, in invite, hz float64) context.Context {
	t.Helper()
	ctx := browser(t, tone(t, hz))
	withSpy(t, ctx)
	do(t, ctx, chromedp.Navigate(in.URL), chromedp.Click(testid("mic-on"), chromedp.NodeVisible))
	until(t, ctx, `!!document.querySelector('[data-testid="mic-level"]')`)
	picture(t, ctx, "studio-soundcheck-"+in.Seat)
	// Noise suppression takes tones for noise.
	grants := 1
	until(t, ctx, `granted >= 1`)
	for _, box := range []string{"echoCancellation", "noiseSuppression", "autoGainControl"} {
		until(t, ctx, fmt.Sprintf(`(box = document.querySelector('[data-testid="processing-%s"]')) && (box.click(), true)`, box))
		grants++
		until(t, ctx, fmt.Sprintf(`granted >= %d`, grants))
	}
	do(t, ctx, chromedp.Click(testid("join"), chromedp.NodeEnabled))
	until(t, ctx, fmt.Sprintf(`!!document.querySelector('[data-testid="seat-line"][data-seat=%q][data-connected="true"]')`, in.Seat))
	return ctx
}

func TestAConversationInThreeBrowsers(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium and a minute")
	}
	s := serve(t)
	id := s.announce(t, "Council questions")
	s.step(t, id, "open")

	// While the doors are open, the audience hears hold audio and nothing else.
	green := joinStage(t, s.invite(t, id, "speaker", "Gwen Green"), greenHz)
	early := decode(t, s.url+"/live/"+id+".ogg", 5*time.Second)
	do(t, green, chromedp.Click(testid("leave"), chromedp.NodeVisible))

	anna := joinStage(t, s.invite(t, id, "host", "Anna Abel"), annaHz)
	ben := joinStage(t, s.invite(t, id, "speaker", "Ben Bauer"), benHz)

	listener := browser(t, "")
	withSpy(t, listener)
	do(t, listener, chromedp.Navigate(s.url+"/s/"+id))
	picture(t, listener, "listener-open")
	do(t, listener, chromedp.Click(testid("hear"), chromedp.NodeVisible))
	until(t, listener, `[...players].some((p) => p.currentTime > 0.5)`)

	do(t, anna, chromedp.Click(testid("start"), chromedp.NodeVisible))
	until(t, anna, `document.querySelector('[data-testid="audience-hears"]').dataset.phase === 'live'`)
	until(t, listener, `document.querySelectorAll('[data-testid="voice"]').length === 2`)

	live := decode(t, s.url+"/live/"+id+".ogg", 9*time.Second)
	decode(t, s.url+"/live/"+id+".mp4", 5*time.Second)
	picture(t, listener, "listener-live")
	picture(t, anna, "studio-host-live")
	picture(t, ben, "studio-speaker-live")

	hears(t, anna, "Anna", benHz, annaHz)
	hears(t, ben, "Ben", annaHz, benHz)
	plays(t, listener)

	end := time.Now()
	do(t, anna, chromedp.Click(testid("end"), chromedp.NodeVisible), chromedp.Click(testid("end-yes"), chromedp.NodeVisible))
	until(t, listener, `!!document.querySelector('[data-testid="recording"]')`)
	t.Logf("the recording was on the listener's page %v after the end was asked for", time.Since(end))
	do(t, listener, chromedp.Click(testid("rec-play"), chromedp.NodeVisible))
	until(t, listener, `[...players].some((p) => p.duration > 10 && p.duration < 600 && p.currentTime > 0.3 && !p.error)`)
	picture(t, listener, "listener-ended")
	picture(t, anna, "studio-host-ended")

	recording := decode(t, fetch(t, s.url+"/recordings/"+id+".ogg"), 0)
	for _, heard := range []struct {
		what string
		pcm  []float64
		hz   float64
		want bool
	}{
		{"the live stream", live, annaHz, true},
		{"the live stream", live, benHz, true},
		{"the stream while the doors were open", early, greenHz, false},
		{"the recording", recording, annaHz, true},
		{"the recording", recording, benHz, true},
		{"the recording", recording, greenHz, false},
	} {
		level := loudest(heard.pcm, heard.hz)
		if heard.want && level < audible || !heard.want && level > inaudble {
			t.Errorf("%s has %g Hz at %.1f dBFS, wanted: %v", heard.what, heard.hz, level, heard.want)
		}
		t.Logf("%s: %g Hz at %.1f dBFS", heard.what, heard.hz, level)
	}
	if early := loudest(early, 220); early < -75 {
		t.Errorf("the hold audio is not to be heard while the doors are open: %.1f dBFS", early)
	}
}

// hears checks that a browser on stage hears the other's tone and not its own.
func hears(t *testing.T, ctx context.Context, who string, other, own float64) {
	t.Helper()
	until(t, ctx, fmt.Sprintf(`strongest(%g) > %d`, other, audible))
	if level := eval[float64](t, ctx, fmt.Sprintf(`strongest(%g)`, own)); level > inaudble {
		t.Errorf("%s hears oneself at %.1f dBFS", who, level)
	}
	t.Logf("%s hears the other at %.1f dBFS, oneself at %.1f dBFS", who,
		eval[float64](t, ctx, fmt.Sprintf(`strongest(%g)`, other)), eval[float64](t, ctx, fmt.Sprintf(`strongest(%g)`, own)))
}

// plays checks that the listener's page plays: media time goes on, near the live
// edge, with no error.
func plays(t *testing.T, ctx context.Context) {
	t.Helper()
	const player = `[...players].find((p) => !p.paused && p.currentTime > 0)`
	from := eval[float64](t, ctx, player+`.currentTime`)
	until(t, ctx, fmt.Sprintf(`(%s).currentTime > %f`, player, from+3))
	if !eval[bool](t, ctx, player+`.error === null`) {
		t.Error("the player has an error")
	}
	behind := eval[float64](t, ctx, `(() => { const p = `+player+`; return p.buffered.end(p.buffered.length - 1) - p.currentTime })()`)
	if behind > 2 {
		t.Errorf("the page plays %.2f s behind what it has", behind)
	}
	t.Logf("the page plays %.2f s behind what it has", behind)
}

// fetch downloads a file whole and returns where it is.
func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, response.Status)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), filepath.Base(request.URL.Path)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
