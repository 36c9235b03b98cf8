package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"hustings/internal/programme"
)

// listeningSpy notes what the sound does, twenty times a second, and lets the test
// hear what the page makes itself.
const listeningSpy = `
window.track = [];
setInterval(() => {
  const a = document.querySelector('audio[data-testid="sound"]');
  if (!a) return;
  const b = a.buffered;
  const state = document.querySelector('[data-testid="player"]')?.dataset.state;
  track.push({ at: performance.now() / 1000, position: a.currentTime, rate: a.playbackRate, end: b.length ? b.end(b.length - 1) : 0,
    flows: state === 'playing' && !a.paused && a.playbackRate > 0 });
}, 50);
// How long the sound stood still since a time, at the longest.
window.stood = (since) => {
  let most = 0, from = null;
  for (const now of track.filter((t) => t.at >= since)) {
    if (from === null || now.position > from.position + 0.01) from = now;
    most = Math.max(most, now.at - from.at);
  }
  return most;
};
// The depth: what was ahead right after a delivery, in the last so many seconds.
window.depth = (seconds) => { const now = performance.now() / 1000; return Math.max(...track.filter((t) => t.flows && t.at > now - seconds).map((t) => t.end - t.position)) };
window.now = () => performance.now() / 1000;
window.state = () => document.querySelector('[data-testid="player"]').dataset.state;
window.asked = [];
const ask = window.fetch;
window.fetch = (what, ...rest) => { asked.push(String(what)); return ask(what, ...rest) };
// Where the programme is heard from: the page's own server is "".
window.heardFrom = () => (asked.filter((url) => url.includes('.mp4')).at(-1) ?? '').replace(/\/live\/.*/, '');
const connect = AudioNode.prototype.connect;
window.ownSound = () => 0;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode) {
    const analyser = new AnalyserNode(this.context, { fftSize: 2048 });
    connect.call(this, analyser);
    const samples = new Float32Array(2048);
    window.ownSound = () => { analyser.getFloatTimeDomainData(samples); return this.context.state === 'running' ? Math.max(...samples.map(Math.abs)) : 0 };
  }
  return connect.call(this, to, ...rest);
};
`

// listen opens a space's page with the spy in it, and presses the button.
func listen(t *testing.T, address string) context.Context {
	t.Helper()
	ctx := browser(t, "")
	do(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: listeningSpy})
		return err
	}))
	do(t, ctx, chromedp.Navigate(address), chromedp.Click(testid("hear"), chromedp.NodeVisible))
	until(t, ctx, `state() === 'playing' && track.at(-1).flows`)
	return ctx
}

// liveSpace is a server with a space that is on the air.
func liveSpace(t *testing.T, title string) (*server, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	s := serve(t)
	id := s.announce(t, title)
	s.step(t, id, "start")
	return s, id
}

func TestAPageMovesWhenItsEdgeIsKilled(t *testing.T) {
	s, id := liveSpace(t, "Harbour debate")
	a := newRelay(t, s, id, 1100*time.Millisecond, 500*time.Millisecond)
	b := newRelay(t, s, id, 1100*time.Millisecond, 500*time.Millisecond)
	f := newFront(t, s, programme.Edge{URL: a.URL, Weight: 5}, programme.Edge{URL: b.URL, Weight: 5}, programme.Edge{URL: "http://127.0.0.1:1", Weight: 0})
	ctx := listen(t, f.URL+"/s/"+id)
	first, second := a, b
	if b.listeners.Load() > 0 {
		first, second = b, a
	}
	if first.listeners.Load() != 1 {
		t.Fatal("the page listens at neither of its edges")
	}

	killed := eval[float64](t, ctx, `now()`)
	first.kill()
	until(t, ctx, fmt.Sprintf(`track.at(-1).position > track.find((t) => t.at >= %g).position + 5`, killed))
	if second.listeners.Load() != 1 {
		t.Errorf("the other edge has %d listeners", second.listeners.Load())
	}
	stood := eval[float64](t, ctx, fmt.Sprintf(`stood(%g)`, killed))
	if t.Logf("the sound stood still for %.2f s at the longest", stood); stood > 3 {
		t.Errorf("after the kill the sound stood still for %.2f s", stood)
	}
}

