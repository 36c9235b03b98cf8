package aac

import (
	"context"
	"errors"
	"time"

	"hustings/internal/ogg"
)

// silence is an Opus packet of 20 ms in which nothing is heard, mono or stereo.
func silence(channels int) []byte {
	if channels == 2 {
		return []byte{0xfc, 0xff, 0xfe}
	}
	return []byte{0xf8, 0xff, 0xfe}
}

// streamSerial is the number of the Ogg stream that a process reads.
const streamSerial = 1

// feeder brings blocks to one process.
type feeder struct {
	voice    *voice
	process  *process
	read     <-chan error // what reading came to
	channels int
	head     []byte   // of the stream, until it is sent
	page     ogg.Page // the last one
	last     Block    // the newest that was fed
}

// newFeeder begins an Ogg stream. Its pre-skip is none: the first sample that the
// process hears is that of its anchor.
func newFeeder(v *voice, p *process, read <-chan error, channels int) *feeder {
	return &feeder{
		voice: v, process: p, read: read, channels: channels,
		head: ogg.AppendHeaders(nil, streamSerial, channels, 0, "Hustings"),
		page: ogg.Page{Serial: streamSerial, Sequence: 1},
	}
}

// begin feeds the first block, and what leads up to it from the anchor on: the block
// before if there is one, so that the encoder is as it would be had it been there
// already; or silence.
func (f *feeder) begin(at int64, before *Block, first Block, packets [][]byte) error {
	if err := f.put(f.lead(at, before, first)); err != nil {
		return err
	}
	return f.block(first, packets)
}

func (f *feeder) lead(at int64, before *Block, first Block) (lead [][]byte) {
	if before != nil {
		packets, channels, ok := f.voice.enc.opts.Log.Packets(f.voice.id, before.Epoch, before.Seq)
		if skip := int((at - before.Start) / packetSamples); ok && channels == f.channels && skip <= len(packets) {
			return packets[skip:]
		}
	}
	for ; at < first.Start; at += packetSamples {
		lead = append(lead, silence(f.channels))
	}
	return lead
}

// block feeds a block.
func (f *feeder) block(b Block, packets [][]byte) error {
	v := f.voice
	v.mu.Lock()
	v.packs.fed(b)
	if v.owed.IsZero() {
		v.owed = time.Now()
	}
	v.mu.Unlock()
	f.last, v.at, v.begun = b, b, true
	return f.put(packets)
}

// put writes packets as one page.
func (f *feeder) put(packets [][]byte) error {
	if len(packets) == 0 {
		return nil
	}
	if !ogg.Fits(packets) {
		return errors.New("the packets of a block do not fit into a page")
	}
	f.page.Sequence++
	f.page.Granule += int64(len(packets)) * packetSamples
	f.page.Packets = packets
	out := ogg.AppendPage(f.head, f.page)
	f.head = nil
	return f.process.feed(out)
}

// errHangs says that a process takes in and gives nothing out.
var errHangs = errors.New("it has given nothing for 10 s")

// follow feeds blocks as they come, as long as each follows from the one before.
//
// Errors: nil at the first that does not and after the last, errEnded, and what went
// wrong.
func (f *feeder) follow(ctx context.Context) error {
	v := f.voice
	look := time.NewTicker(lookEach)
	defer look.Stop()
	for {
		blocks, final, changed, ok := v.enc.opts.Log.Window(v.id)
		i := v.nextOf(blocks)
		switch {
		case !ok:
			return errEnded
		case i < 0 && final, i >= 0 && !follows(f.last, blocks[i]):
			return nil
		case i >= 0:
			packets, channels, ok := v.enc.opts.Log.Packets(v.id, blocks[i].Epoch, blocks[i].Seq)
			if !ok || channels != f.channels {
				return nil
			}
			if err := f.block(blocks[i], packets); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.process.ended:
			return errors.New("it ended by itself")
		case <-changed:
		case <-look.C:
			switch {
			case v.idle():
				return errEnded
			case v.late():
				return errHangs
			}
		}
	}
}

// finish ends the process: in good order if it was well, so that the last frames come
// out, else at once.
func (f *feeder) finish(err error) error {
	v, p := f.voice, f.process
	well := err == nil || errors.Is(err, errEnded)
	_ = p.in.Close() // that is how it learns that there is no more
	if well {
		select {
		case <-p.ended:
		case <-time.After(feedWithin):
			err, well = errors.Join(err, errHangs), false
		}
	}
	if !well {
		p.kill()
	}
	readErr := <-f.read
	p.close()
	switch {
	case !well:
		v.forget()
		return errors.Join(err, p.err)
	case readErr != nil:
		return readErr
	}
	v.wrapUp()
	return err
}

// wrapUp keeps the last part of a process that has ended.
func (v *voice) wrapUp() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if part, frames, ok := v.packs.tail(); ok {
		v.keep(part, frames)
	}
}

// forget goes back to the newest block that has a part: what a dead process had not
// encoded the next one will.
func (v *voice) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.parts); n > 0 {
		v.at = Block{Epoch: v.parts[n-1].Epoch, Seq: v.parts[n-1].Seq}
	} else {
		v.begun = false
	}
}
