package crowd

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/hearing"
	"hustings/internal/programme"
	"hustings/internal/reach"
)

// rig is a crowd whose network and time are the test's.
type rig struct {
	t       *testing.T
	c       *Crowd
	now     time.Duration
	dialed  []int32          // who wants a connection, in order
	open    map[int32]bool   // who has one
	hung    int              // connections that were hung up
	asked   map[int32][]byte // what each said last
	line    reach.Line       // what servers say of theirs
	helpers sync.WaitGroup
}

func (r *rig) run(context.Context) error { return nil }
func (r *rig) dial(i int32)              { r.dialed = append(r.dialed, i) }
func (r *rig) pull(int32, int)           {}
func (r *rig) secure() bool              { return false }
func (r *rig) hangup(i int32) {
	if r.open[i] {
		r.hung++
		delete(r.open, i)
	}
}

const origin = "http://127.0.0.1:1"

// newRig begins a crowd of bare listeners, without anything but the stream.
func newRig(t *testing.T, o Options, edges reach.Edges) *rig {
	t.Helper()
	o.URL, o.Logger = origin+"/s/talk", slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, c: c, open: map[int32]bool{}, asked: map[int32][]byte{}}
	t.Cleanup(r.helpers.Wait)
	link, err := reach.ParseLink(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	page := reach.Page{Link: link, Edges: edges}
	if err := c.open(t.Context(), page, &r.helpers, func(*Crowd, bool) (carrier, error) { return r, nil }); err != nil {
		t.Fatal(err)
	}
	c.sites.ask = func(context.Context, string) reach.Line { return r.line }
	return r
}

// pass lets time pass. Whoever is asked something meanwhile answers within a tick.
func (r *rig) pass(d time.Duration) {
	for end := r.now + d; r.now < end; r.now += tick {
		r.locked(func() { r.c.tick(r.t.Context(), r.now) })
		r.helpers.Wait()
	}
}

// locked does something at the rig's time, as the carrier would.
func (r *rig) locked(do func()) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.lasted = max(r.now, 1) // the crowd's clock
	do()
}

// figures are those of now.
func (r *rig) figures() (f Figures) {
	r.locked(func() { f = r.c.snapshot(r.now) })
	return f
}

// close ends a listener's connection.
func (r *rig) close(i int32, why reason) {
	r.locked(func() { r.c.closed(i, r.now, why) })
}

// connect makes the connections that are wanted, and returns who has one now.
func (r *rig) connect() (who []int32) {
	who, r.dialed = r.dialed, nil
	for _, i := range who {
		r.open[i] = true
		r.locked(func() { r.asked[i] = r.c.connected(i, r.now, nil) })
	}
	return who
}

// say has listeners be sent something.
func (r *rig) say(who []int32, data []byte) {
	for _, i := range who {
		if !r.open[i] {
			continue
		}
		r.locked(func() {
			if r.c.data(i, r.now, data) {
				r.asked[i] = r.c.request(i, nil)
			}
		})
	}
}

// blocks is a part of a programme as it is sent.
func blocks(from, to int) (out []byte) {
	for n := from; n < to; n++ {
		out = append(out, blockOf(n)...)
	}
	return out
}

func blockOf(n int) []byte {
	packets := make([][]byte, programme.PacketsPerBlock)
	for i := range packets {
		packets[i] = []byte(fmt.Sprintf("packet %d of block %d", i, n))
	}
	return fmp4.AppendFragment(nil, fmp4.Fragment{Sequence: uint32(n + 1), Time: uint64(n) * blockSamples, Packets: packets})
}

func pulse(n int, text string) []byte {
	return fmp4.AppendEvent(nil, fmp4.Event{Scheme: hearing.PulseScheme, Value: "state", Time: uint64(n) * blockSamples, Data: []byte(text)})
}

func pace(depth string) []byte {
	return fmp4.AppendEvent(nil, fmp4.Event{Scheme: hearing.PaceScheme, Value: "depth", Data: []byte(`{"depth":` + depth + `}`)})
}

const block = 500 * time.Millisecond

var track = fmp4.Track{Channels: 1, PreSkip: 312, PacketSamples: packetSamples}

