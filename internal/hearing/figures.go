// Package hearing is what listeners hear, and how it is counted: their page's
// playback buffer as a model (playback.go), what rides beside the sound (events.go),
// whether what came is in the signed log (ledger.go), and the figures of it all,
// which add up over processes (figures.go).
//
// It is pure: it is told what came and when, and knows neither network nor clock.
package hearing

import (
	"fmt"
	"maps"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Figures say how a crowd fares, as counts from its beginning unless they say
// "now". They are plain data: they go through JSON without loss, and those of
// several processes make those of one crowd by Merge. Lengths of time are in
// seconds.
type Figures struct {
	Taken   time.Time `json:"taken"`
	Seconds float64   `json:"seconds"` // since the crowd began

	Asked      int64 `json:"asked"`      // listeners that the crowd is to have
	Arrived    int64 `json:"arrived"`    // have set out
	Waiting    int64 `json:"waiting"`    // now: between two attempts
	Connecting int64 `json:"connecting"` // now: no answer yet, of the page or of the stream
	Joined     int64 `json:"joined"`     // now: the stream was answered by 200
	Hearing    int64 `json:"hearing"`    // now: sound comes out
	Dry        int64 `json:"dry"`        // now: heard sound, and wait for more
	Left       int64 `json:"left"`       // went as planned, or at the end of the programme
	GaveUp     int64 `json:"gave_up"`    // were told that there is nothing to come back for

	EverJoined int64 `json:"ever_joined"`
	EverHeard  int64 `json:"ever_heard"`
	NeverHeard int64 `json:"never_heard"` // of those who arrived

	Refused    map[int]int64    `json:"refused,omitempty"` // answers, by HTTP status
	Redirected int64            `json:"redirected,omitempty"`
	Failed     map[string]int64 `json:"failed,omitempty"` // connections, by reason
	Reconnects int64            `json:"reconnects"`       // attempts after the first that was to bring sound
	Moves      int64            `json:"moves"`            // of them, those to another edge

	// Blocks that were missed: the stream went on behind them.
	Gaps       Gaps  `json:"gaps"`
	LostBlocks int64 `json:"lost_blocks"`
	// Dries are times at which a listener's playback buffer ran dry: silence that
	// was to be heard, until enough was there to go on.
	Dries Gaps `json:"dries"`
	// Holes were never spoken: the stage was down. They are nobody's loss on the way.
	Holes Gaps `json:"holes"`

	Blocks         int64   `json:"blocks"`   // heard, each once by each listener
	Repeated       int64   `json:"repeated"` // came a second time on one connection: none should
	Bytes          int64   `json:"bytes"`    // of the streams
	BytesPerSecond float64 `json:"bytes_per_second"`

	Proven     int64 `json:"proven"`     // blocks that their listener found in the signed log
	Compared   int64 `json:"compared"`   // that are, byte for byte, what the log has
	Mismatched int64 `json:"mismatched"` // that are not what the log has: none should be
	Unproven   int64 `json:"unproven"`   // not held against the log (yet)

	Depth float64          `json:"depth"`           // now: the depth that the server tells, at most
	Edges map[string]int64 `json:"edges,omitempty"` // now: joined, by server

	Documents  Times `json:"documents"`   // from setting out to the page's last document
	FirstByte  Times `json:"first_byte"`  // from asking for the stream to its first byte of media
	FirstSound Times `json:"first_sound"` // from setting out to the first sound

	Generator Generator `json:"generator"`
}

// Gaps count something that a listener misses.
type Gaps struct {
	Count     int64   `json:"count"`
	Seconds   float64 `json:"seconds"`
	Listeners int64   `json:"listeners"` // with any
	Longest   float64 `json:"longest"`
}

// Generator says how the crowd's own process fared. Where it was late, figures of
// time are too high by as much, and the server is not to blame.
type Generator struct {
	Late      float64 `json:"late"`       // the longest that an event waited for the loop, in the last second
	WorstLate float64 `json:"worst_late"` // ever
	Busy      float64 `json:"busy"`       // share of the last second that the loop worked
	MostBusy  float64 `json:"most_busy"`  // of any second
	// Behind is how long the next arrival is overdue; WorstBehind the longest that one was.
	Behind      float64 `json:"behind"`
	WorstBehind float64 `json:"worst_behind"`
	CPU         float64 `json:"cpu_seconds"` // of the process, both user's and system's
	Processes   int     `json:"processes"`
	// Memory is what the crowd holds for its listeners, in bytes: the kernel's part
	// is not in it.
	Memory int64 `json:"memory_bytes"`
}

// What a generator may take before it is called the limit.
const (
	tolerableLate   = 0.25 // seconds that an event waits
	tolerableBehind = 0.5  // seconds that an arrival is overdue
	tolerableBusy   = 0.95 // of a second
)

// Limit says why the generator, and not the server, set the figures; "" if it did not.
func (g Generator) Limit() string {
	switch {
	case g.WorstBehind > tolerableBehind:
		return fmt.Sprintf("listeners arrived up to %.1f s later than planned", g.WorstBehind)
	case g.WorstLate > tolerableLate:
		return fmt.Sprintf("what had come waited up to %.0f ms to be read", g.WorstLate*1000)
	case g.MostBusy > tolerableBusy:
		return fmt.Sprintf("a process was busy for %.0f%% of a second", g.MostBusy*100)
	}
	return ""
}

// Merge adds the figures of another process.
func (f *Figures) Merge(o Figures) {
	if o.Taken.After(f.Taken) {
		f.Taken = o.Taken
	}
	f.Seconds = max(f.Seconds, o.Seconds)
	f.Asked += o.Asked
	f.Arrived += o.Arrived
	f.Waiting += o.Waiting
	f.Connecting += o.Connecting
	f.Joined += o.Joined
	f.Hearing += o.Hearing
	f.Dry += o.Dry
	f.Left += o.Left
	f.GaveUp += o.GaveUp
	f.EverJoined += o.EverJoined
	f.EverHeard += o.EverHeard
	f.NeverHeard += o.NeverHeard
	f.Refused = Sum(f.Refused, o.Refused)
	f.Redirected += o.Redirected
	f.Failed = Sum(f.Failed, o.Failed)
	f.Reconnects += o.Reconnects
	f.Moves += o.Moves
	f.Gaps.merge(o.Gaps)
	f.LostBlocks += o.LostBlocks
	f.Dries.merge(o.Dries)
	f.Holes.merge(o.Holes)
	f.Blocks += o.Blocks
	f.Repeated += o.Repeated
	f.Bytes += o.Bytes
	f.BytesPerSecond += o.BytesPerSecond
	f.Proven += o.Proven
	f.Compared += o.Compared
	f.Mismatched += o.Mismatched
	f.Unproven += o.Unproven
	f.Depth = max(f.Depth, o.Depth)
	f.Edges = Sum(f.Edges, o.Edges)
	f.Documents.Merge(o.Documents)
	f.FirstByte.Merge(o.FirstByte)
	f.FirstSound.Merge(o.FirstSound)
	f.Generator.merge(o.Generator)
}

func (g *Gaps) merge(o Gaps) {
	g.Count += o.Count
	g.Seconds += o.Seconds
	g.Listeners += o.Listeners
	g.Longest = max(g.Longest, o.Longest)
}

// Add counts one; first says that its listener had none before.
func (g *Gaps) Add(seconds float64, first bool) {
	g.Count++
	g.Seconds += seconds
	g.Longest = max(g.Longest, seconds)
	if first {
		g.Listeners++
	}
}

func (g *Generator) merge(o Generator) {
	g.Late = max(g.Late, o.Late)
	g.WorstLate = max(g.WorstLate, o.WorstLate)
	g.Busy = max(g.Busy, o.Busy)
	g.MostBusy = max(g.MostBusy, o.MostBusy)
	g.Behind = max(g.Behind, o.Behind)
	g.WorstBehind = max(g.WorstBehind, o.WorstBehind)
	g.CPU += o.CPU
	g.Processes += o.Processes
	g.Memory += o.Memory
}

// Sum returns the sums of two tables, and leaves both as they are.
func Sum[K comparable](a, b map[K]int64) map[K]int64 {
	if len(b) == 0 {
		return a
	}
	all := maps.Clone(a)
	if all == nil {
		all = make(map[K]int64, len(b))
	}
	for key, n := range b {
		all[key] += n
	}
	return all
}

// Times are how long something took, each to within 1%, from 10 us to 10 minutes
// (HdrHistogram). The zero value is empty and ready. As JSON they are the text of
// HdrHistogram's V2 compressed encoding.
type Times struct {
	h *hdrhistogram.Histogram
}

const (
	timesUnit = 10 * time.Microsecond
	timesMost = int64(10 * time.Minute / timesUnit)
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, timesMost, 2) }

