package stage

import (
	"context"

	"hustings/internal/ear"
	"hustings/internal/rtc"
	"hustings/internal/space"
)

// Errors of Patch that have statuses of their own (RFC 9725, section 4.3).
var (
	ErrNoETag = rtc.ErrNoETag // 428: no If-Match header
	ErrETag   = rtc.ErrETag   // 412: not the session's ETag
)

// Session is an accepted WHIP or WHEP session.
type Session struct {
	ID     string // names it in Patch and Leave; can't be guessed
	ETag   string // of its ICE session, quoted as in the header (RFC 9725, section 4.3.1)
	Answer string // SDP, with all our candidates
}

// Patch is the result of a PATCH: 204 for trickled candidates, 200 with ETag and
// Fragment (application/trickle-ice-sdpfrag) if ICE was restarted.
type Patch = rtc.Patch

// session is one connection of a seat: rtc's part, and the room's.
type session struct {
	*rtc.Session
	room *room
	link *link
}

// Publish connects the microphone of the invite's seat by WHIP (RFC 9725). The
// seat's earlier microphone ends.
//
// Errors: Invalid, Unauthorized, Forbidden, NotFound, Gone, Full, Internal.
func (st *Stages) Publish(ctx context.Context, inv space.Invite, offer string) (Session, error) {
	return st.connect(ctx, inv, offer, rtc.WHIP)
}

// Subscribe connects what the invite's seat hears, by WHEP: the stage without
// itself. The seat's earlier one ends.
//
// Errors: as Publish.
func (st *Stages) Subscribe(ctx context.Context, inv space.Invite, offer string) (Session, error) {
	return st.connect(ctx, inv, offer, rtc.WHEP)
}

func (st *Stages) connect(ctx context.Context, inv space.Invite, offer string, d rtc.Direction) (Session, error) {
	r, err := st.room(inv.Space)
	if err != nil {
		return Session{}, err
	}
	if err := r.check(inv); err != nil {
		return Session{}, err
	}
	if err := rtc.CheckOffer(offer, d); err != nil {
		return Session{}, err
	}
	s, err := st.newSession(r, inv.Seat, d)
	if err != nil {
		return Session{}, err
	}
	answer, err := s.Answer(ctx, offer)
	if err == nil {
		err = st.seat(s, inv, d)
	}
	if err != nil {
		s.Close()
		return Session{}, err
	}
	return Session{ID: s.ID(), ETag: s.ETag(), Answer: answer}, nil
}

func errStopped() error {
	return space.Errorf(space.Internal, "the stage is not running right now; try again in a moment")
}

// newSession makes a session and the link that its sound will go through.
func (st *Stages) newSession(r *room, seat space.SeatID, d rtc.Direction) (*session, error) {
	select {
	case <-st.ready:
	default:
		return nil, errStopped()
	}
	s := &session{room: r, link: &link{seat: seat}}
	o := rtc.SessionOptions{Direction: d}
	if d == rtc.WHIP {
		channels := r.channels()
		e, err := ear.New(channels)
		if err != nil {
			return nil, err
		}
		s.link.in = e
		o.Stereo = channels == 2
		o.Packet = e.Push
		o.Reaches = func(on bool) { r.reach(s.link, on) }
	}
	var err error
	if s.Session, err = st.net.NewSession(o); err != nil {
		return nil, err
	}
	s.link.out = s.Outlet()
	s.link.end = s.End
	return s, nil
}

// seat gives an answered session its seat, and a goroutine that sees to its end.
func (st *Stages) seat(s *session, inv space.Invite, d rtc.Direction) error {
	if err := s.room.join(inv, s.link); err != nil {
		return err
	}
	st.mu.Lock()
	st.sessions[s.ID()] = s
	st.mu.Unlock()
	gauge := st.own.metrics.sessions.WithLabelValues(string(d))
	gauge.Inc()
	left := func() {
		st.mu.Lock()
		delete(st.sessions, s.ID())
		st.mu.Unlock()
		s.room.part(s.link)
		gauge.Dec()
	}
	if !st.spawn(func(ctx context.Context) { s.Run(ctx, left) }) {
		left()
		return errStopped()
	}
	return nil
}

// Owner returns whose session that is, so that the caller can hold its token to it.
//
// Errors: NotFound.
func (st *Stages) Owner(session string) (space.ID, space.SeatID, error) {
	s, err := st.session(session)
	if err != nil {
		return "", "", err
	}
	return s.room.id, s.link.seat, nil
}

func (st *Stages) session(id string) (*session, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if s := st.sessions[id]; s != nil {
		return s, nil
	}
	return nil, space.Errorf(space.NotFound, "that session has ended; connect again")
}

// Patch hands on an SDP fragment (RFC 8840): more candidates, or new credentials,
// which restart ICE, so that a session survives a change of networks (RFC 9725,
// section 4.3). ifMatch is the If-Match header as it came.
//
// Errors: ErrNoETag (428), ErrETag (412); NotFound, Invalid, Internal.
func (st *Stages) Patch(ctx context.Context, session, ifMatch, fragment string) (Patch, error) {
	s, err := st.session(session)
	if err != nil {
		return Patch{}, err
	}
	return s.Patch(ctx, ifMatch, fragment)
}

// Leave ends a session. Its seat is free at once and does not wait until the
// connection is closed.
//
// Errors: NotFound.
func (st *Stages) Leave(_ context.Context, session string) error {
	s, err := st.session(session)
	if err != nil {
		return err
	}
	s.room.part(s.link)
	s.End()
	return nil
}
