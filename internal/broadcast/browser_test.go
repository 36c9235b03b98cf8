package broadcast_test

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hustings/internal/broadcast"
)

// playerPage plays the Ogg stream as a page without JavaScript would, and the MP4
// stream by Media Source Extensions. What goes wrong ends up in faults.
const playerPage = `<!doctype html><audio id=ogg src=/live.ogg autoplay></audio><audio id=mp4 autoplay></audio>
<script>
const faults = [];
for (const name of ["ogg", "mp4"]) {
	const audio = document.getElementById(name);
	audio.onerror = () => faults.push(name + ": " + audio.error.message);
}
async function play() {
	const source = new MediaSource(), audio = document.getElementById("mp4");
	audio.src = URL.createObjectURL(source);
	await new Promise(opened => source.onsourceopen = opened);
	const buffer = source.addSourceBuffer('audio/mp4; codecs="opus"');
	const reader = (await fetch("/live.mp4")).body.getReader();
	for (;;) {
		const {done, value} = await reader.read();
		if (done) break;
		buffer.appendBuffer(value);
		await new Promise(appended => buffer.onupdateend = appended);
		if (audio.buffered.length && audio.currentTime < audio.buffered.start(0)) audio.currentTime = audio.buffered.start(0);
	}
	source.endOfStream();
}
play().catch(err => faults.push("mse: " + err));
// ended reports whether all was played, and throws what went wrong.
function ended(name) {
	if (faults.length) throw new Error(faults.join("; "));
	return document.getElementById(name).ended;
}
</script>`

// TestChromiumPlaysBothStreams: a browser that joins in the middle plays on from
// there to the end, in an audio element and by Media Source Extensions, while it is
// moved from stereo down the ladder and up again.
func TestChromiumPlaysBothStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Chromium")
	}
	packets := newLadder(t)
	f := startTCP(t, broadcast.Options{})
	const joined, last = 40, 49
	say := func(seq uint64) {
		b := block(seq)
		packets.fill(b)
		b.Final = seq == last
		f.say(b)
		if seq >= joined {
			f.SetRung([]int{1, 2, 0}[(seq-joined)/3%3]) // the sound goes on through all of them
			sent := f.figure("deliveries_total") + 2
			until(t, "both have the block at this rung", func() bool { return f.figure("deliveries_total") >= sent })
		}
	}
	for seq := range uint64(joined) {
		say(seq)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	ctx, closePage := chromedp.NewContext(ctx)
	defer closePage()
	if err := chromedp.Do(ctx, chromedp.Navigate(serve(t, f))); err != nil {
		t.Fatal(err)
	}
	until(t, "both have joined", func() bool { return f.Tally(town).Now == 2 })
	for seq := uint64(joined); seq <= last; seq++ {
		say(seq)
	}
	for _, name := range []string{"ogg", "mp4"} {
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("ended('"+name+"')", chromedp.WithPollingInterval(100*time.Millisecond))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		at, err := chromedp.Run(ctx, chromedp.Evaluate[float64]("document.getElementById('"+name+"').currentTime"))
		if err != nil {
			t.Fatal(err)
		}
		if at < 24.8 || at > 25.2 { // the programme's clock: 50 blocks
			t.Errorf("%s: it ended at %.2f s, want 25", name, at)
		}
	}
}
