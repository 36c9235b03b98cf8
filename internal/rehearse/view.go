package rehearse

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
)

// Lines is a Viewer that writes a plain line every few seconds.
type Lines struct {
	Out   io.Writer
	Every time.Duration // 0: 5 s

	next  time.Duration
	scene Scene
}

// Begin says what comes.
func (l *Lines) Begin(s Scene) {
	l.scene = s
	if l.Every == 0 {
		l.Every = 5 * time.Second
	}
	fmt.Fprintf(l.Out, "%s\n", headline(s))
}

// Show writes a line, if one is due.
func (l *Lines) Show(s Sample) {
	if s.At < l.next {
		return
	}
	l.next = s.At + l.Every
	line := fmt.Sprintf("%8s  joined %s  hearing %s  gaps %s  first sound %s / %s  %s/s", plain(s.At), number(s.Joined), number(s.Hearing),
		number(s.Gaps.Count+s.Dries.Count), short(s.FirstSound.Quantile(0.5).Seconds()), short(s.FirstSound.Quantile(0.99).Seconds()), size(s.BytesPerSecond))
	if s.Served != nil {
		line += fmt.Sprintf("  server: hearing %s  processor %s", number(int64(s.Served.Hearing)), percent(s.Served.Processor))
	}
	if why := s.Figures.Generator.Limit(); why != "" {
		line += "  (this machine is the limit: " + why + ")"
	}
	fmt.Fprintln(l.Out, line)
}

// End has nothing to say: the summary comes.
func (l *Lines) End() {}

func headline(s Scene) string {
	text := fmt.Sprintf("%s listeners rehearse %q at %s: they come within %s (%s) and stay for %s", number(int64(s.Plan.Listeners)), s.Space.Title, s.Server,
		plain(s.Plan.Arrive), s.Plan.Shape, plain(s.Plan.Hold))
	if s.Workers > 1 {
		text += fmt.Sprintf(", in %d processes", s.Workers)
	}
	return text
}

// Screen is a Viewer that draws the rehearsal on a terminal.
type Screen struct {
	program *tea.Program
	over    chan struct{}
}

// NewScreen draws on out and takes keys from in. stop is called when a person at it
// wants an end: Ctrl-C is a key there, not a signal.
func NewScreen(in io.Reader, out io.Writer, stop func()) *Screen {
	program := tea.NewProgram(panel{stop: stop, width: 80}, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	return &Screen{program: program, over: make(chan struct{})}
}

// Begin starts drawing.
func (s *Screen) Begin(scene Scene) {
	go func() {
		defer close(s.over)
		_, _ = s.program.Run() // without its view, the rehearsal goes on
	}()
	s.program.Send(scene)
}

// Show draws the newest figures.
func (s *Screen) Show(sample Sample) { s.program.Send(sample) }

// End leaves the last view on the screen and gives the terminal back.
func (s *Screen) End() {
	s.program.Send(tea.QuitMsg{})
	<-s.over
}

// panel is what is on the screen (a model of bubbletea).
type panel struct {
	stop     func()
	width    int
	scene    Scene
	now      Sample
	history  []float64 // hearing, second by second
	stopping bool
}

// Init has nothing to do first.
func (p panel) Init() tea.Cmd { return nil }

// Update takes what is new.
func (p panel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case Scene:
		p.scene = m
	case Sample:
		p.now = m
		p.history = append(p.history, float64(m.Hearing))
	case tea.WindowSizeMsg:
		p.width = m.Width
	case tea.KeyMsg:
		if key := m.String(); key == "ctrl+c" || key == "q" {
			p.stopping = true
			p.stop()
		}
	}
	return p, nil
}