const okHead = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: audio/mp4\r\n\r\n"

// begin is the beginning of a stream.
func begin(parts ...[]byte) []byte {
	return bytes.Join(append([][]byte{[]byte(okHead), fmp4.AppendInit(nil, track)}, parts...), nil)
}

// bareRig is a rig of n bare listeners who have connected.
func bareRig(t *testing.T, n int, edges reach.Edges) (*rig, []int32) {
	t.Helper()
	r := newRig(t, Options{Listeners: n, Opens: OpensNothing}, edges)
	r.pass(2 * tick)
	who := r.connect()
	if len(who) != n {
		t.Fatalf("%d of %d set out", len(who), n)
	}
	return r, who
}

func ownEdges() reach.Edges { return reach.NewEdges(origin) }

func TestWhoHearsEverythingIsCounted(t *testing.T) {
	r, who := bareRig(t, 50, ownEdges())
	r.say(who, begin(pulse(6, `{"phase":"live","tally":{"now":50}}`), blocks(0, 6)))
	for n := 6; n < 20; n++ {
		r.pass(block)
		r.say(who, blockOf(n))
	}
	f := r.figures()
	if f.Asked != 50 || f.Arrived != 50 || f.Joined != 50 || f.Hearing != 50 || f.EverJoined != 50 || f.EverHeard != 50 || f.NeverHeard != 0 {
		t.Errorf("figures: %+v", f)
	}
	if f.Blocks != 50*20 || f.Repeated != 0 || f.Gaps.Count != 0 || f.Dries.Count != 0 || f.Holes.Count != 0 || f.Unproven != 50*20 {
		t.Errorf("blocks: %+v", f)
	}
	if f.FirstByte.Count() != 50 || f.FirstSound.Count() != 50 || f.Edges[origin] != 50 || f.Bytes == 0 {
		t.Errorf("first: %d bytes, %d sounds; at %v", f.FirstByte.Count(), f.FirstSound.Count(), f.Edges)
	}
	if !strings.Contains(string(r.c.Pulse()), `"now":50`) {
		t.Errorf("the pulse is %s", r.c.Pulse())
	}
	r.say(who, pulse(20, `{"phase":"ended"}`))
	for _, i := range who {
		r.close(i, cut)
	}
	if f := r.figures(); f.Left != 50 || f.Joined != 0 || f.Hearing != 0 || len(f.Failed) != 0 {
		t.Errorf("at the end: %+v", f)
	}
}

func TestAListenerSaysWhoItIs(t *testing.T) {
	r := newRig(t, Options{Listeners: 2, Opens: OpensNothing, Permit: "a/b+c", Rung: 24}, ownEdges())
	r.pass(2 * tick)
	who := r.connect()
	first := string(r.asked[who[0]])
	if !strings.HasPrefix(first, "GET /live/talk.mp4?follow=1&listener=") || !strings.Contains(first, "&rung=24&rehearsal=a%2Fb%2Bc HTTP/1.1\r\nHost: 127.0.0.1:1\r\n") {
		t.Errorf("the request is %q", first)
	}
	if first == string(r.asked[who[1]]) {
		t.Error("two listeners have one name")
	}
	r.close(who[0], reset)
	r.pass(3 * time.Second)
	if r.connect(); string(r.asked[who[0]]) != first {
		t.Errorf("when it came back it said %q", r.asked[who[0]])
	}
}

func TestALostBlockIsFound(t *testing.T) {
	r, who := bareRig(t, 3, ownEdges())
	r.say(who, begin(blocks(0, 6)))
	r.say(who[:1], blocks(8, 10)) // two are missing
	r.say(who[1:], blocks(6, 10))
	f := r.figures()
	if f.Gaps != (Gaps{Count: 1, Seconds: 1, Listeners: 1, Longest: 1}) || f.LostBlocks != 2 || f.Holes.Count != 0 {
		t.Errorf("gaps: %+v, %d blocks lost", f.Gaps, f.LostBlocks)
	}
	r.say(who[1:2], blockOf(9)) // again
	if f := r.figures(); f.Repeated != 1 || f.Blocks != 8+10+10 {
		t.Errorf("%d blocks were heard, %d repeated", f.Blocks, f.Repeated)
	}
}

