package rehearse

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"hustings/internal/hearing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"
)

func pageOf(t *testing.T, r *Result) string {
	t.Helper()
	var out strings.Builder
	if err := r.WritePage(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestThePageNeedsNothingElse(t *testing.T) {
	r := newTestResult(t, nil)
	text := pageOf(t, r)
	for _, wanted := range []string{
		"<title>Rehearsal: Town hall &lt;script&gt;", "100 of 100 heard every block.", html.EscapeString(r.Note),
		"https://talk.example.org/.well-known/hustings-keys.json", "Who was there", "Time to the first sound", "21 November 2026, 20:00 UTC", "backlog",
	} {
		if !strings.Contains(text, wanted) {
			t.Errorf("no %q", wanted)
		}
	}
	for _, pattern := range []string{`(?i)<script`, `(?i)<(link|img|iframe|object|embed)\b`, `(?i)url\(`, `(?i)@import`, `(?i)\bsrc=`, `NaN`, `Inf`, `%!`, `ZgotmplZ`} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("it has %q", found)
		}
	}
	if n := strings.Count(text, "<svg viewBox=\"0 0 1000 300\""); n != 8 {
		t.Errorf("%d plots", n)
	}
}

func TestThePageOfARehearsalThatFailed(t *testing.T) {
	r := newTestResult(t, func(s *Sample) { *s = Sample{At: s.At} })
	r.Note, r.ReportErr = "", errors.New("the server went away")
	text := pageOf(t, r)
	if !strings.Contains(text, "This report is not signed") || !strings.Contains(text, "the server went away") || strings.Contains(text, "NaN") {
		t.Error(text)
	}
}

func TestTheDocumentIsOneObject(t *testing.T) {
	data, err := json.Marshal(newTestResult(t, nil).Document())
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"ok": true, "capacity": 100.0, "most_hearing": 100.0, "never_heard": 0.0, "space": "hall", "hold_seconds": 10.0} {
		if fields[name] != want {
			t.Errorf("%s is %v; want %v", name, fields[name], want)
		}
	}
}

// No curve leaves its frame, and none has more points than can be seen.
func TestPlotsStayInTheirFrame(t *testing.T) {
	place := regexp.MustCompile(`[MLHV]([-\d.]+)(?: ([-\d.]+))?`)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 2000).Draw(t, "n")
		c := curve{Style: "a", Fill: true, Steps: rapid.Bool().Draw(t, "steps")}
		most := rapid.Float64Range(0, 1e9).Draw(t, "most")
		for i := range n {
			y := most * math.Abs(math.Sin(float64(i)))
			if i%37 == 5 {
				y = math.NaN()
			}
			c.X, c.Y = append(c.X, float64(i)), append(c.Y, y)
		}
		d := plot{Curves: []curve{c}, X: axis{Write: clockTime}, Y: axis{Write: brief}, Marks: []mark{{X: float64(n) / 2, Name: "middle"}, {X: 1e9, Name: "beyond"}}}.draw()
		places := place.FindAllStringSubmatch(d.Paths[0].D, -1)
		if len(places) > 2*mostPoints {
			t.Fatalf("%d points", len(places))
		}
		if strings.ContainsAny(d.Paths[0].D, "-e") || strings.Contains(d.Paths[0].D, "NaN") {
			t.Fatalf("outside: %s", d.Paths[0].D)
		}
		for _, ticks := range [][]tick{d.XTicks, d.YTicks, d.Marks} {
			if len(ticks) > 12 {
				t.Fatalf("%d ticks", len(ticks))
			}
			for _, tick := range ticks {
				if tick.At < 0 || tick.At > 100.2 {
					t.Fatalf("a tick at %v%%", tick.At)
				}
			}
		}
	})
}

func TestThinKeepsDips(t *testing.T) {
	var x, y []float64
	for i := range 10000 {
		x, y = append(x, float64(i)), append(y, 100)
	}
	y[4321] = 3
	_, thinned := thin(x, y)
	low := math.Inf(1)
	for _, v := range thinned {
		low = min(low, v)
	}
	if low != 3 || len(thinned) > mostPoints {
		t.Errorf("the dip is %v in %d points", low, len(thinned))
	}
}

func TestTheScreenShowsWhatIsGoingOn(t *testing.T) {
	r := newTestResult(t, nil)
	stopped := 0
	var model tea.Model = panel{stop: func() { stopped++ }, width: 80}
	if got := model.View(); got != "" {
		t.Errorf("before it begins: %q", got)
	}
	r.Scene.Space.Title = "Town hall\x1b[2J"
	model, _ = model.Update(r.Scene)
	model, _ = model.Update(tea.WindowSizeMsg{Width: 60, Height: 24})
	for _, s := range r.course.samples {
		model, _ = model.Update(s)
	}
	view := model.View()
	for _, wanted := range []string{"Town hall", "hearing", "100", "server's own", "p50 150 ms", "600 kB/s", "T 500 ms", "Ctrl-C stops"} {
		if !strings.Contains(view, wanted) {
			t.Errorf("no %q in\n%s", wanted, view)
		}
	}
	if strings.Contains(view, "\x1b[2J") {
		t.Error("a title drives the terminal")
	}
	model, _ = model.Update(tea.KeyMsg{Type: tea.KeyCtrlC})
	if stopped != 1 || !strings.Contains(model.View(), "stopping") {
		t.Errorf("stopped %d times", stopped)
	}
}

func TestTheScreenGivesTheTerminalBack(t *testing.T) {
	r := newTestResult(t, nil)
	var out bytes.Buffer
	screen := NewScreen(strings.NewReader(""), &out, func() {})
	screen.Begin(r.Scene)
	for _, s := range r.course.samples {
		screen.Show(s)
	}
	screen.End()
	if !strings.Contains(out.String(), "Town hall") || !strings.Contains(out.String(), "\x1b[?25h") { // the cursor is there again
		t.Errorf("%q", out.String())
	}
	screen.Show(r.course.last()) // too late, and nobody waits
}

func TestLinesComeEveryFewSeconds(t *testing.T) {
	r := newTestResult(t, func(s *Sample) { s.Figures.Generator = hearing.Generator{WorstBehind: 3} })
	var out strings.Builder
	lines := &Lines{Out: &out, Every: 5 * time.Second}
	lines.Begin(r.Scene)
	for _, s := range r.course.samples {
		lines.Show(s)
	}
	lines.End()
	if n := strings.Count(out.String(), "\n"); n != 6 || !strings.Contains(out.String(), "hearing 100") || !strings.Contains(out.String(), "limit") || !strings.Contains(out.String(), "2 processes") {
		t.Errorf("%d lines:\n%s", n, &out)
	}
}
