package seats

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hustings/internal/space"
	"hustings/internal/tally"
)

func invite(id space.ID, seat space.SeatID, role space.Role) space.Invite {
	return space.Invite{Space: id, Seat: seat, Role: role, Name: strings.ToUpper(string(seat))}
}

func kindIs(t *testing.T, err error, want space.Kind) {
	t.Helper()
	if got := space.KindOf(err); got != want {
		t.Errorf("error %v is %q, want %q", err, got, want)
	}
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func liveStage(t *testing.T, seats ...space.Invite) *Stage {
	t.Helper()
	s := New(space.Space{ID: "s", Title: "T", Phase: space.Open})
	s.Put(space.Space{ID: "s", Title: "T", Phase: space.Live}, noon)
	for _, inv := range seats {
		if err := s.Admit(inv); err != nil {
			t.Fatal(err)
		}
		s.Connect(inv.Seat, true)
	}
	return s
}

func TestAStageHasThirteenSeats(t *testing.T) {
	s := liveStage(t)
	for i := range space.MaxSeats {
		if err := s.Admit(invite("s", space.SeatID(fmt.Sprint("s", i)), space.Speaker)); err != nil {
			t.Fatal(err)
		}
	}
	late := invite("s", "late", space.Speaker)
	kindIs(t, s.Admit(late), space.Full)
	if err := s.Admit(invite("s", "s3", space.Speaker)); err != nil {
		t.Errorf("a second connection of a seat that is taken: %v", err)
	}
	s.Leave("s3", noon)
	kindIs(t, s.Admit(late), space.Full) // s3 has one connection left
	s.Leave("s3", noon)
	if err := s.Admit(late); err != nil {
		t.Errorf("after someone left: %v", err)
	}
	if list := s.Show().Seats; len(list) != space.MaxSeats || list[len(list)-1].ID != "late" {
		t.Errorf("the newcomer is not last of %d in %+v", space.MaxSeats, list)
	}
}

func TestASeatThatLostItsConnectionStaysListedForAWhile(t *testing.T) {
	s := liveStage(t, invite("s", "ann", space.Host))
	s.Connect("ann", false)
	s.Leave("ann", noon)
	if s.Expire(noon.Add(Linger - 1)) {
		t.Error("it went too early")
	}
	if seats := s.Show().Seats; len(seats) != 1 || seats[0].Connected {
		t.Errorf("the list is %+v, want ann, not connected", seats)
	}
	if !s.Expire(noon.Add(Linger)) || len(s.Show().Seats) != 0 {
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
		s := liveStage(t, host, cohost, speaker, other)
		_, _ = s.Mute(invite("s", try.seat, space.Speaker), try.seat, !try.muted)
		changed, err := s.Mute(try.by, try.seat, try.muted)
		if kindIs(t, err, try.want); err == nil && !changed {
			t.Errorf("%s sets mute of %s to %v: nothing changed", try.by.Seat, try.seat, try.muted)
		}
	}
}

func TestMuteOutlivesAReconnect(t *testing.T) {
	host, loud := invite("s", "h", space.Host), invite("s", "a", space.Speaker)
	s := liveStage(t, host, loud)
	if _, err := s.Mute(host, "a", true); err != nil {
		t.Fatal(err)
	}
	s.Leave("a", noon)
	s.Expire(noon.Add(time.Hour))
	if err := s.Admit(loud); err != nil {
		t.Fatal(err)
	}
	s.Connect("a", true)
	if s.Speak([]space.SeatID{"a"}, noon); len(s.speaking) != 0 {
		t.Error("a muted seat is heard after connecting again")
	}
}

func TestRemovedIsForGood(t *testing.T) {
	host, cohost, bad := invite("s", "h", space.Host), invite("s", "c", space.Cohost), invite("s", "a", space.Speaker)
	s := liveStage(t, host, cohost, bad)
	kindIs(t, s.Remove(bad, "h"), space.Forbidden)
	kindIs(t, s.Remove(cohost, "h"), space.Forbidden)
	kindIs(t, s.Remove(host, "h"), space.Forbidden)
	s.Speak([]space.SeatID{"a"}, noon)
	if err := s.Remove(cohost, "a"); err != nil {
		t.Fatal(err)
	}
	if len(s.speaking) != 0 || len(s.Show().Seats) != 2 {
		t.Errorf("after removal the stage is %+v", s.Show())
	}
	kindIs(t, s.Admit(bad), space.Forbidden)
	kindIs(t, s.Remove(host, "a"), space.NotFound)
}

func TestNoticeSaysWhyThereIsNothingToHear(t *testing.T) {
	past := noon.Add(-time.Minute)
	ann := invite("s", "ann", space.Host)
	for name, try := range map[string]struct {
		make func(*Stage)
		want string
	}{
		"open and early":    {func(s *Stage) { s.space.Phase = space.Open }, ""},
		"open and late":     {func(s *Stage) { s.space.Phase, s.space.StartsAt = space.Open, &past }, "begins"},
		"just live":         {func(s *Stage) { s.Connect("ann", true) }, ""},
		"nobody there":      {func(s *Stage) { s.Connect("ann", false) }, "Nobody on stage is connected"},
		"muted":             {func(s *Stage) { _, _ = s.Mute(ann, "ann", true) }, "muted"},
		"silent for long":   {func(s *Stage) { s.lastWord = past }, "speaking"},
		"someone is heard":  {func(s *Stage) { s.lastWord = past; s.Speak([]space.SeatID{"ann"}, noon) }, ""},
		"over, by the host": {func(s *Stage) { s.space.Phase = space.Ended; s.Connect("ann", false) }, ""},
	} {
		s := liveStage(t, ann)
		try.make(s)
		got := s.Pulse(noon.Add(time.Second)).Notice
		if (got == "") != (try.want == "") || !strings.Contains(got, try.want) {
			t.Errorf("%s: %q, want %q", name, got, try.want)
		}
	}
}

func TestTheTallySumsTheNodesAndForgetsThoseThatAreGone(t *testing.T) {
	s := New(space.Space{})
	if !s.Count(tally.Message{Node: "a", Now: 10, Total: 20, Anonymous: 20}, noon) {
		t.Error("the first word of a node changes nothing")
	}
	s.Count(tally.Message{Node: "b", Now: 5, Total: 6, Anonymous: 6}, noon)
	if got, want := s.Pulse(noon).Tally, (space.Tally{Now: 15, Peak: 15, Total: 26}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if s.Count(tally.Message{Node: "b", Now: 5, Total: 6, Anonymous: 6}, noon) {
		t.Error("the same word again changes something")
	}
	// Nobody says anything any more: the pulse tells so all the same.
	if got, want := s.Pulse(noon.Add(tally.Silence)).Tally, (space.Tally{Peak: 15, Total: 26}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTallyGoesOnFromAnEarlierEpoch(t *testing.T) {
	s := New(space.Space{ID: "s", Phase: space.Live})
	s.CountOn(space.Tally{Now: 30, Peak: 40, Total: 100})
	if got, want := s.Pulse(noon).Tally, (space.Tally{Peak: 40, Total: 100}); got != want {
		t.Errorf("before anybody is back: %+v, want %+v", got, want)
	}
	s.Count(tally.Message{Node: "a"}, noon)
	s.Count(tally.Message{Node: "a", Now: 10, Total: 12, Anonymous: 12}, noon.Add(time.Second))
	if got, want := s.Pulse(noon.Add(time.Second)).Tally, (space.Tally{Now: 10, Peak: 40, Total: 112}); got != want {
		t.Errorf("with ten back: %+v, want %+v", got, want)
	}
}

func TestEverySequenceOfEventsLeavesAStageThatAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(space.Space{ID: "s", Phase: space.Live})
		seat := rapid.Custom(func(t *rapid.T) space.SeatID {
			return space.SeatID(fmt.Sprint("s", rapid.IntRange(0, space.MaxSeats+2).Draw(t, "n")))
		})
		now := noon
		links := map[space.SeatID]int{}
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				id := seat.Draw(t, "seat")
				if s.Admit(invite("s", id, space.Speaker)) == nil {
					links[id]++
				}
			},
			"leave": func(t *rapid.T) {
				if id := seat.Draw(t, "seat"); links[id] > 0 {
					links[id]--
					s.Leave(id, now)
				}
			},
			"connect": func(t *rapid.T) { s.Connect(seat.Draw(t, "seat"), rapid.Bool().Draw(t, "on")) },
			"mute": func(t *rapid.T) {
				id := seat.Draw(t, "seat")
				_, _ = s.Mute(invite("s", id, space.Speaker), id, rapid.Bool().Draw(t, "muted"))
			},
			"remove": func(t *rapid.T) { _ = s.Remove(invite("s", "host", space.Host), seat.Draw(t, "seat")) },
			"speak":  func(t *rapid.T) { s.Speak([]space.SeatID{seat.Draw(t, "seat"), seat.Draw(t, "other")}, now) },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
				s.Expire(now)
			},
			"": func(t *rapid.T) { addsUp(t, s, links) },
		})
	})
}

func addsUp(t *rapid.T, s *Stage, links map[space.SeatID]int) {
	listed := 0
	for i, in := range s.slots {
		if in == nil {
			continue
		}
		listed++
		if in.Slot != i || s.seats[in.ID] != in || in.removed {
			t.Fatalf("slot %d holds %+v", i, in)
		}
	}
	for id, in := range s.seats {
		if in.Slot >= 0 && s.slots[in.Slot] != in {
			t.Fatalf("%s says that it sits in %d", id, in.Slot)
		}
		if in.links != links[id] {
			t.Fatalf("%s has %d connections, not %d", id, in.links, links[id])
		}
		if in.links > 0 && in.Slot < 0 && !in.removed {
			t.Fatalf("%s is connected and not listed", id)
		}
	}
	for _, id := range s.speaking {
		if in := s.seats[id]; in.Slot < 0 || in.Muted || !in.Connected {
			t.Fatalf("%s speaks: %+v", id, in)
		}
	}
	if show := s.Show(); len(show.Seats) != listed {
		t.Fatalf("%d seats shown of %d", len(show.Seats), listed)
	}
}
