package rehearse

import (
	"fmt"
	"math"
	"strings"
)

// plot is curves over one x axis. It is drawn as an SVG that stretches to the width
// of the page, with its words around it in HTML, so that they stay readable on a
// phone.
type plot struct {
	Title  string
	About  string // in words, for those who do not see it, and for all below it
	Curves []curve
	Marks  []mark
	X, Y   axis
}

// curve is values over x; NaN is a hole in it.
type curve struct {
	Name  string
	Style string // class of its colour: a, b or c; c is dashed
	X, Y  []float64
	Steps bool // holds each value until the next
	Fill  bool // the ground under it is tinted
}

// mark is a moment that matters.
type mark struct {
	X    float64
	Name string
}

// axis says how far an axis goes, and how its values are written.
type axis struct {
	Most  float64 // 0: as far as the curves go
	Least float64 // step between two ticks; 0: as it comes
	Write func(float64) string
}

// drawn is a plot as the page's template takes it. Places are shares in percent.
type drawn struct {
	Title, About string
	Legend       []legend
	Paths        []path
	XTicks       []tick
	YTicks       []tick
	Marks        []tick
}

type legend struct{ Name, Style string }
type path struct{ Style, D, Area string }
type tick struct {
	At   float64
	Text string
}

// The SVG's own units; it is stretched to what place there is.
const (
	plotWidth  = 1000.0
	plotHeight = 300.0
	// mostPoints bounds a curve: more can't be seen.
	mostPoints = 600
)

func (p plot) draw() drawn {
	for _, c := range p.Curves {
		for i, x := range c.X {
			p.X.Most = max(p.X.Most, x)
			if !math.IsNaN(c.Y[i]) {
				p.Y.Most = max(p.Y.Most, c.Y[i])
			}
		}
	}
	if p.X.Most <= 0 {
		p.X.Most = 1
	}
	if p.Y.Most <= 0 {
		p.Y.Most = 1
	}
	step := max(p.Y.Least, niceStep(p.Y.Most, 4))
	p.Y.Most = math.Ceil(p.Y.Most/step-1e-6) * step
	d := drawn{Title: p.Title, About: p.About}
	for v := 0.0; v <= p.Y.Most*1.001; v += step {
		d.YTicks = append(d.YTicks, tick{At: percentOf(v, p.Y.Most), Text: p.Y.Write(v)})
	}
	step = niceStep(p.X.Most, 5)
	for v := 0.0; v <= p.X.Most*1.001; v += step {
		d.XTicks = append(d.XTicks, tick{At: percentOf(v, p.X.Most), Text: p.X.Write(v)})
	}
	for _, m := range p.Marks {
		if m.X >= 0 && m.X <= p.X.Most {
			d.Marks = append(d.Marks, tick{At: percentOf(m.X, p.X.Most), Text: m.Name})
		}
	}
	for _, c := range p.Curves {
		d.Legend = append(d.Legend, legend{c.Name, c.Style})
		d.Paths = append(d.Paths, c.draw(p.X.Most, p.Y.Most))
	}
	return d
}

func percentOf(v, most float64) float64 { return math.Round(v/most*1e5) / 1e3 }

// niceStep returns 1, 2 or 5 times a power of ten, so that about n steps make most.
func niceStep(most float64, n int) float64 {
	rough := most / float64(n)
	unit := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, times := range []float64{1, 2, 5} {
		if times*unit >= rough*0.999 {
			return times * unit
		}
	}
	return 10 * unit
}

// draw writes a curve as the data of an SVG path, and the area under it.
func (c curve) draw(mostX, mostY float64) path {
	xs, ys := thin(c.X, c.Y)
	var d, area strings.Builder
	open, from, last := false, 0.0, 0.0
	shut := func() {
		if open && c.Fill {
			fmt.Fprintf(&area, "L%.1f %.0fL%.1f %.0fZ", last, plotHeight, from, plotHeight)
		}
		open = false
	}
	for i := range xs {
		if math.IsNaN(ys[i]) {
			shut()
			continue
		}
		x, y := xs[i]/mostX*plotWidth, max(0, plotHeight-ys[i]/mostY*plotHeight)
		step := fmt.Sprintf("L%.1f %.1f", x, y)
		switch {
		case !open:
			step = fmt.Sprintf("M%.1f %.1f", x, y)
			open, from = true, x
		case c.Steps:
			step = fmt.Sprintf("H%.1fV%.1f", x, y)
		}
		d.WriteString(step)
		if c.Fill {
			area.WriteString(step)
		}
		last = x
	}
	shut()
	return path{Style: c.Style, D: d.String(), Area: area.String()}
}

// thin leaves of a long curve the least and the most in each stretch, so that a dip
// of one second is still seen.
func thin(x, y []float64) (xs, ys []float64) {
	if len(x) <= mostPoints {
		return x, y
	}
	const stretches = mostPoints / 2
	for s := range stretches {
		from, to := s*len(x)/stretches, (s+1)*len(x)/stretches
		low, high := from, from
		for i := from; i < to; i++ {
			if y[i] < y[low] || math.IsNaN(y[i]) {
				low = i
			}
			if y[i] > y[high] {
				high = i
			}
		}
		for _, i := range []int{min(low, high), max(low, high)} {
			xs, ys = append(xs, x[i]), append(ys, y[i])
		}
	}
	return xs, ys
}
