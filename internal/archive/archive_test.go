package archive

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// readMP4 reads the packets of a progressive file by its own tables (ISO/IEC
// 14496-12: stsz, stsc, co64), as a player does.
func readMP4(t *testing.T, data []byte) (packets [][]byte) {
	t.Helper()
	table := func(name string) []byte {
		path := []string{"moov", "trak", "mdia", "minf", "stbl", name}
		body := data
		for _, kind := range path {
			var ok bool
			if body, ok = findBox(body, kind); !ok {
				t.Fatalf("no box %s on the way to %s", kind, name)
			}
		}
		return body[4:]
	}
	u32 := binary.BigEndian.Uint32
	stsz, stsc, co64 := table("stsz"), table("stsc"), table("co64")
	sample := 0
	for chunk := range int(u32(co64)) {
		perChunk := 0
		for run := range int(u32(stsc)) {
			if int(u32(stsc[4+12*run:])) <= chunk+1 {
				perChunk = int(u32(stsc[8+12*run:]))
			}
		}
		at := int(binary.BigEndian.Uint64(co64[4+8*chunk:]))
		for range perChunk {
			size := int(u32(stsz[8+4*sample:]))
			packets = append(packets, data[at:at+size])
			at += size
			sample++
		}
	}
	if sample != int(u32(stsz[4:])) {
		t.Fatalf("the chunks have %d packets, the table %d", sample, u32(stsz[4:]))
	}
	return packets
}

func findBox(data []byte, kind string) ([]byte, bool) {
	for len(data) >= 8 {
		size, head := int(binary.BigEndian.Uint32(data)), 8
		if size == 1 {
			size, head = int(binary.BigEndian.Uint64(data[8:])), 16
		}
		if string(data[4:8]) == kind {
			return data[head:size], true
		}
		data = data[size:]
	}
	return nil, false
}

func TestRecordingIsUpWhenTheSpaceEnds(t *testing.T) {
	g := newRig(t).start()
	if said := g.resume(false); said.Epoch != 0 || said.Seq != 0 || said.End != 0 {
		t.Errorf("a fresh log goes on at %+v", said)
	}
	g.write(20, 0, false)
	if _, err := g.a.Open(t.Context(), town, "ogg"); space.KindOf(err) != space.TooEarly {
		t.Errorf("opened while live: %v, want TooEarly", err)
	}
	g.write(13, 0, true)
	began := time.Now()
	g.finished()
	if took := time.Since(began); took > time.Second {
		t.Errorf("the recording took %v after the end", took)
	}
	g.sameRecording()

	rec := g.info()
	want := Recording{
		ID: town, Length: 16.5 - opus.PreSkip/48000.0, Blocks: 33, Checkpoint: g.w.Checkpoint(),
		Tally:    space.Tally{Now: 32, Peak: 99, Total: 100},
		Chapters: []Chapter{{"Doors open", 0}, {"Live", 2}},
		Epochs:   []Epoch{{0, 0, 0}},
	}
	timeline := rec.Timeline
	rec.Timeline = nil
	if diff := cmp.Diff(want, rec); diff != "" {
		t.Error(diff)
	}
	checkTimeline(t, timeline)
	if _, err := g.a.Resume(town); space.KindOf(err) != space.Gone {
		t.Errorf("resumed after the end: %v, want Gone", err)
	}
}

// checkTimeline replays the timeline: at its end it is the last state that the
// listeners saw, and the tally, which changes in every block, is not in it.
func checkTimeline(t *testing.T, timeline []Moment) {
	t.Helper()
	var state []byte
	var err error
	for i, m := range timeline {
		if strings.Contains(string(m.Pulse), "tally") || m.Whole != (i == 0) {
			t.Errorf("moment %d is %s, whole %v", i, m.Pulse, m.Whole)
		}
		if state, err = programme.Apply(state, m.Pulse); err != nil {
			t.Fatal(err)
		}
	}
	var pulse space.Pulse
	if err := json.Unmarshal(state, &pulse); err != nil {
		t.Fatal(err)
	}
	if pulse.Phase != space.Live || !slices.Equal(pulse.Speaking, []space.SeatID{"b"}) {
		t.Errorf("the timeline ends with %s", state)
	}
	if n := len(timeline); n != 9 { // 33 blocks, another speaker every fourth
		t.Errorf("%d moments, want 9", n)
	}
}

