//go:build linux

// Package bench measures Hustings beside its yardsticks, in one run on one machine:
// a bare loop of writes, Icecast 2 and nginx. It has no code of its own but tests.
//
// Everything is a real process: bin/hustings as people start it, with a space that
// is live and a voice that is published into it; Debian's Icecast, fed with the same
// sound; and this test binary itself, started again as a part of the scene: the bare
// loop (bareLoop), the crowd that takes what is sent (crowd) and the requests of an
// HLS audience (load). What is measured is the serving process alone, by its own
// processor clock and its own memory: the other half of the work, to receive all
// that, is in another process and not counted. Both share the machine, as they must.
//
//	make bench               everything, about 25 minutes
//	make bench BENCH=quick   a small crowd, about 2 minutes
//	make bench-crowd         the largest crowd that the machine can carry, on edges
package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

const (
	// partVariable makes this binary be a part of the scene instead of a test.
	partVariable = "HUSTINGS_BENCH_PART"
	// programVariable names the program that is measured; else it is ../bin/hustings.
	programVariable = "HUSTINGS_BENCH_PROGRAM"
	// sizeVariable: "quick" is a small crowd.
	sizeVariable = "BENCH"
	// resultVariable names the file that all figures go to.
	resultVariable = "HUSTINGS_BENCH_JSON"
)

func TestMain(m *testing.M) {
	var play func(orders *json.Decoder, answers *json.Encoder) error
	switch os.Getenv(partVariable) {
	case "bare":
		play = playBare
	case "crowd":
		play = playCrowd
	case "load":
		play = playLoad
	default:
		os.Exit(m.Run())
	}
	err := play(json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout))
	if err != nil && err != io.EOF { // the orders end when the scene does
		fmt.Fprintln(os.Stderr, os.Getenv(partVariable)+":", err)
		os.Exit(1)
	}
}

// plan is how much is measured.
type plan struct {
	Crowds    []int           // listeners, growing
	Intervals []time.Duration // T, for Hustings and the bare loop
	Pages     []time.Duration // of Intervals, those that the source of Icecast can have: it sends a page when it has come
	Window    time.Duration   // that processor time is measured over
	Rates     []int           // joins a second
	Slowly    int             // the same, behind TLS as well: both halves of each handshake are on this machine
	Joiners   int
	Patience  time.Duration // until a joiner counts as one who never heard anything
	Stay      time.Duration // that joiners are watched for gaps after the last came
	Load      time.Duration // of requests for each file of HLS
}

func planOf(size string) plan {
	if size == "quick" {
		return plan{
			Crowds: []int{1000}, Intervals: []time.Duration{time.Second}, Pages: []time.Duration{time.Second},
			Window: 3 * time.Second, Rates: []int{3000}, Slowly: 1500, Joiners: 3000, Patience: 10 * time.Second, Stay: 3 * time.Second, Load: 2 * time.Second,
		}
	}
	return plan{
		Crowds:    []int{1000, 5000, 15000},
		Intervals: []time.Duration{500 * time.Millisecond, time.Second, 4 * time.Second, 10 * time.Second, 20 * time.Second},
		Pages:     []time.Duration{500 * time.Millisecond, time.Second, 4 * time.Second},
		Window:    4 * time.Second,
		Rates:     []int{3000, 8000}, Slowly: 1500, Joiners: 15000, Patience: 40 * time.Second, Stay: 10 * time.Second,
		Load: 4 * time.Second,
	}
}

// BenchmarkSideBySide is `make bench`: it prints its tables in Markdown as they fill,
// and writes every figure as JSON. Its parts can be run alone, as any benchmark's
// can: -test.bench 'SideBySide/deliveries/T=4s'.
func BenchmarkSideBySide(b *testing.B) {
	s := newScene(b)
	b.Run("deliveries", s.deliveries)
	b.Run("joins", s.joins)
	b.Run("hls", s.hls)
	writeFigures(b, s.results)
}
