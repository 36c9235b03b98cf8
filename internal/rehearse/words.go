package rehearse

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hustings/internal/space"
)

// Result is what came of a rehearsal.
type Result struct {
	Scene     Scene
	Rehearsal space.Rehearsal
	Crowd     space.Crowd  // as it was reported
	Served    space.Served // the worst that the servers counted
	Limited   string       // why the generator was the limit; "" if it was not
	Note      string       // the report, signed by the server
	ReportErr error        // why there is none

	course *course
}

func newResult(scene Scene, permit space.Permit, c *course, interrupted bool) *Result {
	return &Result{
		Scene: scene, Rehearsal: permit.Rehearsal, course: c, Served: c.served, Limited: c.limited(),
		Crowd: c.crowdOf(scene.Plan, scene.Workers, interrupted),
	}
}

// arrived is how many of the crowd set out: all, unless it was interrupted.
func (r *Result) arrived() int { return int(r.course.last().Arrived) }

// fault is something that went wrong for some of the crowd.
type fault struct {
	n    int64
	what string // for one
	many string // for more
}

func (f fault) String() string {
	if f.n == 1 {
		return "1 " + f.what
	}
	return number(f.n) + " " + f.many
}

// faults are what went wrong for listeners; none means that all heard all.
func (r *Result) faults() (all []fault) {
	last := r.course.last()
	never := max(0, last.NeverHeard)
	if r.Crowd.Interrupted {
		never = 0 // who had just come was sent away
	}
	for _, f := range []fault{
		{never, "never heard sound", "never heard sound"},
		{max(last.Gaps.Listeners, last.Dries.Listeners), "heard a gap", "heard a gap"},
		{last.GaveUp, "was turned away", "were turned away"},
		{last.Mismatched, "block was not what was signed", "blocks were not what was signed"},
		{last.Lost, "was lost with its worker process", "were lost with their worker processes"},
	} {
		if f.n > 0 {
			all = append(all, f)
		}
	}
	return all
}

// OK reports whether everyone who came heard every block in time.
func (r *Result) OK() bool { return len(r.faults()) == 0 && r.arrived() > 0 }

// Verdict says in one sentence what came of it.
func (r *Result) Verdict() string {
	came := r.Crowd.Listeners
	if r.Crowd.Interrupted {
		came = r.arrived()
	}
	text := fmt.Sprintf("%s of %s heard every block", number(int64(r.Crowd.Whole)), number(int64(came)))
	if r.OK() && r.Crowd.Whole < came && r.Crowd.Interrupted {
		text = fmt.Sprintf("all %s who had come to hear sound heard every block", number(int64(r.Crowd.Whole)))
	}
	var wrong []string
	for _, f := range r.faults() {
		wrong = append(wrong, f.String())
	}
	if len(wrong) > 0 {
		text += "; " + strings.Join(wrong, ", ")
	}
	if r.Crowd.Interrupted {
		text += fmt.Sprintf(", until it was stopped after %s with %s of %s there", plain(r.course.last().At), number(int64(came)), number(int64(r.Crowd.Listeners)))
	}
	return upperFirst(text) + "."
}

