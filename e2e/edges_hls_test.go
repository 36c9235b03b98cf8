package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// TestAnIPhonesWay has Chromium call itself Safari, so that the page leaves the
// playing to the browser's own HLS, as it does on an iPhone.
func TestAnIPhonesWay(t *testing.T) {
	t.Parallel() // it waits more than it works
	s, id := liveSpace(t, "In a pocket")
	wanted := "codec=aac"
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		wanted = ".m3u8?listener="
	}
	ctx := browser(t, "")
	do(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		const safari = `Object.defineProperty(Navigator.prototype, 'vendor', { get: () => 'Apple Computer, Inc.' });`
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: safari + listeningSpy})
		return err
	}))
	do(t, ctx, chromedp.Navigate(s.url+"/s/"+id))
	if !eval[bool](t, ctx, `document.createElement('audio').canPlayType('application/vnd.apple.mpegurl') !== ''`) {
		t.Skip("this Chromium has no HLS of its own")
	}
	awaitProgramme(t, s.url, id, 16*time.Second) // Chromium wants some segments to begin with
	do(t, ctx, chromedp.Click(testid("hear"), chromedp.NodeVisible))
	until(t, ctx, `state() === 'playing'`)
	until(t, ctx, fmt.Sprintf(`document.querySelector('audio[data-testid="sound"]').src.includes(%q)`, wanted))
	begun := eval[float64](t, ctx, `track.at(-1).position`)
	until(t, ctx, fmt.Sprintf(`track.at(-1).position > %g + 8`, begun))
	// The pulse is asked for beside the sound.
	until(t, ctx, `asked.some((url) => url.endsWith('/pulse'))`)
	s.step(t, id, "end")
	until(t, ctx, `!!document.querySelector('[data-testid="recording"]')`)
}
