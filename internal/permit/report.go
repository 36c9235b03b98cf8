package permit

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"hustings/internal/space"
)

// reportHead begins the text of every report. What follows is a name and a value on
// each line, in this order; the names that begin with "crowd-" are what the crowd
// said of itself, those with "server-" are what the servers counted.
const reportHead = "hustings/rehearsal"

// about stands in each report, so that nobody takes the signature for more than it is.
const about = "signed is what the servers counted (server-) and what the holder of the owner's token said that the crowd heard (crowd-)"

// lines writes names and values.
type lines struct{ strings.Builder }

func (l *lines) put(name string, value any) {
	switch v := value.(type) {
	case time.Time:
		value = v.UTC().Format(time.RFC3339)
	case float64:
		value = fmt.Sprintf("%.3f", v)
	case string:
		value = oneLine(v)
	}
	fmt.Fprintf(l, "%s %v\n", name, value)
}

// oneLine keeps a value on its line, so that none can pass for another's.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// reportText writes what is signed of a rehearsal.
func reportText(on *running, r *reported, crowd space.Crowd) string {
	var l lines
	l.WriteString(reportHead + "\n")
	l.put("about", about)
	l.put("space", string(on.Space))
	l.put("rehearsal", on.ID)
	l.put("permitted", on.Listeners)
	l.put("began", on.BeganAt)
	l.put("ended", r.At)
	if crowd.Interrupted {
		l.put("capacity", "unchanged")
	} else {
		l.put("capacity", r.Listeners)
	}
	on.Stand.write(&l)
	writeCrowd(&l, crowd)
	writeServed(&l, on.Worst)
	return l.String()
}

func writeCrowd(l *lines, c space.Crowd) {
	l.put("crowd-shape", c.Shape)
	l.put("crowd-listeners", c.Listeners)
	l.put("crowd-joined", c.Joined)
	l.put("crowd-heard", c.Heard)
	l.put("crowd-whole", c.Whole)
	l.put("crowd-together", c.Together)
	l.put("crowd-gaps", c.Gaps)
	l.put("crowd-gap-seconds", c.GapSeconds)
	l.put("crowd-longest-gap-seconds", c.LongestGap)
	l.put("crowd-first-sound-p50-seconds", c.FirstSound.P50)
	l.put("crowd-first-sound-p90-seconds", c.FirstSound.P90)
	l.put("crowd-first-sound-p99-seconds", c.FirstSound.P99)
	l.put("crowd-first-sound-max-seconds", c.FirstSound.Max)
	l.put("crowd-reconnects", c.Reconnects)
	l.put("crowd-blocks", c.Blocks)
	l.put("crowd-blocks-proven", c.BlocksProven)
	l.put("crowd-blocks-refuted", c.BlocksRefuted)
	l.put("crowd-bytes", c.Bytes)
	l.put("crowd-seconds", c.Seconds)
	l.put("crowd-workers", c.Workers)
	l.put("crowd-dead-workers", c.DeadWorkers)
	l.put("crowd-generator-limited", c.Limited)
	l.put("crowd-interrupted", c.Interrupted)
}

func writeServed(l *lines, s space.Served) {
	l.put("server-joined", s.Joined)
	l.put("server-hearing-most", s.Hearing)
	l.put("server-skips", s.Skips)
	l.put("server-audience-most", s.Audience)
	l.put("server-nodes", s.Nodes)
	l.put("server-processor-most", s.Processor)
	l.put("server-late-most-seconds", s.Late)
	l.put("server-interval-most-seconds", s.Interval)
	l.put("server-depth-most-seconds", s.Depth)
	l.put("server-rung-least", s.Rung)
}

// plausible refuses figures that no crowd of this permit can have.
func plausible(c space.Crowd, permitted int) error {
	for _, few := range []struct {
		name    string
		n, most int
	}{
		{"listeners", c.Listeners, permitted}, {"joined", c.Joined, c.Listeners}, {"heard", c.Heard, c.Joined},
		{"whole", c.Whole, c.Heard}, {"together", c.Together, c.Heard}, {"dead_workers", c.DeadWorkers, c.Workers},
	} {
		if few.n < 0 || few.n > few.most {
			return space.Errorf(space.Invalid, "%s is %d, which is not from 0 to %d: correct the figures", few.name, few.n, few.most)
		}
	}
	for _, n := range []int64{int64(c.Gaps), int64(c.Reconnects), c.Blocks, c.BlocksProven, c.BlocksRefuted, c.Bytes, int64(c.Workers)} {
		if n < 0 {
			return space.Errorf(space.Invalid, "a number of the figures is negative: correct them")
		}
	}
	first := c.FirstSound
	for _, v := range []float64{c.GapSeconds, c.LongestGap, c.Seconds, first.P50, first.P90, first.P99, first.Max} {
		if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return space.Errorf(space.Invalid, "a duration of the figures is no time: correct them")
		}
	}
	if c.Shape == "" || len(c.Shape) > 16 || slices.ContainsFunc([]rune(c.Shape), func(r rune) bool { return r < 'a' || r > 'z' }) {
		return space.Errorf(space.Invalid, "shape is a word of small letters, such as rush")
	}
	return nil
}
