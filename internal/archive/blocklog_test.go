package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hustings/internal/programme"
)

// smallLog returns a log of n small blocks, in memory.
func smallLog(t testing.TB, n int) (*memFile, *blockLog) {
	t.Helper()
	f := new(memFile)
	l, torn, err := openLog(f, town)
	if err != nil || torn != 0 {
		t.Fatal(torn, err)
	}
	if err := l.fence(0); err != nil {
		t.Fatal(err)
	}
	for range n {
		b, data := smallBlock(t, l)
		if err := l.append(b, data); err != nil {
			t.Fatal(err)
		}
	}
	return f, l
}

// smallBlock returns the next block of a log.
func smallBlock(t testing.TB, l *blockLog) (*programme.Block, []byte) {
	t.Helper()
	b := &programme.Block{Space: town, Epoch: l.epoch, Seq: l.next(), Start: l.end, Pulse: []byte(`{}`)}
	for r := range b.Rungs {
		for i := range programme.PacketsPerBlock {
			b.Rungs[r] = append(b.Rungs[r], []byte{0xf8, 0xff, byte(i)})
		}
	}
	data, err := b.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b, data
}

// Wherever in its last record a log breaks off, and whatever the disk put in place
// of the rest, it opens with all blocks before, and goes on.
func TestTornTail(t *testing.T) {
	f, whole := smallLog(t, 4)
	last := int(whole.entries[3].offset)
	for at := last; at < len(f.data); at++ {
		zeros := append(bytes.Clone(f.data[:at]), make([]byte, len(f.data)-at)...)
		for _, data := range [][]byte{bytes.Clone(f.data[:at]), zeros} {
			if bytes.Equal(data, f.data) {
				continue // the block happens to end with zeros
			}
			torn := &memFile{data}
			l, n, err := openLog(torn, town)
			if err != nil || n != int64(len(data)-last) || l.next() != 3 || l.end != 3*programme.BlockSamples {
				t.Fatalf("broken off at %d: %d torn bytes, next block %d, %v", at-last, n, l.next(), err)
			}
			if err := torn.Truncate(l.size); err != nil {
				t.Fatal(err)
			}
			b, block := smallBlock(t, l)
			if err := l.append(b, block); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(torn.data, f.data) || l.tree.Root() != whole.tree.Root() {
				t.Fatalf("broken off at %d and gone on the log is another", at-last)
			}
		}
	}
}

func TestTornTitle(t *testing.T) {
	f, _ := smallLog(t, 1)
	for n := range logTitle {
		torn := &memFile{bytes.Clone(f.data[:n])}
		l, _, err := openLog(torn, town)
		if err != nil || l.next() != 0 {
			t.Fatalf("%d bytes of the title: next %d, %v", n, l.next(), err)
		}
		b, data := smallBlock(t, l)
		if err := l.append(b, data); err != nil {
			t.Fatal(err)
		}
		if again, _, err := openLog(torn, town); err != nil || again.next() != 1 {
			t.Fatalf("gone on after %d bytes of the title: %v", n, err)
		}
	}
	if _, _, err := openLog(&memFile{[]byte("some other file of this length")}, town); err == nil {
		t.Error("a file that is no block log was opened")
	}
}

func FuzzOpenLog(f *testing.F) {
	file, _ := smallLog(f, 2)
	f.Add(file.data)
	f.Add(file.data[:len(file.data)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		mem := &memFile{bytes.Clone(data)}
		l, torn, err := openLog(mem, town)
		if err != nil {
			return
		}
		if len(data) >= len(logTitle) && l.size+torn != int64(len(data)) {
			t.Fatalf("%d and %d torn are not the %d bytes that were there", l.size, torn, len(data))
		}
		for i := range l.entries {
			if _, err := l.block(i); err != nil {
				t.Fatalf("block %d of a log that opened: %v", i, err)
			}
		}
	})
}

