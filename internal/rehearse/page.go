package rehearse

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

// row is a line of a table on the page.
type row struct{ Name, Value string }

// page is what the template is filled with.
type page struct {
	Result   *Result
	Title    string
	Verdict  string
	OK       bool
	When     string
	Tiles    []row
	Plots    []drawn
	Figures  [][2]string
	Settings []row
	Note     string
	Keys     string // where the server's keys are
	Script   string // that checks the note
	ReportNo string // why it is not signed
}

// WritePage writes the result as one HTML page that needs nothing else.
func (r *Result) WritePage(w io.Writer) error {
	tmpl, err := template.New("page").Parse(pageSource)
	if err != nil {
		return fmt.Errorf("the page of a rehearsal: %w", err)
	}
	p := page{
		Result: r, Title: r.Scene.Space.Title, Verdict: r.Verdict(), OK: r.OK(),
		When:  r.Scene.Began.UTC().Format("2 January 2006, 15:04 MST"),
		Tiles: r.tiles(), Plots: r.plots(), Figures: r.lines(), Settings: r.settings(),
		Note: r.Note, Keys: r.Scene.Server + "/.well-known/hustings-keys.json", Script: checkScript,
	}
	if r.ReportErr != nil {
		p.ReportNo = r.ReportErr.Error()
	}
	return tmpl.Execute(w, p)
}

// checkScript checks the signed report with nothing but the Go project's own code.
const checkScript = `package main

import (
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
)

func main() { // go run . report.txt KEY
	text, _ := os.ReadFile(os.Args[1])
	key, err := note.NewVerifier(os.Args[2])
	if err != nil {
		panic(err)
	}
	report, err := note.Open(text, note.VerifierList(key))
	if err != nil {
		panic(err) // it was altered, or another key has signed it
	}
	fmt.Print(report.Text)
}
`

// tiles are the figures that tell most.
func (r *Result) tiles() []row {
	c := r.Crowd
	first := "–"
	if c.Heard > 0 {
		first = short(c.FirstSound.P99)
	}
	tiles := []row{
		{"heard every block", number(int64(c.Whole))},
		{"first sound for 99 in 100", first},
		{"gaps", number(int64(c.Gaps))},
	}
	if r.Note != "" && !c.Interrupted {
		tiles = append(tiles, row{"announced capacity", number(int64(r.capacity()))})
	}
	return tiles
}

// settings are what the signed report says of the server.
func (r *Result) settings() (rows []row) {
	for line := range strings.Lines(r.Note) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch setting, is := strings.CutPrefix(name, "setting-"); {
		case is:
			rows = append(rows, row{setting, value})
		case name == "version" || name == "processors" || name == "edge" || name == "edges" || name == "memory-bytes":
			rows = append(rows, row{strings.ReplaceAll(name, "-", ", "), value})
		case name == "settings":
			rows = append(rows, row{"settings, SHA-256", value})
		}
	}
	return rows
}

// plots draws how the rehearsal went.
func (r *Result) plots() []drawn {
	c := r.course
	clock := axis{Write: clockTime}
	count := axis{Least: 1, Write: brief}
	secs := axis{Write: tickSeconds}
	rates := axis{Write: func(v float64) string { return trim(v) + " kb/s" }}
	shares := axis{Most: 1, Write: percent}
	marks := r.marks()
	all := []plot{
		{Title: "Who was there", X: clock, Y: count, Marks: marks,
			About: fmt.Sprintf("At most %s of the crowd heard sound at one time, and the server counted %s by itself.", number(c.most.hearing), number(int64(r.Served.Hearing))),
			Curves: []curve{
				c.curve("arrived", "b", func(s Sample) float64 { return float64(s.Arrived) }),
				c.curve("hearing", "a", func(s Sample) float64 { return float64(s.Hearing) }).filled(),
				c.curve("the server's own count", "c", served(func(s Sample) float64 { return float64(s.Served.Hearing) })),
			}},
		r.firstSound(),
		{Title: "Sound sent", X: clock, Y: axis{Write: func(v float64) string { return size(v) + "/s" }}, Marks: marks,
			About:  fmt.Sprintf("%s in all, up to %s in a second.", size(float64(r.Crowd.Bytes)), size(c.most.bytes)),
			Curves: []curve{c.curve("bytes a second", "a", func(s Sample) float64 { return s.BytesPerSecond }).filled()}},
		{Title: "Gaps", X: clock, Y: count, Marks: marks, About: r.gapsInWords(),
			Curves: []curve{c.curve("gaps so far", "bad", func(s Sample) float64 { return float64(s.Gaps.Count + s.Dries.Count) }).filled()}},
		{Title: "Latency that was spent", X: clock, Y: secs, Marks: marks,
			About: "Under load the server delivers less often, and pages stay further behind, before anybody hears a gap.",
			Curves: []curve{
				c.curve("depth of the pages", "b", served(func(s Sample) float64 { return s.Served.Depth })),
				c.curve("T, between deliveries", "a", served(func(s Sample) float64 { return s.Served.Interval })),
			}},
		{Title: "Best rate", X: clock, Y: rates, Marks: marks, About: "When latency is used up, the rate goes down, before listeners are turned away.",
			Curves: []curve{c.curve("rung", "a", served(func(s Sample) float64 { return float64(s.Served.Rung) })).stepped()}},
		{Title: "Processors", X: clock, Y: shares, Marks: marks, About: r.processorsInWords(),
			Curves: []curve{
				c.curve("the server's", "a", served(func(s Sample) float64 { return s.Served.Processor })).filled(),
				c.curve("the crowd's", "c", func(s Sample) float64 { return s.Generator }),
			}},
		{Title: "Late deliveries", X: clock, Y: secs, Marks: marks, About: "How late the latest delivery of each second was, and how long what had come waited on the crowd's side.",
			Curves: []curve{
				c.curve("the server's", "a", served(func(s Sample) float64 { return s.Served.Late })),
				c.curve("the crowd's", "c", func(s Sample) float64 { return s.Figures.Generator.Late }),
			}},
	}
	drawn := make([]drawn, len(all))
	for i, p := range all {
		drawn[i] = p.draw()
	}
	return drawn
}