// After a crash the stage goes on by wall clock, and numbers may be given out again.
func TestWhatWasNeverSpokenIsNoLoss(t *testing.T) {
	r, who := bareRig(t, 2, ownEdges())
	r.say(who, begin(blocks(0, 6)))
	later := fmp4.AppendFragment(nil, fmp4.Fragment{Sequence: 6, Time: 10 * blockSamples, Packets: make([][]byte, 25)})
	r.say(who, later)
	f := r.figures()
	if f.Gaps.Count != 0 || f.LostBlocks != 0 || f.Holes != (Gaps{Count: 2, Seconds: 4, Listeners: 2, Longest: 2}) {
		t.Errorf("gaps %+v, holes %+v", f.Gaps, f.Holes)
	}
}

func TestALateDeliveryIsCountedAsDry(t *testing.T) {
	r, who := bareRig(t, 2, ownEdges())
	r.say(who, begin(blocks(0, 6)))
	r.pass(3 * time.Second)
	if f := r.figures(); f.Dry != 2 || f.Hearing != 0 || f.Dries.Count != 0 {
		t.Fatalf("after 3 s without a block: %d hear, %d are dry, %+v", f.Hearing, f.Dry, f.Dries)
	}
	r.say(who[:1], blocks(6, 10))
	f := r.figures()
	if f.Dry != 1 || f.Hearing != 1 || f.Dries.Count != 1 || f.Dries.Seconds < 1.85 || f.Dries.Seconds > 1.95 || f.Gaps.Count != 0 {
		t.Errorf("back again: %d hear, %d are dry, %+v", f.Hearing, f.Dry, f.Dries)
	}
	r.c.Exit(nil)
	if f := r.figures(); f.Dry != 0 || f.Dries.Count != 2 || f.Dries.Listeners != 2 || f.Left != 2 {
		t.Errorf("all gone: %+v", f)
	}
}

func TestADeepListenerWaitsForRareDeliveries(t *testing.T) {
	r, who := bareRig(t, 2, ownEdges())
	r.say(who, begin(pace("12"), blocks(0, 25)))
	for n := 25; n < 125; n += 20 {
		r.pass(10 * time.Second)
		r.say(who, blocks(n, n+20))
	}
	if f := r.figures(); f.Dries.Count != 0 || f.Dry != 0 || f.Depth != 12 || f.Reconnects != 0 {
		t.Errorf("with a delivery each 10 s at a depth of 12 s: %+v", f)
	}
}

// A young programme has less than the depth that is told, and the next delivery may be
// far off: what is there is played.
func TestAYoungProgrammeIsPlayedFromWhatThereIs(t *testing.T) {
	r, who := bareRig(t, 2, ownEdges())
	r.say(who, begin(pace("24"), blocks(0, 8)))
	if f := r.figures(); f.EverHeard != 0 {
		t.Errorf("%d began before they waited for more", f.EverHeard)
	}
	r.pass(1300 * time.Millisecond)
	if f := r.figures(); f.EverHeard != 2 || f.Hearing != 2 {
		t.Errorf("after 1.3 s %d have heard sound", f.EverHeard)
	}
}