func TestKilledAndResumed(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	g.write(11, 0, false)
	g.kill()

	g.start()
	said := g.resume(false)
	if said.Epoch != 1 || said.Seq != 11 || said.End != 11*programme.BlockSamples || said.Tree.Size() != 11 {
		t.Fatalf("the log goes on at %+v", said)
	}
	if want := (space.Tally{Now: 10, Peak: 99, Total: 100}); said.Tally != want {
		t.Errorf("the tally goes on from %+v, want %+v", said.Tally, want)
	}
	g.write(10, 7*programme.PacketSamples, false)
	g.kill()

	g.start()
	g.resume(false)
	g.kill() // before a single block
	g.start()
	if said := g.resume(false); said.Epoch != 3 || said.Seq != 21 {
		t.Fatalf("after a crash before the first block the log goes on at %+v, want an epoch of its own", said)
	}
	g.write(5, 123*programme.PacketSamples, true)
	g.finished()
	g.sameRecording()

	rec := g.info()
	if diff := cmp.Diff([]Hole{
		{Start: 5.5, Length: 0.14, Why: "the stage was away and came back"},
		{Start: 10.64, Length: 2.46, Why: "the stage was away and came back"},
	}, rec.Holes); diff != "" {
		t.Error(diff)
	}
	if len(rec.Epochs) != 3 || len(rec.Chapters) != 2 || rec.Blocks != 26 {
		t.Errorf("epochs %v, chapters %v, blocks %d", rec.Epochs, rec.Chapters, rec.Blocks)
	}
	// The tree goes through all epochs: the last checkpoint proves the first block.
	p, err := g.a.Proof(t.Context(), town, 0, 26)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(g.signer.Verifier()); err != nil {
		t.Error(err)
	}
}

func TestEndedButKilledBeforeTheFinalBlock(t *testing.T) {
	g := newRig(t).start()
	g.resume(true)
	g.write(5, 0, false)
	g.kill()
	g.start()
	g.finished() // no stage of this process writes to it
	g.sameRecording()
	if rec := g.info(); rec.Blocks != 5 || !rec.Stereo {
		t.Errorf("%+v", rec)
	}
}

func TestKilledBetweenTheFinalBlockAndTheRecording(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	g.write(5, 0, true)
	g.finished()
	g.kill()
	for _, name := range []string{jsonName, "recording.mp4"} {
		if err := os.Remove(g.onDisk(name)); err != nil {
			t.Fatal(err)
		}
	}
	g.start()
	until(t, "the recording is complete by itself", func() bool { return g.a.isComplete(town) })
	g.sameRecording()
}