// Record adds one. What is out of range counts as the nearest that is in it.
func (t *Times) Record(d time.Duration) {
	if t.h == nil {
		t.h = newHistogram()
	}
	_ = t.h.RecordValue(min(max(int64(d/timesUnit), 1), timesMost)) // in range
}

// Count returns how many were recorded.
func (t Times) Count() int64 {
	if t.h == nil {
		return 0
	}
	return t.h.TotalCount()
}

// Quantile returns the time that a share q of all (0..1) did not exceed; 0 if
// there are none.
func (t Times) Quantile(q float64) time.Duration {
	if t.h == nil {
		return 0
	}
	return time.Duration(t.h.ValueAtQuantile(q*100)) * timesUnit
}

// Max returns the longest.
func (t Times) Max() time.Duration {
	if t.h == nil {
		return 0
	}
	return time.Duration(t.h.Max()) * timesUnit
}

// Merge adds what another one has recorded.
func (t *Times) Merge(o Times) {
	if o.h == nil {
		return
	}
	if t.h == nil {
		t.h = newHistogram()
	}
	t.h.Merge(o.h)
}

// Clone returns a copy that does not change with t.
func (t Times) Clone() Times {
	var c Times
	c.Merge(t)
	return c
}

// MarshalText returns HdrHistogram's text; "" if nothing was recorded.
func (t Times) MarshalText() ([]byte, error) {
	if t.Count() == 0 {
		return []byte{}, nil
	}
	return t.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalText reads what MarshalText wrote.
func (t *Times) UnmarshalText(text []byte) error {
	t.h = nil
	if len(text) == 0 {
		return nil
	}
	h, err := hdrhistogram.Decode(text)
	if err != nil {
		return fmt.Errorf("times: %w", err)
	}
	t.h = newHistogram()
	if dropped := t.h.Merge(h); dropped > 0 {
		return fmt.Errorf("times: %d of them are out of range", dropped)
	}
	return nil
}
