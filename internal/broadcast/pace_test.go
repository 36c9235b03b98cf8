package broadcast_test

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/elastic"
	"hustings/internal/programme"
)

// timed is a connection that notes when something came.
type timed struct {
	net.Conn
	came []time.Time
}

func (c *timed) Read(p []byte) (n int, err error) {
	n, err = c.Conn.Read(p)
	if now := time.Now(); n > 0 && (len(c.came) == 0 || now.After(c.came[len(c.came)-1])) {
		c.came = append(c.came, now)
	}
	return n, err
}

// longest returns the longest time without anything.
func (c *timed) longest() (longest time.Duration) {
	for i := range c.came[1:] {
		longest = max(longest, c.came[i+1].Sub(c.came[i]))
	}
	return longest
}

func TestAPageIsToldHowDeepToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{})
		f.live(0, 40)
		attach := func(l broadcast.Listener) (*timed, <-chan []byte) {
			here, there := f.pipe()
			l.Conn = here
			f.join(l)
			conn := &timed{Conn: there}
			return conn, listen(conn)
		}
		page, early := attach(broadcast.Listener{Format: broadcast.MP4, Follows: true})
		_, player := attach(broadcast.Listener{Format: broadcast.MP4})
		_, ogg := attach(broadcast.Listener{Format: broadcast.Ogg, Follows: true})
		synctest.Wait()
		f.live(40, 44)
		f.Deepen(12 * time.Second)
		if p := f.Pace(); p.Depth != 12*time.Second || p.Interval != 10*time.Second {
			t.Errorf("the plan is %+v", p)
		}
		if n := f.figure("pace_changes_total", "announced"); n != 1 {
			t.Errorf("%d changes were made for announced starts, want 1", n)
		}
		late, deep := attach(broadcast.Listener{Format: broadcast.MP4, Follows: true})
		synctest.Wait()
		f.live(44, 164)
		f.say(final(block(164)))

		h := parseMP4(t, <-early)
		if want := []string{`{"depth":1.1}`, `{"depth":12}`, `{"depth":11.5}`}; !slices.Equal(h.depths[:3], want) {
			t.Errorf("the page was told %v, want %v first, since it was not needed", h.depths, want)
		}
		if !slices.Equal(h.blocks, run(34, 165)) {
			t.Errorf("the page heard %v", h.blocks)
		}
		// In a minute it can have deepened by 1.5 s, which is no reason for long intervals.
		if got := page.longest(); got > 1900*time.Millisecond {
			t.Errorf("the page that was there before heard nothing for %v", got)
		}
		h = parseMP4(t, <-deep)
		if h.depths[0] != `{"depth":12}` || !slices.Equal(h.blocks, run(44-25, 165)) {
			t.Errorf("the new page was told %v and heard %v", h.depths, h.blocks)
		}
		if got := late.longest(); got < 8*time.Second || got > 10100*time.Millisecond || len(late.came) > 12 {
			t.Errorf("the new page was sent something %d times, at most %v apart; want every 10 s", len(late.came), got)
		}
		if h := parseMP4(t, <-player); len(h.depths) > 0 || !slices.Equal(h.blocks, run(34, 165)) {
			t.Errorf("the player was told %v and heard %v", h.depths, h.blocks)
		}
		if h := parseOgg(t, <-ogg); !slices.Equal(h.blocks, run(34, 165)) {
			t.Errorf("the Ogg player heard %v", h.blocks)
		}
	})
}

func TestAPinnedIntervalAndRungHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rung := 1
		f := start(t, broadcast.Options{Elastic: elastic.Options{PinInterval: 4 * time.Second, PinRung: &rung}})
		f.live(0, 40)
		here, there := f.pipe()
		f.join(broadcast.Listener{Conn: here, Format: broadcast.MP4, Rung: programme.Rung48})
		conn := &timed{Conn: there}
		high := listen(conn)
		here, there = f.pipe()
		f.join(broadcast.Listener{Conn: here, Format: broadcast.MP4, Rung: programme.Rung16})
		low := listen(there)
		f.live(40, 100)
		f.stop()
		h := parseMP4(t, <-high)
		if slices.Max(h.rungs) != 1 || slices.Min(h.rungs) != 1 {
			t.Errorf("heard rungs %v, want the pinned one", h.rungs)
		}
		if n := len(conn.came); n < 8 || n > 10 {
			t.Errorf("%d deliveries in 30 s, want one every 4 s", n)
		}
		if h := parseMP4(t, <-low); slices.Min(h.rungs) != 2 {
			t.Errorf("heard rungs %v: nobody gets more than it asked for", h.rungs)
		}
	})
}

func TestTurnsAreSpreadEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{Elastic: elastic.Options{PinInterval: 4 * time.Second}})
		f.live(0, 20)
		const listeners = 400
		var conns []*timed
		var all []<-chan []byte
		for range listeners { // all in one moment
			here, there := f.pipe()
			f.join(broadcast.Listener{Conn: here, Format: broadcast.Ogg})
			conns = append(conns, &timed{Conn: there})
			all = append(all, listen(conns[len(conns)-1]))
		}
		began := time.Now()
		f.live(20, 100)
		f.stop()
		for i := range all {
			<-all[i]
		}
		for from := 12 * time.Second; from < 36*time.Second; from += time.Second {
			n := 0
			for _, c := range conns {
				for _, at := range c.came {
					if since := at.Sub(began); since >= from && since < from+time.Second {
						n++
					}
				}
			}
			// A quarter of them; six standard deviations are 52.
			if n < listeners/4-52 || n > listeners/4+52 {
				t.Errorf("%d deliveries in the second after %v, want about %d", n, from, listeners/4)
			}
		}
	})
}