// A disk that changes what was written long ago must not cost what comes after it.
func TestDamagedLogIsSavedBesideIt(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	g.write(240, 0, false)
	g.kill()
	data, err := os.ReadFile(g.onDisk(logName))
	if err != nil || len(data) < maxRecord+30000 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	data[20000] ^= 1
	if err := os.WriteFile(g.onDisk(logName), data, 0o644); err != nil {
		t.Fatal(err)
	}
	g.start()
	said := g.resume(false)
	saved, err := filepath.Glob(g.onDisk("damaged-*.log"))
	if err != nil || len(saved) != 1 {
		t.Fatalf("saved files: %v, %v", saved, err)
	}
	rest, err := os.ReadFile(saved[0])
	if err != nil || !bytes.HasSuffix(data, rest) || said.Seq == 0 || said.Seq > 10 {
		t.Errorf("saved %d of %d bytes, the log goes on at %d (%v)", len(rest), len(data), said.Seq, err)
	}
	if !strings.Contains(g.log.String(), "damaged") {
		t.Error("the log does not tell of the damage")
	}
}

func TestFullDisk(t *testing.T) {
	rooms := []int{0, 5, 6000, 9000, 21000} // the log and the recording run full at different places
	if testing.Short() {
		rooms = []int{9000}
	}
	for _, room := range rooms {
		var d disk
		g := newRig(t).start(func(a *Archive) { a.openFile = d.open })
		g.resume(false)
		g.write(4, 0, false)
		if err := g.a.Health(); err != nil {
			t.Fatalf("before: %v", err)
		}
		d.fill(room)
		g.publish(12, 0, false)
		until(t, "the archive tells that the disk is full", func() bool { return errors.Is(g.a.Health(), syscall.ENOSPC) })
		if !strings.Contains(g.log.String(), "can't write") {
			t.Error("the log does not tell that the disk is full")
		}
		d.free()
		g.write(4, 0, true)
		g.finished()
		g.sameRecording()
		if err := g.a.Health(); err != nil {
			t.Errorf("after: %v", err)
		}
		if rec := g.info(); rec.Checkpoint != g.w.Checkpoint() || len(rec.Holes) != 0 {
			t.Errorf("holes %v", rec.Holes)
		}
		if !strings.Contains(g.log.String(), "writes again") {
			t.Error("the log does not tell that the archive writes again")
		}
		g.stop()
	}
}

// A crash while the disk is full leaves whole blocks.
func TestKilledWithAFullDisk(t *testing.T) {
	var d disk
	g := newRig(t).start(func(a *Archive) { a.openFile = d.open })
	g.resume(false)
	g.write(4, 0, false)
	d.fill(100)
	g.publish(3, 0, false)
	until(t, "the disk is full", func() bool { return g.a.Health() != nil })
	g.kill()
	g.sent = g.sent[:4]
	g.start()
	if said := g.resume(false); said.Seq != 4 {
		t.Fatalf("the log goes on at %+v", said)
	}
	g.write(4, 0, true)
	g.finished()
	g.sameRecording()
}

// What is too much for the memory is dropped, told, and a hole in the recording;
// the programme goes on.
func TestDiskFullForLong(t *testing.T) {
	if testing.Short() {
		t.Skip("waits 2 s for blocks that nobody has")
	}
	var d disk
	g := newRig(t).start(func(a *Archive) { a.openFile = d.open })
	g.resume(false)
	d.fill(0)
	g.publish(queueBlocks+50, 0, false)
	until(t, "the log tells of a dropped block", func() bool { return strings.Contains(g.log.String(), "a block was dropped") })
	until(t, "all have come", func() bool { return strings.Count(g.log.String(), "a block was dropped") >= 49 })
	d.free()
	g.waitFor(queueBlocks)
	g.publish(2, 0, true)
	g.finished()
	rec := g.info()
	if len(rec.Holes) != 1 || rec.Holes[0].Blocks < 48 || rec.Blocks != queueBlocks+52 {
		t.Fatalf("holes %+v in %d blocks", rec.Holes, rec.Blocks)
	}
	kept := g.sent[:queueBlocks+50-int(rec.Holes[0].Blocks)]
	g.sent = append(kept[:len(kept):len(kept)], g.sent[queueBlocks+50:]...)
	g.sameRecording()
}