// firstSound is the distribution of the time to it.
func (r *Result) firstSound() plot {
	times := r.course.last().FirstSound
	c := curve{Name: "listeners who heard sound by then", Style: "a", Fill: true}
	for i := range 201 {
		share := float64(i) / 200
		c.X = append(c.X, times.Quantile(share).Seconds())
		c.Y = append(c.Y, share)
	}
	if times.Count() == 0 {
		c.X, c.Y = nil, nil
	}
	return plot{
		Title: "Time to the first sound", X: axis{Write: tickSeconds}, Y: axis{Most: 1, Write: percent},
		About:  fmt.Sprintf("From setting out, with the page's documents. One half heard sound within %s, 99 in 100 within %s.", short(r.Crowd.FirstSound.P50), short(r.Crowd.FirstSound.P99)),
		Curves: []curve{c},
	}
}

func (r *Result) gapsInWords() string {
	if r.Crowd.Gaps == 0 {
		return "Nobody heard one."
	}
	return fmt.Sprintf("%s in all, the longest %s.", number(int64(r.Crowd.Gaps)), short(r.Crowd.LongestGap))
}

func (r *Result) processorsInWords() string {
	text := fmt.Sprintf("The server was busy up to %s of its processors.", percent(r.Served.Processor))
	if r.Limited != "" {
		text += " The machine of the crowd, and not the server, was the limit: " + r.Limited + "."
	}
	return text
}

// marks are the moments of the plan.
func (r *Result) marks() (all []mark) {
	p := r.Scene.Plan
	if p.Shape == Rush {
		all = append(all, mark{p.Minute().Seconds(), "the minute"})
	}
	all = append(all, mark{p.Arrive.Seconds(), "all had come"})
	if at, ok := p.Upset(); ok {
		all = append(all, mark{at.Seconds(), string(p.Shape)})
	}
	return all
}

func (c *course) curve(name, style string, value func(Sample) float64) curve {
	out := curve{Name: name, Style: style}
	for _, s := range c.samples {
		out.X, out.Y = append(out.X, s.At.Seconds()), append(out.Y, value(s))
	}
	return out
}

// served is a hole where the server was not heard.
func served(value func(Sample) float64) func(Sample) float64 {
	return func(s Sample) float64 {
		if s.Served == nil {
			return math.NaN()
		}
		return value(s)
	}
}

func (c curve) filled() curve  { c.Fill = true; return c }
func (c curve) stepped() curve { c.Steps = true; return c }

// clockTime writes seconds as 1:05.
func clockTime(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d/time.Minute), int(d%time.Minute/time.Second))
}

// tickSeconds writes seconds beside an axis.
func tickSeconds(v float64) string {
	if v > 0 && v < 1 {
		return trim(v*1000) + " ms"
	}
	return trim(v) + " s"
}

// brief writes 15000 as 15k.
func brief(v float64) string {
	switch {
	case v >= 1e6:
		return trim(v/1e6) + "M"
	case v >= 1e4:
		return trim(v/1e3) + "k"
	}
	return trim(v)
}

// trim writes a number without digits that say nothing.
func trim(v float64) string {
	text := fmt.Sprintf("%.2f", v)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
