package stage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hustings/internal/programme"
	"hustings/internal/space"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func liveState(t *testing.T, seats ...space.Invite) *state {
	t.Helper()
	s := newState(space.Space{ID: "s", Title: "T", Phase: space.Open})
	s.put(space.Space{ID: "s", Title: "T", Phase: space.Live}, noon)
	for _, inv := range seats {
		if err := s.admit(inv); err != nil {
			t.Fatal(err)
		}
		s.connect(inv.Seat, true)
	}
	return s
}

func TestAStageHasThirteenSeats(t *testing.T) {
	s := liveState(t)
	for i := range space.MaxSeats {
		if err := s.admit(invite("s", space.SeatID(fmt.Sprint("s", i)), space.Speaker)); err != nil {
			t.Fatal(err)
		}
	}
	late := invite("s", "late", space.Speaker)
	kindIs(t, s.admit(late), space.Full)
	if err := s.admit(invite("s", "s3", space.Speaker)); err != nil {
		t.Errorf("a second connection of a seat that is taken: %v", err)
	}
	s.leave("s3", noon)
	kindIs(t, s.admit(late), space.Full) // s3 has one connection left
	s.leave("s3", noon)
	if err := s.admit(late); err != nil {
		t.Errorf("after someone left: %v", err)
	}
	if list := s.show().Seats; len(list) != space.MaxSeats || list[len(list)-1].ID != "late" {
		t.Errorf("the newcomer is not last of %d in %+v", space.MaxSeats, list)
	}
}

func TestASeatThatLostItsConnectionStaysListedForAWhile(t *testing.T) {
	s := liveState(t, invite("s", "ann", space.Host))
	s.connect("ann", false)
	s.leave("ann", noon)
	if s.expire(noon.Add(linger - 1)) {
		t.Error("it went too early")
	}
	if seats := s.show().Seats; len(seats) != 1 || seats[0].Connected {
		t.Errorf("the list is %+v, want ann, not connected", seats)
	}
	if !s.expire(noon.Add(linger)) || len(s.show().Seats) != 0 {
		t.Error("it did not go")
	}
}

func TestWhoMutesWhom(t *testing.T) {
	host, cohost := invite("s", "h", space.Host), invite("s", "c", space.Cohost)
	speaker, other := invite("s", "a", space.Speaker), invite("s", "b", space.Speaker)
	for _, try := range []struct {
		by    space.Invite
		seat  space.SeatID
		muted bool
		want  space.Kind
	}{
		{speaker, "a", true, ""},
		{speaker, "a", false, ""},
		{speaker, "b", true, space.Forbidden},
		{host, "a", true, ""},
		{cohost, "a", true, ""},
		{cohost, "h", true, ""},
		{host, "a", false, space.Forbidden},
		{other, "a", false, space.Forbidden},
		{host, "nobody", true, space.NotFound},
	} {
		s := liveState(t, host, cohost, speaker, other)
		_, _ = s.mute(invite("s", try.seat, space.Speaker), try.seat, !try.muted)
		changed, err := s.mute(try.by, try.seat, try.muted)
		if kindIs(t, err, try.want); err == nil && !changed {
			t.Errorf("%s sets mute of %s to %v: nothing changed", try.by.Seat, try.seat, try.muted)
		}
	}
}

func TestMuteOutlivesAReconnect(t *testing.T) {
	host, loud := invite("s", "h", space.Host), invite("s", "a", space.Speaker)
	s := liveState(t, host, loud)
	if _, err := s.mute(host, "a", true); err != nil {
		t.Fatal(err)
	}
	s.leave("a", noon)
	s.expire(noon.Add(time.Hour))
	if err := s.admit(loud); err != nil {
		t.Fatal(err)
	}
	s.connect("a", true)
	if s.speak([]space.SeatID{"a"}, noon); len(s.speaking) != 0 {
		t.Error("a muted seat is heard after connecting again")
	}
}

func TestRemovedIsForGood(t *testing.T) {
	host, cohost, bad := invite("s", "h", space.Host), invite("s", "c", space.Cohost), invite("s", "a", space.Speaker)
	s := liveState(t, host, cohost, bad)
	kindIs(t, s.remove(bad, "h"), space.Forbidden)
	kindIs(t, s.remove(cohost, "h"), space.Forbidden)
	kindIs(t, s.remove(host, "h"), space.Forbidden)
	s.speak([]space.SeatID{"a"}, noon)
	if err := s.remove(cohost, "a"); err != nil {
		t.Fatal(err)
	}
	if len(s.speaking) != 0 || len(s.show().Seats) != 2 {
		t.Errorf("after removal the stage is %+v", s.show())
	}
	kindIs(t, s.admit(bad), space.Forbidden)
	kindIs(t, s.remove(host, "a"), space.NotFound)
}

