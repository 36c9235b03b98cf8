// Package seats is one stage as a state machine: who has a seat on it, who is muted,
// who speaks, in which phase it is, and how all that looks to those on stage and to
// the audience.
//
// It knows no network, no sound and no clock: time comes in as an argument. The room
// stage owns one Stage for each space, and makes true outside what changes in here.
package seats

import (
	"cmp"
	"slices"
	"time"

	"hustings/internal/space"
	"hustings/internal/tally"
)

// Linger is how long a seat that lost its last connection stays in the list of
// those on stage. A page reload or a change of networks takes a few seconds; after
// half a minute the person is gone for the others too.
const Linger = 30 * time.Second

// State is a stage as those on it see it.
type State struct {
	Space    space.ID
	Phase    space.Phase
	Title    string
	StartsAt *time.Time
	Seats    []space.Seat // in the order of joining
	Speaking []space.SeatID
	Heard    []space.SeatID // whose microphone was heard since it connected
	Tally    space.Tally
}

// Stage is the state of one stage. It is not safe for concurrent use.
type Stage struct {
	space    space.Space
	seats    map[space.SeatID]*Seat
	slots    [space.MaxSeats]*Seat // who sits where in the mix; nil is free
	joins    int                   // seats listed so far: gives the order of the list
	speaking []space.SeatID        // heard now, by id
	tally    tally.Sum
	counted  time.Time // when the tally was last told
	lastWord time.Time // when somebody was last heard, or the stage went live
}

// Seat is a seat that was taken once. It is kept while the stage stands, so that
// someone who was muted or removed can't shed that by connecting again.
type Seat struct {
	space.Seat
	Slot    int       // where it sits in the mix, 0 to MaxSeats-1; -1 when it is not listed
	order   int       // of joining
	links   int       // connections, of either direction
	left    time.Time // when the last of them went
	heard   bool      // its microphone was heard since it connected
	removed bool      // by a host; it does not come back
}

// New returns the empty stage of a space.
func New(sp space.Space) *Stage {
	return &Stage{space: sp, seats: make(map[space.SeatID]*Seat)}
}

// Space returns the space as it was last put.
func (s *Stage) Space() space.Space { return s.space }

// Count takes over what a node tells of its listeners.
func (s *Stage) Count(m tally.Message, now time.Time) (changed bool) {
	before := s.tally.At(s.counted)
	s.tally.Add(m, now)
	s.counted = now
	return s.tally.At(now) != before
}

// Put takes over the space as it is now.
func (s *Stage) Put(sp space.Space, now time.Time) {
	if sp.Phase == space.Live && s.space.Phase != space.Live {
		s.lastWord = now
	}
	s.space = sp
}

// Check tells whether the invite opens this stage and a seat is left for it.
//
// Errors: Gone, Unauthorized, Forbidden or Full.
func (s *Stage) Check(inv space.Invite) error {
	if s.space.Phase.Over() {
		return OverError(s.space)
	}
	if inv.Revoked {
		return space.Errorf(space.Unauthorized, "this invite was withdrawn; ask the host for a new one")
	}
	old := s.seats[inv.Seat]
	if old != nil && old.removed {
		return space.Errorf(space.Forbidden, "the host took this seat off the stage; ask the host for a new invite")
	}
	if old != nil && old.Slot >= 0 {
		return nil
	}
	for _, in := range s.slots {
		if in == nil || in.links == 0 {
			return nil
		}
	}
	return space.Errorf(space.Full, "all %d seats on this stage are taken; try again when someone has left", space.MaxSeats)
}

// Admit counts one more connection of the invite's seat and gives the seat a slot
// if it has none: a free one, or that of who left longest ago.
//
// Errors: as Check.
func (s *Stage) Admit(inv space.Invite) error {
	if err := s.Check(inv); err != nil {
		return err
	}
	in := s.seats[inv.Seat]
	if in == nil {
		in = &Seat{Seat: space.Seat{ID: inv.Seat}, Slot: -1}
		s.seats[inv.Seat] = in
	}
	in.Name, in.Role = inv.Name, inv.Role
	in.links++
	if in.Slot >= 0 {
		return nil
	}
	in.Slot = s.freeSlot()
	s.slots[in.Slot] = in
	in.order = s.joins
	s.joins++
	return nil
}

// freeSlot empties a slot; Check has made sure that there is one.
func (s *Stage) freeSlot() int {
	best := -1
	for i, in := range s.slots {
		switch {
		case in == nil:
			return i
		case in.links > 0:
		case best < 0 || in.left.Before(s.slots[best].left):
			best = i
		}
	}
	s.unlist(s.slots[best])
	return best
}

func (s *Stage) unlist(in *Seat) {
	s.slots[in.Slot] = nil
	in.Slot = -1
}