func TestAPageWithDepthMovesUnheard(t *testing.T) {
	t.Parallel() // it waits more than it works
	s, id := liveSpace(t, "Deep debate")
	a := newRelay(t, s, id, 6*time.Second, 2*time.Second)
	b := newRelay(t, s, id, 6*time.Second, 2*time.Second)
	f := newFront(t, s, programme.Edge{URL: a.URL, Weight: 1}, programme.Edge{URL: b.URL, Weight: 1})
	ctx := listen(t, f.URL+"/s/"+id)
	if depth := eval[float64](t, ctx, `depth(5)`); depth < 5.4 || depth > 7.2 {
		t.Errorf("told to be 6 s deep, the page begins at %.2f s", depth)
	}
	killed := eval[float64](t, ctx, `now()`)
	first, second := a, b
	if b.listeners.Load() > 0 {
		first, second = b, a
	}
	first.kill()
	until(t, ctx, fmt.Sprintf(`track.at(-1).position > track.find((t) => t.at >= %g).position + 9`, killed))
	if stood := eval[float64](t, ctx, fmt.Sprintf(`stood(%g)`, killed)); stood > 0.6 {
		t.Errorf("the sound stood still for %.2f s, with 6 s in hand", stood)
	}
	// One who comes from elsewhere is as deep as it is, and says so.
	told, err := strconv.ParseFloat(second.query.Load().(url.Values).Get("depth"), 64)
	if err != nil || told < 5 || told > 7.5 {
		t.Errorf("the page says that it is %v s deep (%v)", told, err)
	}
	if first.query.Load().(url.Values).Has("depth") {
		t.Error("a page that has heard nothing says that it is deep")
	}
}

// TestAListThatNobodySignedIsNotUsed has the page's own server publish another key.
func TestAListThatNobodySignedIsNotUsed(t *testing.T) {
	s, id := liveSpace(t, "Forged")
	r := newRelay(t, s, id, 1100*time.Millisecond, 500*time.Millisecond)
	f := newFront(t, s, programme.Edge{URL: r.URL, Weight: 1})
	f.serves.Store(true)
	other := newFront(t, &server{url: f.URL}, programme.Edge{URL: "http://127.0.0.1:1", Weight: 1})
	other.serves.Store(true)
	// Two lists are in the document now; the script reads the last of a name, which is the inner one, by the inner key.
	listen(t, other.URL+"/s/"+id)
	if n := r.listeners.Load(); n != 0 {
		t.Errorf("%d pages listen at an edge that a stranger named", n)
	}
}

func TestAPageHoldsTheLineOfAnEdgeThatLostIts(t *testing.T) {
	s, id := liveSpace(t, "Budget hearing")
	source, err := os.ReadFile("../ui/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run `make pages`", err)
	}
	r := newRelay(t, s, id, 1100*time.Millisecond, 500*time.Millisecond)
	f := newFront(t, s, programme.Edge{URL: r.URL, Weight: 1})
	ctx := listen(t, f.URL+"/s/"+id)
	// Its hold music comes after the first sound.
	until(t, ctx, `performance.getEntriesByType('resource').some((r) => r.name.includes('hold-music'))`)

	r.loseLine()
	until(t, ctx, `state() === 'held'`)
	says(t, ctx, "lost its line to the stage", "you are still connected")
	until(t, ctx, `ownSound() > 0.02`)
	audit(t, ctx, "(() => {"+string(source)+"})()", "listener-held")
	if n := r.listeners.Load(); n != 1 {
		t.Errorf("while the line is lost the edge has %d listeners", n)
	}
	do(t, ctx, chromedp.Click(testid("volume-mute"), chromedp.NodeVisible))
	until(t, ctx, `ownSound() < 0.002`)
	do(t, ctx, chromedp.Click(testid("volume-mute"), chromedp.NodeVisible))

	before := eval[float64](t, ctx, `track.at(-1).position`)
	r.findLine()
	until(t, ctx, `state() === 'playing'`)
	until(t, ctx, `ownSound() < 0.002`)
	if n := r.listeners.Load(); n != 1 {
		t.Errorf("the edge has %d listeners", n)
	}
	if at := eval[float64](t, ctx, `track.at(-1).position`); at < before {
		t.Errorf("the sound went back from %.2f s to %.2f s", before, at)
	}
}

func TestWhatWasMissedWhileTheLineWasLostIsHeard(t *testing.T) {
	s, id := liveSpace(t, "Missed")
	r := newRelay(t, s, id, 1100*time.Millisecond, 500*time.Millisecond)
	f := newFront(t, s, programme.Edge{URL: r.URL, Weight: 1})
	ctx := listen(t, f.URL+"/s/"+id)
	r.loseLine()
	until(t, ctx, `state() === 'held'`)
	held := eval[float64](t, ctx, `track.at(-1).position`)
	r.findLine()
	until(t, ctx, fmt.Sprintf(`state() === 'playing' && track.at(-1).position > %g + 2`, held))
	// Every twentieth of a second the sound moved on by about as much: nothing was jumped over.
	jump := eval[float64](t, ctx, fmt.Sprintf(`Math.max(...track.map((t, i) => i && t.position >= %g ? (t.position - track[i - 1].position) - (t.at - track[i - 1].at) : 0))`, held))
	if jump > 0.5 {
		t.Errorf("the sound jumped over %.2f s", jump)
	}
	until(t, ctx, `track.at(-1).rate === 1.03`)
}