func TestNoticeSaysWhyThereIsNothingToHear(t *testing.T) {
	past := noon.Add(-time.Minute)
	ann := invite("s", "ann", space.Host)
	for name, try := range map[string]struct {
		make func(*state)
		want string
	}{
		"open and early":    {func(s *state) { s.space.Phase = space.Open }, ""},
		"open and late":     {func(s *state) { s.space.Phase, s.space.StartsAt = space.Open, &past }, "begins"},
		"just live":         {func(s *state) { s.connect("ann", true) }, ""},
		"nobody there":      {func(s *state) { s.connect("ann", false) }, "Nobody on stage is connected"},
		"muted":             {func(s *state) { _, _ = s.mute(ann, "ann", true) }, "muted"},
		"silent for long":   {func(s *state) { s.lastWord = past }, "speaking"},
		"someone is heard":  {func(s *state) { s.lastWord = past; s.speak([]space.SeatID{"ann"}, noon) }, ""},
		"over, by the host": {func(s *state) { s.space.Phase = space.Ended; s.connect("ann", false) }, ""},
	} {
		s := liveState(t, ann)
		try.make(s)
		got := s.pulse(noon.Add(time.Second)).Notice
		if (got == "") != (try.want == "") || !strings.Contains(got, try.want) {
			t.Errorf("%s: %q, want %q", name, got, try.want)
		}
	}
}

func TestTallySumsTheNodesAndForgetsThoseThatAreGone(t *testing.T) {
	var sum tally
	sum.count(nodeTally{Node: "a", Now: 10, Total: 20}, noon)
	sum.count(nodeTally{Node: "b", Now: 5, Total: 6}, noon)
	if want := (space.Tally{Now: 15, Peak: 15, Total: 26}); sum.Tally != want {
		t.Errorf("%+v, want %+v", sum.Tally, want)
	}
	sum.count(nodeTally{Node: "b", Now: 4, Total: 7}, noon.Add(tallyGone))
	if want := (space.Tally{Now: 4, Peak: 15, Total: 27}); sum.Tally != want {
		t.Errorf("%+v, want %+v", sum.Tally, want)
	}
}

// TestPulseIsWithinItsBudget runs ten minutes of a busy event: a tally that changes
// every second, four people who take turns every 1.5 s, a checkpoint every 5 s.
func TestPulseIsWithinItsBudget(t *testing.T) {
	s := liveState(t)
	var ids []space.SeatID
	for i := range 4 {
		id := space.SeatID(fmt.Sprintf("seat%d", i))
		ids = append(ids, id)
		if err := s.admit(invite("s", id, space.Speaker)); err != nil {
			t.Fatal(err)
		}
		s.connect(id, true)
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
			s.tally.count(nodeTally{Node: "n", Now: 120000 + 37*i, Total: 130000 + 41*i}, now)
		}
		s.speak(ids[i/3%4:i/3%4+1], now)
		pulse := s.pulse(now)
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
		var seen, now_ space.Pulse
		if err := json.Unmarshal(state, &seen); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(whole, &now_); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seen.Speaking, now_.Speaking) || seen.Tally != now_.Tally || len(seen.Seats) != 4 {
			t.Fatalf("block %d: listeners see %+v, not %+v", i, seen, now_)
		}
		total += len(patch)
	}
	if mean := total / blocks; mean > 150 {
		t.Errorf("a pulse has %d bytes on average, more than 150", mean)
	} else {
		t.Logf("a pulse has %d bytes on average", mean)
	}
}

func TestEverySequenceOfEventsLeavesAStageThatAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newState(space.Space{ID: "s", Phase: space.Live})
		seat := rapid.Custom(func(t *rapid.T) space.SeatID {
			return space.SeatID(fmt.Sprint("s", rapid.IntRange(0, space.MaxSeats+2).Draw(t, "n")))
		})
		now := noon
		links := map[space.SeatID]int{}
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				id := seat.Draw(t, "seat")
				if s.admit(invite("s", id, space.Speaker)) == nil {
					links[id]++
				}
			},
			"leave": func(t *rapid.T) {
				if id := seat.Draw(t, "seat"); links[id] > 0 {
					links[id]--
					s.leave(id, now)
				}
			},
			"connect": func(t *rapid.T) { s.connect(seat.Draw(t, "seat"), rapid.Bool().Draw(t, "on")) },
			"mute": func(t *rapid.T) {
				id := seat.Draw(t, "seat")
				_, _ = s.mute(invite("s", id, space.Speaker), id, rapid.Bool().Draw(t, "muted"))
			},
			"remove": func(t *rapid.T) { _ = s.remove(invite("s", "host", space.Host), seat.Draw(t, "seat")) },
			"speak":  func(t *rapid.T) { s.speak([]space.SeatID{seat.Draw(t, "seat"), seat.Draw(t, "other")}, now) },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
				s.expire(now)
			},
			"": func(t *rapid.T) { addsUp(t, s, links) },
		})
	})
}

func addsUp(t *rapid.T, s *state, links map[space.SeatID]int) {
	listed := 0
	for i, in := range s.slots {
		if in == nil {
			continue
		}
		listed++
		if in.slot != i || s.seats[in.ID] != in || in.removed {
			t.Fatalf("slot %d holds %+v", i, in)
		}
	}
	for id, in := range s.seats {
		if in.slot >= 0 && s.slots[in.slot] != in {
			t.Fatalf("%s says that it sits in %d", id, in.slot)
		}
		if in.links != links[id] {
			t.Fatalf("%s has %d connections, not %d", id, in.links, links[id])
		}
		if in.links > 0 && in.slot < 0 && !in.removed {
			t.Fatalf("%s is connected and not listed", id)
		}
	}
	for _, id := range s.speaking {
		if in := s.seats[id]; in.slot < 0 || in.Muted || !in.Connected {
			t.Fatalf("%s speaks: %+v", id, in)
		}
	}
	if show := s.show(); len(show.Seats) != listed {
		t.Fatalf("%d seats shown of %d", len(show.Seats), listed)
	}
}