// Write says what came of it to a host, the verdict first.
func (r *Result) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Verdict())
	for _, line := range r.lines() {
		fmt.Fprintf(&b, "  %-13s %s\n", line[0], line[1])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lines are the figures in words.
func (r *Result) lines() (all [][2]string) {
	c, s, last := r.Crowd, r.Served, r.course.last()
	put := func(name, format string, args ...any) {
		all = append(all, [2]string{name, fmt.Sprintf(format, args...)})
	}
	if c.Heard > 0 {
		put("first sound", "after %s for one half, %s for 99 in 100, %s for the last", short(c.FirstSound.P50), short(c.FirstSound.P99), short(c.FirstSound.Max))
	}
	if c.Gaps > 0 {
		put("gaps", "%s, %s in all, the longest %s", number(int64(c.Gaps)), short(c.GapSeconds), short(c.LongestGap))
	}
	if c.Reconnects > 0 {
		put("came back", "%s times after a lost connection", number(int64(c.Reconnects)))
	}
	put("sound", "%s blocks of half a second, %s, up to %s a second", number(c.Blocks), size(float64(c.Bytes)), size(r.course.most.bytes))
	put("proof", "%s blocks were found in the signed log as they were heard, %s more are the same bytes", number(c.BlocksProven), number(last.Compared))
	put("the server", "counted up to %s hearing (the crowd: %s); its processors were busy up to %s", number(int64(s.Hearing)), number(r.course.most.hearing), percent(s.Processor))
	put("", "one delivery to each every %s at the longest, up to %s late; depth up to %s; rate never below %d kb/s", short(s.Interval), short(s.Late), short(s.Depth), s.Rung)
	put("audience", "%s real listeners at most; the crowd is not in the tally", number(int64(s.Audience)))
	if why := r.refusals(); why != "" {
		put("refusals", "%s", why)
	}
	switch late := last.Figures.Generator.Limit(); {
	case r.Limited != "":
		put("the limit", "was the machine of the crowd, not the server: %s; give the crowd a machine of its own, or let fewer come", r.Limited)
	case late != "":
		put("take care", "the crowd's machine was slow too: %s", late)
	}
	switch {
	case r.ReportErr != nil:
		put("report", "is not signed: %v", r.ReportErr)
	case c.Interrupted:
		put("capacity", "what this deployment announced before stays: an interrupted rehearsal shows nothing")
	default:
		put("capacity", "this deployment announces %s listeners from now on", number(int64(r.capacity())))
	}
	return all
}

// refusals says which answers and failures there were.
func (r *Result) refusals() string {
	last, all := r.course.last(), []string{}
	for _, status := range slices.Sorted(maps.Keys(last.Refused)) {
		all = append(all, fmt.Sprintf("%s answers %d", number(last.Refused[status]), status))
	}
	for _, reason := range slices.Sorted(maps.Keys(last.Failed)) {
		all = append(all, fmt.Sprintf("%s: %s", reason, number(last.Failed[reason])))
	}
	return strings.Join(all, ", ")
}

// capacity is what the server announces by the signed report; 0 if that changed
// nothing.
func (r *Result) capacity() int {
	n, _ := strconv.Atoi(r.signed("capacity"))
	return n
}

// signed returns a value of the signed report; "" if there is none. Whether the
// signature holds was seen to when the report came.
func (r *Result) signed(name string) string {
	for line := range strings.Lines(r.Note) {
		if value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+" "); ok {
			return value
		}
	}
	return ""
}

// Document is a result as --json prints it.
type Document struct {
	Verdict   string       `json:"verdict"`
	OK        bool         `json:"ok"`
	Space     space.ID     `json:"space"`
	Server    string       `json:"server"`
	Rehearsal string       `json:"rehearsal"`
	BeganAt   time.Time    `json:"began_at"`
	Arrive    float64      `json:"arrive_seconds"`
	Hold      float64      `json:"hold_seconds"`
	Crowd     space.Crowd  `json:"crowd"`
	Served    space.Served `json:"server_counted"`

	MostHearing   int64            `json:"most_hearing"`
	MostBytes     float64          `json:"most_bytes_per_second"`
	NeverHeard    int64            `json:"never_heard"`
	HeardGap      int64            `json:"heard_a_gap"`
	Refused       map[int]int64    `json:"refused"`
	Failed        map[string]int64 `json:"failed"`
	Compared      int64            `json:"blocks_compared"`
	GeneratorMost float64          `json:"generator_processor"`
	Limit         string           `json:"generator_limit"`
	Capacity      int              `json:"capacity"`
	Report        string           `json:"report"`
	ReportError   string           `json:"report_error,omitempty"`
}

// Document returns the result for programs.
func (r *Result) Document() Document {
	last := r.course.last()
	d := Document{
		Verdict: r.Verdict(), OK: r.OK(), Space: r.Rehearsal.Space, Server: r.Scene.Server, Rehearsal: r.Rehearsal.ID,
		BeganAt: r.Scene.Began.UTC(), Arrive: r.Scene.Plan.Arrive.Seconds(), Hold: r.Scene.Plan.Hold.Seconds(),
		Crowd: r.Crowd, Served: r.Served, MostHearing: r.course.most.hearing, MostBytes: r.course.most.bytes,
		NeverHeard: last.NeverHeard, HeardGap: max(last.Gaps.Listeners, last.Dries.Listeners),
		Refused: last.Refused, Failed: last.Failed, Compared: last.Compared,
		GeneratorMost: r.course.most.generator, Limit: r.Limited, Capacity: r.capacity(), Report: r.Note,
	}
	if d.Refused == nil {
		d.Refused = map[int]int64{}
	}
	if d.Failed == nil {
		d.Failed = map[string]int64{}
	}
	if r.ReportErr != nil {
		d.ReportError = r.ReportErr.Error()
	}
	return d
}

// number writes 15000 as 15,000.
func number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// short writes seconds with as many digits as tell something.
func short(seconds float64) string {
	switch {
	case seconds >= 100:
		return number(int64(seconds+0.5)) + " s"
	case seconds >= 10:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds >= 1:
		return fmt.Sprintf("%.2f s", seconds)
	default:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
}

// plain writes a length of time as a person says it.
func plain(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Round(time.Second)/time.Second))
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %02d s", int(d/time.Minute), int(d%time.Minute/time.Second))
}

// size writes bytes.
func size(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if n < 1000 {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + " " + unit
		}
		n /= 1000
	}
	return fmt.Sprintf("%.1f TB", n)
}

func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }

func upperFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
