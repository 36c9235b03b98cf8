//go:build linux

package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// deepest is the longest backlog that a listener is given, at T = 20 s.
const deepest = 25 * time.Second

// scene is one run: what is measured, with what sound, and what came out.
type scene struct {
	t       testing.TB // of the part that is run; what was started for it ends with it
	plan    plan
	pcm     []float32 // the conversation, as Hustings hears it
	packets [][]byte  // the same, as everybody else gets it
	track   string    // file of the bare loop
	core    *core     // of the edges that are measured
	results results
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, plan: planOf(os.Getenv(sizeVariable)), track: filepath.Join(t.TempDir(), "track.ogg")}
	var err error
	if s.pcm, err = readConversation(); err != nil {
		t.Fatal(err)
	}
	if s.packets, err = encode(s.pcm); err != nil {
		t.Fatal(err)
	}
	blocks, err := newTrack(s.packets, block)
	if err != nil {
		t.Fatal(err)
	}
	if err := blocks.write(s.track); err != nil {
		t.Fatal(err)
	}
	s.results = newResults(t)
	return s
}

// stand is a server that serves the programme, and how it is reached.
type stand struct {
	*process
	addr, path string
	tls        bool
	ready      time.Time     // when it has as long a backlog as it wants to give
	settles    time.Duration // from the last joiner until every turn is a whole one
	joins      float64       // a second, when a crowd is brought in for a measurement
	bursts     time.Duration // between the moments at which all listeners have their turn; 0 if turns are spread
}

// contender is a way to serve. T is the time between two turns of a listener; 0
// leaves it to the server.
type contender struct {
	name  string
	start func(T time.Duration) (*stand, error)
}

const (
	bareName    = "bare loop"
	sealedName  = "bare loop and AES-GCM"
	plainName   = "Hustings"
	tlsName     = "Hustings TLS"
	icecastName = "Icecast"
)

func (s *scene) bare(seal bool) contender {
	name := bareName
	if seal {
		name = sealedName
	}
	return contender{name, func(T time.Duration) (*stand, error) {
		if T == 0 {
			T = block
		}
		p, err := startPart(s.t, "bare")
		if err != nil {
			return nil, err
		}
		var answer bareAnswer
		if err := p.ask(bareOrder{Track: s.track, Interval: T, Seal: seal}, &answer); err != nil {
			return nil, err
		}
		if answer.Error != "" {
			return nil, p.trouble(fmt.Errorf("%s", answer.Error))
		}
		return &stand{process: p.process, addr: answer.Addr, path: "/", joins: 3000}, nil
	}}
}

// hustings is a server that does everything, with the settings that it has by itself.
func (s *scene) hustings(withTLS bool) contender {
	return contender{nameOf(withTLS), func(time.Duration) (*stand, error) {
		h, err := serve(s.t, withTLS)
		if err != nil {
			return nil, err
		}
		id, err := h.goLive(s.t, s.pcm)
		if err != nil {
			h.stop()
			return nil, h.trouble(err)
		}
		return h.stand(id, 6*time.Second), nil
	}}
}

// edge is a server that brings the programme to listeners, and has nothing else to do:
// what it takes is what delivery takes.
func (s *scene) edge(withTLS bool) contender {
	return contender{nameOf(withTLS), func(T time.Duration) (*stand, error) {
		h, err := s.core.edge(s.t, withTLS, "--pin-interval", T.String(), "--pin-rung", "48") // the same bytes for all
		if err != nil {
			return nil, err
		}
		at := h.stand(s.core.id, 3*time.Second+s.plan.Window)
		at.settles = T
		return at, nil
	}}
}

func nameOf(withTLS bool) string {
	if withTLS {
		return tlsName
	}
	return plainName
}

// stand is where listeners find a space.
func (h *hustings) stand(id string, ready time.Duration) *stand {
	at := &stand{process: h.process, addr: h.url.Host, path: "/live/" + id + ".ogg", joins: 3000, ready: time.Now().Add(ready)}
	if at.tls = h.certificate != ""; at.tls {
		at.joins = 1500 // half of each handshake is the crowd's
	}
	return at
}

func (s *scene) icecast() contender {
	return contender{icecastName, func(T time.Duration) (*stand, error) {
		if T == 0 {
			T = time.Second // what opusenc and ffmpeg make
		}
		pages, err := newTrack(s.packets, T)
		if err != nil {
			return nil, err
		}
		p, addr, err := startIcecast(s.t)
		if err != nil {
			return nil, err
		}
		const mount = "/programme.ogg"
		if err := feed(p, addr, mount, pages); err != nil {
			p.stop()
			return nil, err
		}
		return &stand{process: p, addr: addr, path: mount, joins: 1000, bursts: T, ready: time.Now().Add(6 * time.Second)}, nil
	}}
}