func TestRefusalsAreCountedAndHeeded(t *testing.T) {
	r, who := bareRig(t, 4, ownEdges())
	r.say(who[:1], []byte("HTTP/1.1 503 Full\r\nRetry-After: 9\r\nContent-Length: 2\r\n\r\nno"))
	r.say(who[1:2], []byte("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"))
	r.say(who[2:3], []byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
	r.say(who[3:], []byte("<html>"))
	f := r.figures()
	if f.Refused[503] != 1 || f.Refused[410] != 1 || f.Refused[403] != 1 || f.GaveUp != 2 || f.Waiting != 1 || f.Connecting != 1 {
		t.Fatalf("figures: %+v", f)
	}
	r.say(who[3:], []byte("\n")) // "<html>" was no line yet
	if f := r.figures(); f.Failed["not understood"] != 1 {
		t.Errorf("failed: %v", f.Failed)
	}
	r.pass(8 * time.Second)
	if again := r.connect(); len(again) != 1 || again[0] != who[3] {
		t.Errorf("within 8 s %v came again, want only the last", again)
	}
	r.pass(4 * time.Second)
	if again := r.connect(); len(again) != 1 || again[0] != who[0] {
		t.Errorf("after 9 s %v came again", again)
	}
	if f := r.figures(); f.Reconnects != 2 || f.Moves != 0 {
		t.Errorf("%d reconnects, %d moves", f.Reconnects, f.Moves)
	}
}

func TestARedirectIsFollowed(t *testing.T) {
	r, who := bareRig(t, 2, ownEdges())
	r.say(who[:1], []byte("HTTP/1.1 307 x\r\nLocation: http://127.0.0.2:2/live/talk.mp4?listener=x\r\nContent-Length: 0\r\n\r\n"))
	r.say(who[1:], []byte("HTTP/1.1 302 x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"))
	if again := r.connect(); len(again) != 1 || again[0] != who[0] {
		t.Fatalf("%v went on", again)
	}
	if !strings.Contains(string(r.asked[who[0]]), "\r\nHost: 127.0.0.2:2\r\n") {
		t.Errorf("it asked %q", r.asked[who[0]])
	}
	r.say(who[:1], begin(blocks(0, 6)))
	f := r.figures()
	if f.Redirected != 2 || f.Failed["redirected wrongly"] != 1 || f.Joined != 1 || f.Edges["http://127.0.0.2:2"] != 1 {
		t.Errorf("figures: %+v", f)
	}
}

func TestAPageIsOpenedBeforeTheStream(t *testing.T) {
	r := newRig(t, Options{Listeners: 1}, ownEdges())
	r.pass(2 * tick)
	who := r.connect()
	said := func(want string) {
		t.Helper()
		if !strings.HasPrefix(string(r.asked[who[0]]), "GET "+want+" HTTP/1.1\r\n") && !strings.HasPrefix(string(r.asked[who[0]]), "GET "+want+"?") {
			t.Fatalf("it asks %q, want %s", r.asked[who[0]], want)
		}
	}
	said("/s/talk")
	r.say(who, []byte("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"))
	said("/api/v1/spaces/talk")
	r.pass(block)
	r.say(who, []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	said("/live/talk.mp4") // on the same connection
	if len(r.dialed) != 0 || r.hung != 0 {
		t.Error("it connected anew for the stream")
	}
	r.say(who, begin(blocks(0, 6)))
	f := r.figures()
	if f.Joined != 1 || f.Documents.Count() != 1 || f.Documents.Max() < block || f.FirstSound.Max() < block || f.FirstByte.Max() > block/2 {
		t.Errorf("documents took %v, first byte %v, first sound %v", f.Documents.Max(), f.FirstByte.Max(), f.FirstSound.Max())
	}
}

func TestAPageThatIsRefusedIsOpenedAgain(t *testing.T) {
	r := newRig(t, Options{Listeners: 1}, ownEdges())
	r.pass(2 * tick)
	who := r.connect()
	r.say(who, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	r.say(who, []byte("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))
	r.pass(time.Second)
	if again := r.connect(); len(again) != 1 || !strings.HasPrefix(string(r.asked[who[0]]), "GET /s/talk ") {
		t.Errorf("it came back with %q", r.asked[who[0]])
	}
	if f := r.figures(); f.Refused[502] != 1 || f.Reconnects != 0 {
		t.Errorf("figures: %+v", f)
	}
}

// signedEdges are two edges beside the origin, which is not to serve.
func signedEdges(t *testing.T) (reach.Edges, string, string) {
	t.Helper()
	signer, _, err := programme.NewSigner("talk.example")
	if err != nil {
		t.Fatal(err)
	}
	note, err := signer.SignEdges(programme.Edges{At: time.Now(), List: []programme.Edge{
		{URL: "http://127.0.0.2:2", Weight: 10}, {URL: "http://127.0.0.3:3", Weight: 10}, {URL: origin, Weight: 0},
	}})
	if err != nil {
		t.Fatal(err)
	}
	edges, err := ownEdges().Open(note, []string{signer.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	return edges, note, signer.Verifier()
}

func TestListenersMoveWhenTheirEdgeDies(t *testing.T) {
	edges, _, _ := signedEdges(t)
	r, who := bareRig(t, 40, edges)
	r.say(who, begin(blocks(0, 6)))
	before := r.figures().Edges
	if before["http://127.0.0.2:2"] == 0 || before["http://127.0.0.3:3"] == 0 || before[origin] != 0 {
		t.Fatalf("they listen at %v", before)
	}
	r.pass(6 * time.Second / 10)
	for _, i := range who {
		if r.c.sites.list[r.c.listeners[i].site].url == "http://127.0.0.2:2" {
			r.close(i, reset)
		}
	}
	r.pass(2 * tick)
	moved := r.connect()
	if int64(len(moved)) != before["http://127.0.0.2:2"] {
		t.Fatalf("%d moved at once, %d lost their edge", len(moved), before["http://127.0.0.2:2"])
	}
	r.say(moved, begin(blocks(2, 8))) // the backlog of the other edge
	r.say(who, blockOf(8))
	f := r.figures()
	if f.Moves != int64(len(moved)) || f.Reconnects != f.Moves || f.Edges["http://127.0.0.3:3"] != 40 || f.Dries.Count+f.Dry != 0 || f.Repeated != 0 {
		t.Errorf("figures: %+v", f)
	}
	if f.Gaps.Count != int64(40-len(moved)) { // who stayed was not sent 6 and 7 here; who moved has all
		t.Errorf("%d gaps", f.Gaps.Count)
	}
	// Both dead: the page's own server is left.
	for range 2 {
		for _, i := range who {
			if r.open[i] && r.c.listeners[i].site != 0 {
				r.close(i, reset)
			}
		}
		r.pass(3 * time.Second)
		r.say(r.connect(), begin(blocks(2, 12)))
	}
	if f := r.figures(); f.Edges[origin] != 40 {
		t.Errorf("with both edges dead they listen at %v", f.Edges)
	}
}

func TestEdgesAreLearntFromThePulse(t *testing.T) {
	_, note, key := signedEdges(t)
	r, who := bareRig(t, 10, ownEdges())
	r.c.page.Keys = []string{key}
	quoted := strings.ReplaceAll(note, "\n", `\n`)
	r.say(who, begin(pulse(0, `{"phase":"live","edges":"`+strings.Replace(quoted, "127.0.0.2", "127.6.6.6", 1)+`"}`), blocks(0, 6)))
	if got := r.c.sites.edges.List(); len(got) != 1 {
		t.Errorf("a list that was altered is believed: %v", got)
	}
	r.say(who, pulse(1, `{"phase":"live","edges":"`+quoted+`"}`))
	if got := r.c.sites.edges.List(); len(got) != 3 {
		t.Errorf("the edges are %v", got)
	}
}

// They lose their connections and come back, spread over a moment.
func TestAStormComesBack(t *testing.T) {
	r, who := bareRig(t, 200, ownEdges())
	r.say(who, begin(blocks(0, 6)))
	r.c.Storm(func(i int) bool { return i < 150 })
	if f := r.figures(); f.Joined != 50 || f.Waiting != 150 || r.hung != 150 {
		t.Fatalf("%d are left, %d wait, %d hung up", f.Joined, f.Waiting, r.hung)
	}
	r.pass(200 * time.Millisecond)
	if early := r.connect(); len(early) > 0 {
		t.Errorf("%d came back within 200 ms", len(early))
	}
	r.pass(150 * time.Millisecond)
	some := r.connect()
	r.pass(250 * time.Millisecond)
	rest := r.connect()
	if len(some) < 20 || len(rest) < 20 || len(some)+len(rest) != 150 {
		t.Errorf("%d and %d came back", len(some), len(rest))
	}
	r.say(append(some, rest...), begin(blocks(2, 8)))
	if f := r.figures(); f.Joined != 200 || f.Hearing != 200 || f.Dries.Count != 0 || len(f.Failed) != 0 || f.Reconnects != 150 {
		t.Errorf("figures: %+v", f)
	}
}

func TestEachLeavesWhenItIsTime(t *testing.T) {
	r := newRig(t, Options{
		Listeners: 10, Opens: OpensNothing, Hold: 20 * time.Second,
		Shape: func(i, n int) time.Duration { return time.Duration(n-1-i) * time.Second }, // the last comes first
		Stay:  func(i, _ int) time.Duration { return map[int]time.Duration{9: 4 * time.Second}[i] },
	}, ownEdges())
	for s := range 10 {
		r.pass(time.Second)
		if f := r.figures(); f.Arrived != int64(s+1) {
			t.Fatalf("after %d s %d have come", s+1, f.Arrived)
		}
		r.say(r.connect(), begin(blocks(0, 6)))
	}
	if f := r.figures(); f.Left != 1 || f.Joined != 9 {
		t.Errorf("%d left, %d are there", f.Left, f.Joined)
	}
	r.c.opts.Stay = nil
	for range 18 {
		r.pass(time.Second)
	}
	if r.c.tick(t.Context(), 28*time.Second) {
		t.Fatal("it is over before the hold is")
	}
	if !r.c.tick(t.Context(), 29*time.Second) {
		t.Fatal("it is not over when the hold is")
	}
	if f := r.figures(); f.Left != 10 || f.Joined != 0 {
		t.Errorf("%d left, %d are there", f.Left, f.Joined)
	}
}

func TestADeadConnectionIsGivenUp(t *testing.T) {
	r, who := bareRig(t, 3, ownEdges())
	r.say(who[:1], begin(blocks(0, 6)))
	r.pass(9 * time.Second)
	if f := r.figures(); f.Failed["fell silent"] != 0 || f.Joined != 1 {
		t.Errorf("after 9 s: %v", f.Failed)
	}
	r.pass(2 * time.Second)
	if f := r.figures(); f.Failed["fell silent"] != 1 || f.Joined != 0 {
		t.Errorf("after 11 s: %v", f.Failed)
	}
	r.pass(11 * time.Second)
	if f := r.figures(); f.Failed["no answer"] != 2 {
		t.Errorf("after 22 s: %v", f.Failed)
	}
	if f := r.figures(); f.NeverHeard != 2 {
		t.Errorf("%d never heard", f.NeverHeard)
	}
}

// The sound ran dry and the connection stands: the edge is asked why.
func TestADryListenerStaysOrGoesAsItsEdgeSays(t *testing.T) {
	edges, _, _ := signedEdges(t)
	for _, c := range []struct {
		line  reach.Line
		edges reach.Edges
		went  bool
	}{
		{reach.LineFine, edges, true},       // another one may have the sound
		{reach.LineFine, ownEdges(), false}, // there is no other
		{reach.LineLost, edges, false},      // it catches up
		{reach.LineDead, edges, true},
		{reach.LineDead, ownEdges(), true},
	} {
		r, who := bareRig(t, 5, c.edges)
		r.line = c.line
		r.say(who, begin(blocks(0, 6)))
		r.pass(time.Second)
		if f := r.figures(); f.Joined != 5 || f.Hearing != 5 {
			t.Fatalf("line %v: after 1 s %d are there", c.line, f.Joined)
		}
		r.pass(6 * time.Second)
		if f := r.figures(); (f.Failed["sound ran dry"] == 5) != c.went || (f.Joined == 5) == c.went {
			t.Errorf("line %v, edges %v: after 7 s %d are there, failed: %v", c.line, c.edges.List(), f.Joined, f.Failed)
		}
		if r.pass(20 * time.Second); c.line == reach.LineLost {
			if f := r.figures(); f.Joined != 5 || f.Dry != 5 {
				t.Errorf("the edge catches up: %d waited for it, %d are dry", f.Joined, f.Dry)
			}
			r.say(who, blocks(6, 50))
			if f := r.figures(); f.Hearing != 5 || f.Gaps.Count != 0 || f.Dries.Listeners != 5 {
				t.Errorf("with what was missed: %+v", f)
			}
		}
	}
}