func TestNothingIsKeptOfOldEpochsDuplicatesAndStrangers(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	g.write(6, 0, false)
	old := g.w
	for _, b := range g.sent { // all of it again
		data, err := b.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.bus.Publish("hustings.block.town-hall", data); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the duplicates have come", func() bool { return g.count("duplicate") == 6 })
	if said := g.resume(false); said.Seq != 6 || said.Epoch != 1 {
		t.Fatalf("the log goes on at %+v", said)
	}
	// A stage that does not know that it was replaced goes on.
	if _, err := old.Append(old.End(), tone(t, 0), []byte("{}"), true); err != nil {
		t.Fatal(err)
	}
	// A block on another space's subject, and what is no block.
	stranger, err := g.sent[0].AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for subject, data := range map[string][]byte{
		"hustings.block.elsewhere": stranger, "hustings.block.Bad_Id": stranger, "hustings.block.town-hall": []byte("noise"),
	} {
		if err := g.bus.Publish(subject, data); err != nil {
			t.Fatal(err)
		}
	}
	g.write(6, 0, true)
	g.finished()
	g.sameRecording()
	for _, want := range []string{"older epoch", "another space", "bad id", "not a block"} {
		until(t, "the log tells of "+want, func() bool { return strings.Contains(g.log.String(), want) })
	}
	if written := g.count("written"); written != 12 {
		t.Errorf("%v blocks written, want 12", written)
	}
	if _, err := os.Stat(g.dir + "/Bad_Id"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made for a bad id: %v", err)
	}
}

// lose publishes n blocks that never reach the archive.
func (g *rig) lose(n int) (lost []*programme.Block) {
	g.t.Helper()
	for range n {
		b, err := g.w.Append(g.w.End(), tone(g.t, g.w.Seq()), []byte("{}"), false)
		if err != nil {
			g.t.Fatal(err)
		}
		lost = append(lost, b)
	}
	return lost
}

func (g *rig) resumeLossy() (drop *bool) {
	g.t.Helper()
	resume, err := g.a.Resume(town)
	if err != nil {
		g.t.Fatal(err)
	}
	drop = new(bool)
	g.w = programme.NewWriter(programme.WriterOptions{Space: town, Resume: resume, Signer: g.signer, Publish: func(data []byte) error {
		if *drop {
			return nil
		}
		return g.bus.Publish("hustings.block.town-hall", data)
	}})
	return drop
}

func TestMissingBlocksAreFetched(t *testing.T) {
	g := newRig(t).start()
	drop := g.resumeLossy()
	g.write(3, 0, false)
	*drop = true
	lost := g.lose(4)
	*drop = false
	stop, err := g.bus.Handle("hustings.blocks.town-hall", func(_ string, request []byte) ([]byte, error) {
		var want programme.Range
		if err := json.Unmarshal(request, &want); err != nil {
			return nil, err
		}
		var out []byte
		for i, b := range lost {
			// Two blocks an answer, so that it has to ask again.
			if b.Seq >= want.From && b.Seq < want.To && b.Seq < want.From+2 {
				data, err := lost[i].AppendBinary(nil)
				if err != nil {
					return nil, err
				}
				out = programme.AppendFramed(out, data)
			}
		}
		return out, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	g.sent = append(g.sent, lost...)
	g.state = nil
	g.write(5, 0, true)
	g.finished()
	g.sameRecording()
	if rec := g.info(); len(rec.Holes) != 0 || rec.Checkpoint != g.w.Checkpoint() {
		t.Errorf("holes %v, checkpoint %q", rec.Holes, rec.Checkpoint)
	}
}

func TestBlocksThatNobodyHasAreAHole(t *testing.T) {
	if testing.Short() {
		t.Skip("waits 2 s for an answer that does not come")
	}
	g := newRig(t).start()
	drop := g.resumeLossy()
	g.write(10, 0, false)
	note := g.w.Checkpoint()
	*drop = true
	g.lose(4)
	*drop = false
	g.state = nil
	g.write(8, 0, true)
	g.finished()
	g.sameRecording()
	rec := g.info()
	if diff := cmp.Diff([]Hole{{Start: 5, Length: 2, Blocks: 4, Why: "blocks 10 to 13 did not reach the archive"}}, rec.Holes); diff != "" {
		t.Error(diff)
	}
	if rec.Checkpoint != note {
		t.Error("the checkpoint is not the last one that the log can show the blocks of")
	}
	for _, want := range []string{"nobody has them", "signs other blocks"} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log does not tell: %s", want)
		}
	}
	if _, err := g.a.Proof(t.Context(), town, 9, 11); space.KindOf(err) != space.TooEarly {
		t.Errorf("a proof beyond what is signed: %v", err)
	}
}

func TestProofOfOneRung(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	g.write(14, 0, false)
	check := func(when string) {
		t.Helper()
		p, err := g.a.Proof(t.Context(), town, 3, 7)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if err := p.Verify(g.signer.Verifier()); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		for i, l := range p.Leaves {
			heard := g.sent[3+i]
			if l.Seq != heard.Seq || l.Rungs[programme.Rung16] != programme.HashPackets(heard.Rungs[programme.Rung16]) {
				t.Errorf("%s: leaf %d is not of what was heard", when, l.Seq)
			}
		}
	}
	check("live")
	for _, c := range []struct {
		from, to uint64
		want     space.Kind
	}{{9, 11, space.TooEarly}, {3, 3, space.Invalid}, {0, 1000, space.Invalid}, {14, 15, space.NotFound}} {
		if _, err := g.a.Proof(t.Context(), town, c.from, c.to); space.KindOf(err) != c.want {
			t.Errorf("%d to %d: %v, want %s", c.from, c.to, err, c.want)
		}
	}
	g.write(1, 0, true)
	g.finished()
	check("ended")
	check("ended, from memory")
	if _, err := g.a.Proof(t.Context(), "no-such", 0, 1); space.KindOf(err) != space.NotFound {
		t.Errorf("of no space: %v, want NotFound", err)
	}
}

func TestUnknownSpaces(t *testing.T) {
	g := newRig(t).start()
	for _, id := range []space.ID{"no-such", "../town-hall", ""} {
		if _, err := g.a.Open(t.Context(), id, "ogg"); space.KindOf(err) != space.NotFound {
			t.Errorf("open %q: %v, want NotFound", id, err)
		}
		if err := g.a.Finished(t.Context(), id); space.KindOf(err) != space.NotFound {
			t.Errorf("finished %q: %v, want NotFound", id, err)
		}
	}
	if _, err := g.a.Open(t.Context(), town, "exe"); space.KindOf(err) != space.NotFound {
		t.Errorf("another kind of file: %v, want NotFound", err)
	}
}

func TestRangesAreBounded(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	g.write(260, 0, false)
	ask := func(from, to uint64) []uint64 {
		t.Helper()
		request, err := json.Marshal(programme.Range{From: from, To: to})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		data, err := g.bus.Request(ctx, "hustings.blocks.town-hall", request)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := programme.SplitFramed(data)
		if err != nil || len(data) > maxAnswerBytes {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		var seqs []uint64
		for _, data := range blocks {
			b, err := programme.UnmarshalBlock(data)
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, b.Seq)
		}
		return seqs
	}
	if got := ask(3, 6); !slices.Equal(got, []uint64{3, 4, 5}) {
		t.Errorf("3 to 6: %v", got)
	}
	if got := ask(258, 1<<60); !slices.Equal(got, []uint64{258, 259}) {
		t.Errorf("258 and on: %v", got)
	}
	if got := ask(0, 1<<60); len(got) < 50 || len(got) > maxAnswerBlocks {
		t.Errorf("all: %d blocks, want as many as fit", len(got))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := g.bus.Request(ctx, "hustings.blocks.town-hall", []byte(`{"from":260,"to":261}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what is not there: %v, want silence", err)
	}
	if _, err := g.bus.Request(t.Context(), "hustings.blocks.town-hall", []byte(`nonsense`)); err == nil || !strings.Contains(err.Error(), "from and to") {
		t.Errorf("nonsense: %v", err)
	}
}

func TestRecordingMovesToTheStore(t *testing.T) {
	store := &shelf{dir: t.TempDir()}
	g := newRig(t).start(func(a *Archive) { a.opts.Blob = store })
	g.resume(false)
	g.write(6, 0, true)
	g.finished()
	g.sameRecording() // from here or from there
	until(t, "the files have moved", func() bool {
		return !exists(g.onDisk("recording.ogg")) && !exists(g.onDisk("recording.mp4"))
	})
	g.sameRecording()
	if names, err := os.ReadDir(store.dir); err != nil || len(names) != 3 {
		t.Errorf("the store has %v, %v", names, err)
	}
	if _, err := g.a.Proof(t.Context(), town, 0, 6); err != nil {
		t.Errorf("a proof after moving: %v", err)
	}
	// Another node, which never kept the space, serves it too.
	other := newRig(t).start(func(a *Archive) { a.opts.Blob = store })
	other.sent = g.sent
	other.sameRecording()
	if rec := other.info(); rec.Blocks != 6 {
		t.Errorf("%+v", rec)
	}
}

// A store that fails delays nothing: the recording is served from here, and moves
// at the next start.
func TestRecordingStaysWhileTheStoreFails(t *testing.T) {
	store := &shelf{dir: t.TempDir()}
	store.fails.Store(true)
	g := newRig(t).start(func(a *Archive) { a.opts.Blob = store })
	g.resume(false)
	g.write(6, 0, true)
	g.finished()
	until(t, "the log tells", func() bool { return strings.Contains(g.log.String(), "can't be moved to the store") })
	g.sameRecording()
	g.stop()
	store.fails.Store(false)
	g.start(func(a *Archive) { a.opts.Blob = store })
	until(t, "the files have moved", func() bool { return !exists(g.onDisk("recording.mp4")) })
	g.sameRecording()
}

// count returns how many blocks met with a result, by the metrics.
func (g *rig) count(result string) (n float64) {
	g.t.Helper()
	families, err := g.metrics.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "hustings_archive_blocks_total" && m.GetLabel()[0].GetValue() == result {
				n = m.GetCounter().GetValue()
			}
		}
	}
	return n
}
