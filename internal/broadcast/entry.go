package broadcast

import (
	"encoding/json"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/ogg"
	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// Format is a container.
type Format string

// The formats that the programme is rendered in.
const (
	Ogg Format = "ogg" // Opus in Ogg (RFC 7845)
	MP4 Format = "mp4" // Opus in fragmented MP4, with the pulse as emsg
)

// PulseScheme marks the emsg boxes that carry the pulse. Their value is "state"
// for a whole one, "patch" for a JSON merge patch (RFC 7396) of the one before.
const PulseScheme = "urn:hustings:pulse"

// form is a format at a rung: what a listener listens to.
type form struct {
	Format Format
	Rung   programme.Rung
}

const forms = 2 * programme.Rungs

func (f form) index() int {
	if f.Format == MP4 {
		return programme.Rungs + int(f.Rung)
	}
	return int(f.Rung)
}

func (f form) valid() bool {
	return (f.Format == Ogg || f.Format == MP4) && f.Rung < programme.Rungs
}

// entry is a block as listeners get it. But for what it renders when it is asked
// for, it is never changed.
type entry struct {
	number uint64        // in the feed
	came   time.Time     // when it was put there
	hole   time.Duration // in the programme, before it
	block  *programme.Block
	before []byte // the whole pulse before the block, empty if there is none
	after  []byte // the whole pulse after it
	// whole: the pulse of this block is told whole, since it does not follow from
	// the one before: a new epoch, or blocks that were lost.
	whole bool

	telling sync.Once    // guards told
	told    *space.Tally // see tally

	mu       sync.Mutex // held to render
	rendered [forms]atomic.Pointer[[]byte]
}

// state is what is known of a log before a block.
type state struct {
	known bool
	epoch uint32 // of the block before
	seq   uint64 // of the next block
	pulse []byte // whole, or empty
	apart bool   // it is not what the entry before led to
}

// newEntry makes the entry of a block that comes after a state. If the pulse can't be
// read, the one before stays; that is the error.
func newEntry(number uint64, before state, b *programme.Block) (*entry, error) {
	e := &entry{number: number, came: time.Now(), block: b, before: before.pulse}
	sameEpoch := before.known && before.epoch == b.Epoch
	e.whole = !sameEpoch || before.seq != b.Seq || before.apart
	e.after = e.before
	if unchanged := len(b.Pulse) == 0 || string(b.Pulse) == "{}"; unchanged {
		return e, nil
	}
	var base []byte
	if sameEpoch {
		base = before.pulse
	}
	after, err := programme.Apply(base, b.Pulse)
	if err != nil {
		e.whole = true
		return e, err
	}
	e.after = after
	return e, nil
}

// bytes returns the entry in a form. It is rendered when it is first asked for:
// most spaces are heard in one or two of the forms.
func (e *entry) bytes(as form) []byte {
	slot := &e.rendered[as.index()]
	if p := slot.Load(); p != nil {
		return *p
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := slot.Load(); p != nil {
		return *p
	}
	out := e.render(as)
	slot.Store(&out)
	return out
}

func (e *entry) render(as form) []byte {
	b := e.block
	packets := b.Rungs[as.Rung]
	size := 512 + len(b.Pulse)
	for _, p := range packets {
		size += len(p)
	}
	out := make([]byte, 0, size)
	if as.Format == Ogg {
		page := ogg.Page{Serial: serial(b.Space), Sequence: firstAudioPage + uint32(b.Seq), Granule: b.End(), Packets: packets}
		if b.Final {
			page.Flags = ogg.Last
		}
		return ogg.AppendPage(out, page)
	}
	switch {
	case e.whole && len(e.after) > 0:
		out = e.appendPulse(out, "state", e.after)
	case len(b.Pulse) > len("{}"):
		out = e.appendPulse(out, "patch", b.Pulse)
	}
	return fmp4.AppendFragment(out, fmp4.Fragment{Sequence: uint32(b.Seq) + 1, Time: uint64(b.Start), Packets: packets})
}

// firstAudioPage comes after the two header pages. The numbers of audio pages run
// on with the log, so whoever joins sees them jump once.
const firstAudioPage = 2

func (e *entry) appendPulse(dst []byte, value string, data []byte) []byte {
	return fmp4.AppendEvent(dst, fmp4.Event{
		Scheme: PulseScheme, Value: value, Time: uint64(e.block.Start), ID: uint32(e.block.Seq), Data: data,
	})
}

// stateBefore returns the whole pulse before the block, as MP4 carries it.
func (e *entry) stateBefore() []byte {
	if len(e.before) == 0 {
		return nil
	}
	return e.appendPulse(nil, "state", e.before)
}

// head returns what a stream in this form begins with.
func (e *entry) head(as form) []byte {
	channels := e.channels(as.Rung)
	if as.Format == MP4 {
		return fmp4.AppendInit(nil, fmp4.Track{Channels: channels, PreSkip: opus.PreSkip, PacketSamples: programme.PacketSamples})
	}
	var comments []string
	if title := e.title(); title != "" {
		comments = append(comments, "TITLE="+title)
	}
	return ogg.AppendHeaders(nil, serial(e.block.Space), channels, opus.PreSkip, "Hustings", comments...)
}

func (e *entry) channels(rung programme.Rung) int {
	if e.block.Stereo && rung == programme.Rung48 {
		return 2
	}
	return 1
}

// title returns the title that the pulse tells, for players that show one.
func (e *entry) title() string {
	var pulse struct {
		Title string `json:"title"`
	}
	const longest = 4 * space.MaxTitle // in bytes
	if json.Unmarshal(e.after, &pulse) != nil || len(pulse.Title) > longest {
		return "" // it is for show: the programme goes on without
	}
	return pulse.Title
}

// serial returns the number of a space's logical Ogg stream: the same for all who
// listen, on every node.
func serial(id space.ID) uint32 {
	h := fnv.New32a()
	h.Write([]byte(id)) // never fails
	return h.Sum32()
}
