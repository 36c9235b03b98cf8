package rehearse

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Shape is how a crowd comes and goes.
type Shape string

// The shapes.
const (
	// Even: all through the time of arrival, at one rate.
	Even Shape = "even"
	// Rush: as crowds come to an announced minute. One in ten comes before it, more
	// or less evenly; then the rest, most of them at once and fewer and fewer after:
	// seven in eight are there within 30 s of the minute.
	Rush Shape = "rush"
	// Storm: evenly, and in the middle of the hold all lose their connections in the
	// same moment and come back.
	Storm Shape = "storm"
	// Exit: evenly, and in the middle of the hold nine in ten leave in the same
	// moment. Those who stay must not notice.
	Exit Shape = "exit"
)

// Shapes are all of them.
var shapes = []Shape{Even, Rush, Storm, Exit}

// ParseShape reads the name of a shape.
func ParseShape(name string) (Shape, error) {
	var names []string
	for _, s := range shapes {
		if string(s) == name {
			return s, nil
		}
		names = append(names, string(s))
	}
	return "", fmt.Errorf("there is no shape %q: use one of %s", name, strings.Join(names, ", "))
}

// Plan says who of a crowd is there when. It is the same in every process.
type Plan struct {
	Shape     Shape         `json:"shape"`
	Listeners int           `json:"listeners"`
	Arrive    time.Duration `json:"arrive"` // all set out within this time
	Hold      time.Duration `json:"hold"`   // and then stay for this long
}

const (
	early     = 0.1              // of a rush come before the minute
	lead      = 10 * time.Second // and as long before it, at most
	calmAfter = 15 * time.Second // a rush falls to 1/e in this time, at most
	leaving   = 0.9              // of an exit go
)

// Minute is when a rush begins, from the first arrival.
func (p Plan) Minute() time.Duration { return min(lead, p.Arrive/6) }

// At returns when listener i of the crowd sets out, from the beginning: i counts
// from 0 in the order of arrival.
func (p Plan) At(i int) time.Duration {
	share := (float64(i) + 0.5) / float64(p.Listeners)
	if p.Shape != Rush || p.Arrive < time.Second {
		return time.Duration(share * float64(p.Arrive))
	}
	minute := float64(p.Minute())
	if share < early {
		return time.Duration(minute * share / early)
	}
	// Exponential decay from the minute on, cut off at the end of the arrival.
	decay, after := float64(min(calmAfter, p.Arrive/4)), float64(p.Arrive)-minute
	all := 1 - math.Exp(-after/decay)
	rest := (share - early) / (1 - early)
	return min(p.Arrive, time.Duration(minute-decay*math.Log1p(-rest*all)))
}

// Upset is when a storm or an exit comes; ok is false for other shapes.
func (p Plan) Upset() (at time.Duration, ok bool) {
	return p.Arrive + p.Hold/2, p.Shape == Storm || p.Shape == Exit
}

// Leaves tells whether listener i is among those who go in a mass exit.
func (p Plan) Leaves(i int) bool { return p.Shape == Exit && float64(i%10) < 10*leaving }

// Length is how long the crowd is there.
func (p Plan) Length() time.Duration { return p.Arrive + p.Hold }

// Part is the share of a crowd that one process takes: listeners Index, Index+Of,
// Index+2*Of and so on, so that each process has the shape of the whole.
type Part struct {
	Index int `json:"index"`
	Of    int `json:"of"`
}

// Size returns how many listeners of a plan the part has.
func (part Part) Size(p Plan) int { return (p.Listeners - part.Index + part.Of - 1) / part.Of }

func (part Part) check(p Plan) error {
	if part.Index < 0 || part.Index >= part.Of || part.Of > p.Listeners {
		return fmt.Errorf("part %d of %d is no part of a crowd of %d", part.Index, part.Of, p.Listeners)
	}
	return nil
}

// Listener returns the number within the crowd of the k-th of this part.
func (part Part) Listener(k int) int { return part.Index + k*part.Of }

const (
	longest     = 4 * time.Hour
	minListener = 1
)

func (p Plan) check() error {
	switch {
	case p.Listeners < minListener:
		return fmt.Errorf("--listeners %d: a crowd has at least one", p.Listeners)
	case p.Arrive < 0 || p.Arrive > longest:
		return fmt.Errorf("--arrive %v: use 0s to %v", p.Arrive, longest)
	case p.Hold < time.Second || p.Hold > longest:
		return fmt.Errorf("--hold %v: use 1s to %v", p.Hold, longest)
	}
	return nil
}