// Leave counts one connection less.
func (s *Stage) Leave(id space.SeatID, now time.Time) {
	in := s.seats[id]
	if in == nil || in.links == 0 {
		return
	}
	if in.links--; in.links == 0 {
		s.Connect(id, false)
		in.left = now
	}
}

// Connect notes whether the microphone of a seat reaches the stage.
func (s *Stage) Connect(id space.SeatID, on bool) (changed bool) {
	in := s.seats[id]
	if in == nil || in.Connected == on || (on && in.links == 0) {
		return false
	}
	in.Connected = on
	if !on {
		in.heard = false
		s.hush(id)
	}
	return true
}

// Expire takes those off the list who left longer than Linger ago.
func (s *Stage) Expire(now time.Time) (changed bool) {
	for _, in := range s.slots {
		if in != nil && in.links == 0 && now.Sub(in.left) >= Linger {
			s.unlist(in)
			changed = true
		}
	}
	return changed
}

// Mute mutes or unmutes a seat on behalf of another.
//
// Errors: NotFound; Forbidden, when one may not mute others or tries to unmute them.
func (s *Stage) Mute(by space.Invite, id space.SeatID, muted bool) (changed bool, err error) {
	in, err := s.listed(id)
	if err != nil {
		return false, err
	}
	if by.Seat != id {
		if !muted {
			return false, space.Errorf(space.Forbidden, "only %s can switch their own microphone on again; ask them to", in.Name)
		}
		if !by.Role.Moderates() {
			return false, space.Errorf(space.Forbidden, "only a host or a cohost can mute others")
		}
	}
	if in.Muted == muted {
		return false, nil
	}
	in.Muted = muted
	if muted {
		s.hush(id)
	}
	return true, nil
}

// Remove takes a seat off the stage for good.
//
// Errors: NotFound; Forbidden, when one may not remove it.
func (s *Stage) Remove(by space.Invite, id space.SeatID) error {
	in, err := s.listed(id)
	if err != nil {
		return err
	}
	switch {
	case by.Seat == id:
		return space.Errorf(space.Forbidden, "this is your own seat; leave the stage instead")
	case !by.Role.Moderates():
		return space.Errorf(space.Forbidden, "only a host or a cohost can take others off the stage")
	case in.Role == space.Host && by.Role != space.Host:
		return space.Errorf(space.Forbidden, "a cohost can't take a host off the stage")
	}
	in.removed, in.Connected = true, false
	s.hush(id)
	s.unlist(in)
	return nil
}

func (s *Stage) listed(id space.SeatID) (*Seat, error) {
	if in := s.seats[id]; in != nil && in.Slot >= 0 {
		return in, nil
	}
	return nil, space.Errorf(space.NotFound, "that seat is not on the stage any more")
}

// Speak notes who is heard now. Muted and unconnected seats are never heard. The
// ids are the caller's, in any order, and are put in order.
func (s *Stage) Speak(ids []space.SeatID, now time.Time) (changed bool) {
	heard := ids[:0]
	for _, id := range ids {
		if in := s.seats[id]; in != nil && in.Slot >= 0 && in.Connected && !in.Muted {
			changed = changed || !in.heard
			in.heard = true
			heard = append(heard, id)
		}
	}
	slices.Sort(heard)
	if len(heard) > 0 {
		s.lastWord = now
	}
	if slices.Equal(heard, s.speaking) {
		return changed
	}
	s.speaking = slices.Clone(heard)
	return true
}

// hush takes one seat out of those who speak. It makes a new slice: the old one
// was handed out.
func (s *Stage) hush(id space.SeatID) {
	s.speaking = slices.DeleteFunc(slices.Clone(s.speaking), func(other space.SeatID) bool { return other == id })
}

// OnStage returns the listed seats in the order of joining.
func (s *Stage) OnStage() []*Seat {
	var seats []*Seat
	for _, in := range s.slots {
		if in != nil {
			seats = append(seats, in)
		}
	}
	slices.SortFunc(seats, func(a, b *Seat) int { return cmp.Compare(a.order, b.order) })
	return seats
}

// Show returns the stage as those on it see it.
func (s *Stage) Show() State {
	show := State{
		Space:    s.space.ID,
		Phase:    s.space.Phase,
		Title:    s.space.Title,
		StartsAt: s.space.StartsAt,
		Seats:    []space.Seat{},
		Speaking: append([]space.SeatID{}, s.speaking...),
		Heard:    []space.SeatID{},
		Tally:    s.Tally(s.counted),
	}
	for _, in := range s.OnStage() {
		show.Seats = append(show.Seats, in.Seat)
		if in.heard {
			show.Heard = append(show.Heard, in.ID)
		}
	}
	return show
}

// OverError says that a space is over.
func OverError(sp space.Space) error {
	if sp.Phase == space.Cancelled {
		return space.Errorf(space.Gone, "this space was cancelled")
	}
	return space.Errorf(space.Gone, "this space has ended; its recording is up")
}
