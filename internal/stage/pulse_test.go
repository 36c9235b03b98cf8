package stage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/programme"
	"hustings/internal/seats"
	"hustings/internal/space"
	"hustings/internal/tally"
)

// TestPulseIsWithinItsBudget runs ten minutes of a busy event: a tally that changes
// every second, four people who take turns every 1.5 s, a checkpoint every 5 s.
func TestPulseIsWithinItsBudget(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := seats.New(space.Space{ID: "s", Title: "A debate", Phase: space.Live})
	var ids []space.SeatID
	for i := range 4 {
		id := space.SeatID(fmt.Sprintf("seat%d", i))
		ids = append(ids, id)
		if err := s.Admit(invite("s", id, space.Speaker)); err != nil {
			t.Fatal(err)
		}
		s.Connect(id, true)
	}
	signer, _, err := programme.NewSigner("example.org")
	if err != nil {
		t.Fatal(err)
	}
	var p pulser
	var state []byte
	total, blocks := 0, 1200
	for i := range blocks {
		now := noon.Add(time.Duration(i) * 500 * time.Millisecond)
		if i%2 == 0 {
			s.Count(tally.Message{Node: "n", Now: 120000 + 37*i, Total: 130000 + 41*i, Anonymous: 130000 + 41*i}, now)
		}
		s.Speak(ids[i/3%4:i/3%4+1], now)
		pulse := s.Pulse(now)
		if pulse.Checkpoint, err = signer.Sign(programme.Origin("s", 0), uint64(i/10*10), [32]byte{byte(i / 10)}); err != nil {
			t.Fatal(err)
		}
		patch, whole, err := p.next(pulse, now)
		if err != nil {
			t.Fatal(err)
		}
		p.keep(whole)
		if state, err = programme.Apply(state, patch); err != nil {
			t.Fatal(err)
		}
		var seen, told space.Pulse
		if err := json.Unmarshal(state, &seen); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(whole, &told); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seen.Speaking, told.Speaking) || seen.Tally != told.Tally || len(seen.Seats) != 4 {
			t.Fatalf("block %d: listeners see %+v, not %+v", i, seen, told)
		}
		total += len(patch)
	}
	if mean := total / blocks; mean > 150 {
		t.Errorf("a pulse has %d bytes on average, more than 150", mean)
	} else {
		t.Logf("a pulse has %d bytes on average", mean)
	}
}

func TestWhoServesRidesInThePulseWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var edges atomic.Value
		edges.Store("")
		d := newDeck(t, liveSpace("edges"), func(own *backstage) {
			own.edges = func() string { return edges.Load().(string) }
		})
		time.Sleep(1100 * time.Millisecond)
		edges.Store("one edge")
		time.Sleep(2 * time.Second)
		edges.Store("")
		time.Sleep(time.Second)
		d.halt()
		blocks := d.log.all()
		told := 0
		for _, b := range blocks {
			if strings.Contains(string(b.Pulse), `"edges"`) {
				told++
			}
		}
		p := pulses(t, blocks)
		if told != 2 || p[0].Edges != "" || p[3].Edges != "one edge" || p[len(p)-1].Edges != "" {
			t.Errorf("told %d times: %q, %q, then %q", told, p[0].Edges, p[3].Edges, p[len(p)-1].Edges)
		}
	})
}