// View draws.
func (p panel) View() string {
	if p.scene.Plan.Listeners == 0 {
		return ""
	}
	s, plan := p.now, p.scene.Plan
	var b strings.Builder
	fmt.Fprintf(&b, "\n  %s\n\n", bold(fit(p.scene.Space.Title, p.width-4)))
	fmt.Fprintf(&b, "  %s of %s  %s\n\n", plain(min(s.At, plan.Length())), plain(plan.Length()), dim(p.phase()))
	bar := max(10, min(p.width-44, 48))
	for _, row := range []struct {
		name string
		n    int64
	}{{"arrived", s.Arrived}, {"joined", s.Joined}, {"hearing", s.Hearing}} {
		fmt.Fprintf(&b, "  %-12s %11s  %s\n", row.name, number(row.n), meter(float64(row.n)/float64(plan.Listeners), bar))
	}
	if s.Served != nil {
		fmt.Fprintf(&b, "  %-12s %11s  %s\n", "server's own", number(int64(s.Served.Hearing)), meter(float64(s.Served.Hearing)/float64(plan.Listeners), bar))
	}
	fmt.Fprintf(&b, "\n  %-12s %s\n", "", spark(p.history, max(10, min(p.width-16, 72))))
	for _, row := range p.figures() {
		fmt.Fprintf(&b, "  %-12s %s\n", row[0], fit(row[1], max(20, p.width-16)))
	}
	fmt.Fprintf(&b, "\n  %s\n", dim(p.hint()))
	return b.String()
}

func (p panel) figures() [][2]string {
	s := p.now
	rows := [][2]string{{"gaps", fmt.Sprintf("%s, longest %s", number(s.Gaps.Count+s.Dries.Count), short(max(s.Gaps.Longest, s.Dries.Longest)))}}
	if s.FirstSound.Count() > 0 {
		rows = append(rows, [2]string{"first sound", fmt.Sprintf("p50 %s  p99 %s", short(s.FirstSound.Quantile(0.5).Seconds()), short(s.FirstSound.Quantile(0.99).Seconds()))})
	}
	rows = append(rows, [2]string{"sound", size(s.BytesPerSecond) + "/s"})
	if v := s.Served; v != nil {
		rows = append(rows, [2]string{"server", fmt.Sprintf("processor %s  late %s  T %s  depth %s  %d kb/s  skips %s", percent(v.Processor), short(v.Late), short(v.Interval), short(v.Depth), v.Rung, number(int64(v.Skips)))})
	} else {
		rows = append(rows, [2]string{"server", "does not tell its count"})
	}
	generator := fmt.Sprintf("processor %s  late %s", percent(s.Generator), short(s.Figures.Generator.Late))
	if why := s.Figures.Generator.Limit(); why != "" {
		generator += "  is the limit: " + why
	}
	return append(rows, [2]string{"this machine", generator})
}

// phase says where in the plan the rehearsal is.
func (p panel) phase() string {
	plan, at := p.scene.Plan, p.now.At
	upset, has := plan.Upset()
	switch {
	case at < plan.Arrive:
		return "they arrive"
	case has && plan.Shape == Storm && at >= upset && at < upset+5*time.Second:
		return "all come back at once"
	case has && plan.Shape == Exit && at >= upset:
		return "most have left at once"
	case at < plan.Length():
		return "they listen"
	}
	return "they leave"
}

func (p panel) hint() string {
	if p.stopping {
		return "stopping: the crowd leaves, then comes the report"
	}
	return "Ctrl-C stops in good order, with a report of what was"
}

// meter draws a share as a bar.
func meter(share float64, width int) string {
	full := int(min(max(share, 0), 1)*float64(width) + 0.5)
	return strings.Repeat("█", full) + dim(strings.Repeat("░", width-full))
}

// spark draws the end of a course as a line of bars.
func spark(values []float64, width int) string {
	if len(values) > width {
		values = values[len(values)-width:]
	}
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	const bars = "▁▂▃▄▅▆▇█"
	steps := []rune(bars)
	var b strings.Builder
	for _, v := range values {
		i := 0
		if most > 0 {
			i = int(v / most * float64(len(steps)-1))
		}
		b.WriteRune(steps[i])
	}
	return b.String()
}

// fit cuts a text to the width of the screen, and leaves out what would drive it:
// titles are other people's.
func fit(text string, width int) string {
	runes := slices.DeleteFunc([]rune(text), func(r rune) bool { return !unicode.IsPrint(r) })
	if len(runes) <= width || width < 2 {
		return string(runes)
	}
	return string(runes[:width-1]) + "…"
}

func bold(text string) string { return "\x1b[1m" + text + "\x1b[0m" }
func dim(text string) string  { return "\x1b[2m" + text + "\x1b[0m" }