// load is the share of one core that a process took, and its standard error.
type load struct{ share, err float64 }

// meter measures a server over a window, in slices that each hold as many turns as
// any other.
func (at *stand) meter(window time.Duration) (load, error) {
	slice := max(time.Second, at.bursts)
	var sum, squares float64
	n := max(int((window+slice-1)/slice), 2)
	before, err := at.cpuTime()
	if err != nil {
		return load{}, err
	}
	last := time.Now()
	for range n {
		time.Sleep(slice)
		used, err := at.cpuTime()
		if err != nil {
			return load{}, err
		}
		now := time.Now()
		share := float64(used-before) / float64(now.Sub(last))
		before, last = used, now
		sum += share
		squares += share * share
	}
	mean := sum / float64(n)
	variance := max(0, squares/float64(n)-mean*mean)
	return load{mean, math.Sqrt(variance / float64(n-1))}, nil
}

// deliveries measures what it costs to keep a crowd supplied.
func (s *scene) deliveries(b *testing.B) {
	s.t = b
	var err error
	if s.core, err = startCore(b, s.pcm); err != nil {
		b.Fatal(err)
	}
	time.Sleep(deepest) // until it can give the longest backlog
	for _, T := range s.plan.Intervals {
		b.Run("T="+T.String(), func(b *testing.B) {
			s.t = b
			for _, c := range []contender{s.bare(false), s.edge(false), s.bare(true), s.edge(true)} {
				s.deliver(c, T)
			}
			if slices.Contains(s.plan.Pages, T) {
				s.deliver(s.icecast(), T)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	s.results.printDeliveries(s.plan)
}

// deliver measures one contender with crowds of every size. The crowd grows for the
// memory, settles, and shrinks again for the processor time: so it has to settle once.
func (s *scene) deliver(c contender, T time.Duration) {
	fail := func(err error) {
		s.results.progress("%-22s T=%-5v %v", c.name, T, err)
		s.results.Deliveries = append(s.results.Deliveries, delivery{Server: c.name, Interval: T.Seconds(), Problem: err.Error()})
	}
	at, err := c.start(T)
	if err != nil {
		fail(err)
		return
	}
	defer at.stop()
	crowd, err := startCrowd(s.t)
	if err != nil {
		fail(err)
		return
	}
	defer crowd.stop()
	time.Sleep(time.Until(at.ready.Add(-s.plan.Window)))
	base, err := at.meter(s.plan.Window)
	if err != nil {
		fail(err)
		return
	}
	rows, err := s.grow(crowd, at)
	if err != nil {
		fail(err)
		return
	}
	time.Sleep(at.settles)
	for i := len(rows) - 1; i >= 0; i-- {
		rows[i].Server, rows[i].Interval, rows[i].Base = c.name, T.Seconds(), base.share
		if err := s.shrink(crowd, at, base, &rows[i]); err != nil {
			fail(err)
			return
		}
		r := rows[i]
		s.results.progress("%-22s T=%-5v %6d listeners  %6.2f us ±%.2f a listener-second  %5.0f B/s  %5.2f kB, base %.1f%%, %d lost", c.name, T, r.Listeners, r.CPU, r.CPUError, r.Bytes, r.Memory/1000, 100*r.Base, r.Lost)
	}
	s.results.Deliveries = append(s.results.Deliveries, rows...)
}

// grow brings the crowd in and notes the memory at each size.
func (s *scene) grow(crowd *part, at *stand) ([]delivery, error) {
	empty, err := at.memory()
	if err != nil {
		return nil, err
	}
	var rows []delivery
	for _, n := range s.plan.Crowds {
		if err := s.bring(crowd, at, n); err != nil {
			return nil, err
		}
		time.Sleep(time.Second) // until what joining took is freed
		full, err := at.memory()
		if err != nil {
			return nil, err
		}
		var there crowdAnswer
		if err := crowd.ask(crowdOrder{Do: "take"}, &there); err != nil {
			return nil, err
		}
		rows = append(rows, delivery{Listeners: n, Memory: float64(full-empty) / float64(there.Here)})
	}
	return rows, nil
}

// bring lets listeners join until there are n. Who hears nothing tries again: how
// joins fare is measured elsewhere.
func (s *scene) bring(crowd *part, at *stand, n int) error {
	const tries = 4
	var here, joined crowdAnswer
	for range tries {
		if err := crowd.ask(crowdOrder{Do: "take"}, &here); err != nil {
			return err
		}
		if here.Here >= n {
			return nil
		}
		err := crowd.ask(crowdOrder{
			Do: "join", Addr: at.addr, Path: at.path, TLS: at.tls, Count: n - here.Here, Rate: at.joins, Patience: 15 * time.Second,
		}, &joined)
		if err != nil {
			return err
		}
	}
	if joined.Never > n/20 { // fewer do not matter: it is counted by those who are there
		return fmt.Errorf("%d of %d heard nothing in %d tries: %s", joined.Never, n, tries, joined.Error)
	}
	return nil
}

// shrink lets go who is too many for a row, and measures it.
func (s *scene) shrink(crowd *part, at *stand, base load, row *delivery) error {
	var before, after, none crowdAnswer
	if err := crowd.ask(crowdOrder{Do: "take"}, &before); err != nil {
		return err
	}
	if err := crowd.ask(crowdOrder{Do: "leave", Count: max(0, before.Here-row.Listeners)}, &none); err != nil {
		return err
	}
	time.Sleep(time.Second) // until the server has seen it
	if err := crowd.ask(crowdOrder{Do: "take"}, &before); err != nil {
		return err
	}
	began := time.Now()
	window := s.plan.Window
	if seconds := time.Duration(row.Interval * float64(time.Second)); seconds >= 2*window {
		window *= 2 // more turns to look at
	}
	with, err := at.meter(window)
	if err != nil {
		return err
	}
	lasted := time.Since(began).Seconds()
	if err := crowd.ask(crowdOrder{Do: "take"}, &after); err != nil {
		return err
	}
	n := float64(after.Here)
	row.CPU = (with.share - base.share) / n * 1e6
	row.CPUError = math.Hypot(with.err, base.err) / n * 1e6
	row.Bytes = float64(after.Bytes-before.Bytes) / n / lasted
	row.Lost = before.Here - after.Here
	return nil
}

// joins measures how a crowd gets in that comes all at once.
func (s *scene) joins(b *testing.B) {
	s.t = b
	s.storm(s.hustings(true), s.plan.Slowly)
	for _, rate := range s.plan.Rates {
		for _, c := range []contender{s.bare(false), s.hustings(false), s.hustings(true), s.icecast()} {
			s.storm(c, rate)
		}
	}
	b.ReportMetric(0, "ns/op")
	s.results.printJoins(s.plan)
}

func (s *scene) storm(c contender, rate int) {
	row := join{Server: c.name, Rate: rate, Joiners: s.plan.Joiners}
	if err := s.measureStorm(c, &row); err != nil {
		row.Problem = err.Error()
	}
	s.results.progress("%-22s %d joins at %d/s: never heard %d, first sound p99 %v max %v %s",
		c.name, row.Joiners, rate, row.Never, row.FirstSound.P99.Round(time.Millisecond), row.FirstSound.Max.Round(time.Millisecond), row.Problem)
	s.results.Joins = append(s.results.Joins, row)
}

func (s *scene) measureStorm(c contender, row *join) error {
	at, err := c.start(0)
	if err != nil {
		return err
	}
	defer at.stop()
	crowd, err := startCrowd(s.t)
	if err != nil {
		return err
	}
	defer crowd.stop()
	time.Sleep(time.Until(at.ready))
	before, err := at.cpuTime()
	if err != nil {
		return err
	}
	var joined crowdAnswer
	err = crowd.ask(crowdOrder{
		Do: "join", Addr: at.addr, Path: at.path, TLS: at.tls, Count: row.Joiners, Rate: float64(row.Rate), Patience: s.plan.Patience, Follow: true,
	}, &joined)
	if err != nil {
		return err
	}
	after, err := at.cpuTime()
	if err != nil {
		return err
	}
	time.Sleep(s.plan.Stay)
	var story crowdAnswer
	if err := crowd.ask(crowdOrder{Do: "story"}, &story); err != nil {
		return err
	}
	row.Heard, row.Never, row.Refused, row.Trouble = joined.Heard, joined.Never, joined.Refused, joined.Error
	row.FirstByte, row.FirstSound = joined.FirstByte, joined.FirstSound
	row.Offered = float64(row.Joiners) / joined.Took.Seconds()
	row.Silence, row.Gap, row.Gapped, row.Missed, row.Lost = story.Silence, story.Gap, story.Gapped, story.Missed, story.Lost
	row.CPU = (after - before).Seconds()
	return nil
}
