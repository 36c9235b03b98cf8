package seats

import (
	"time"

	"hustings/internal/space"
	"hustings/internal/tally"
)

// quietAfter is the silence after which a live programme says so in words.
const quietAfter = 8 * time.Second

// CountOn goes on from the tally of an earlier epoch of the programme: its peak and
// its total still count, those who listened then come back as new ones.
func (s *Stage) CountOn(earlier space.Tally) { s.tally.GoOn(tally.Tally(earlier)) }

// Tally returns how many listen, over all nodes.
func (s *Stage) Tally(now time.Time) space.Tally { return space.Tally(s.tally.At(now)) }

// Pulse returns the stage as the audience sees it. While the doors are open nobody
// is heard, so nobody speaks.
func (s *Stage) Pulse(now time.Time) space.Pulse {
	p := space.Pulse{
		Phase:    s.space.Phase,
		Title:    s.space.Title,
		StartsAt: s.space.StartsAt,
		Tally:    s.Tally(now),
		Seats:    make(map[space.SeatID]space.PulseSeat),
		Speaking: []space.SeatID{},
		Notice:   s.notice(now),
	}
	for _, in := range s.OnStage() {
		p.Seats[in.ID] = space.PulseSeat{Name: in.Name, Role: in.Role, Muted: in.Muted}
	}
	if s.space.Phase == space.Live {
		p.Speaking = append(p.Speaking, s.speaking...)
	}
	return p
}

// notice says in words what is going on when there is nothing to hear, "" when
// there is, or when the phase says it all.
func (s *Stage) notice(now time.Time) string {
	switch s.space.Phase {
	case space.Open:
		if s.space.StartsAt != nil && now.After(*s.space.StartsAt) {
			return "It begins in a moment: the stage is getting ready."
		}
		return ""
	case space.Live:
		return s.silence(now)
	default:
		return ""
	}
}

// silence explains why a live stage is silent.
func (s *Stage) silence(now time.Time) string {
	connected, muted := 0, 0
	for _, in := range s.slots {
		if in != nil && in.Connected {
			connected++
			if in.Muted {
				muted++
			}
		}
	}
	switch {
	case len(s.speaking) > 0:
		return ""
	case connected == 0:
		return "Nobody on stage is connected right now. It goes on as soon as someone is back."
	case muted == connected:
		return "Everyone on stage is muted right now."
	case now.Sub(s.lastWord) >= quietAfter:
		return "Nobody on stage is speaking right now."
	default:
		return ""
	}
}
