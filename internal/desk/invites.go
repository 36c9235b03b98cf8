package desk

import (
	"context"
	"time"

	"hustings/internal/space"
	"hustings/internal/token"
)

// Lengths of names, in characters of about 4.9 bits, and limits.
const (
	idLength   = 10
	seatLength = 4 // short, since it rides in every pulse; unique in its space
	tries      = 3
	maxInvites = 200 // open invites of one space
)

// Issued is an invite with the token that opens it.
type Issued struct {
	space.Invite
	Token string // "" if the one who asks may not have it
}

// Invite makes an invite to a seat on the stage.
//
// Errors: Forbidden, NotFound; Invalid for a bad role or name; Conflict if the
// space is over or has too many invites.
func (d *Desk) Invite(ctx context.Context, who Who, id space.ID, role space.Role, name string) (Issued, error) {
	if err := who.mayInvite(id, role); err != nil {
		return Issued{}, err
	}
	name, err := space.CleanName(name)
	if err != nil {
		return Issued{}, err
	}
	// The lock keeps the count true.
	defer d.lines.lock(id)()
	if err := d.roomForInvite(ctx, id); err != nil {
		return Issued{}, err
	}
	in := space.Invite{Space: id, Role: role, Name: name, Created: d.now().UTC().Truncate(time.Microsecond)}
	for try := 0; ; try++ {
		in.Seat = space.SeatID(token.Name(seatLength))
		err := d.store.AddInvite(ctx, in)
		if err == nil {
			break
		}
		if space.KindOf(err) != space.Conflict || try == tries {
			return Issued{}, err
		}
	}
	d.log.Info("invite made", "space", id, "seat", in.Seat, "role", role, "by", who.String())
	return d.issue(who, in)
}

// Invites lists a space's open invites, oldest first, with their tokens, so that a
// lost link can be sent again.
//
// Errors: Forbidden, NotFound.
func (d *Desk) Invites(ctx context.Context, who Who, id space.ID) ([]Issued, error) {
	if err := who.may(invite, id); err != nil {
		return nil, err
	}
	if _, err := d.Get(ctx, id); err != nil {
		return nil, err
	}
	list, err := d.store.Invites(ctx, id)
	if err != nil {
		return nil, err
	}
	issued := make([]Issued, len(list))
	for i, in := range list {
		if issued[i], err = d.issue(who, in); err != nil {
			return nil, err
		}
	}
	return issued, nil
}

// Revoke withdraws an invite: its holder is taken off the stage and its token
// opens nothing any more.
//
// Errors: Forbidden, NotFound.
func (d *Desk) Revoke(ctx context.Context, who Who, id space.ID, seat space.SeatID) error {
	if err := who.may(direct, id); err != nil {
		return err
	}
	by, err := who.Acting(id)
	if err != nil {
		return err
	}
	in, err := d.store.Invite(ctx, id, seat)
	if err != nil {
		return err
	}
	switch {
	case by.Seat == seat:
		return space.Errorf(space.Forbidden, "this is your own seat; leave the stage instead")
	case in.Role == space.Host && by.Role != space.Host:
		return space.Errorf(space.Forbidden, "a cohost can't take a host off the stage")
	}
	// First the database: from here on nobody comes back with it.
	if err := d.store.Revoke(ctx, id, seat); err != nil {
		return err
	}
	d.log.Info("invite withdrawn", "space", id, "seat", seat, "by", who.String())
	err = d.stage.Remove(id, by, seat)
	if space.KindOf(err) == space.NotFound {
		return nil // was not on the stage
	}
	return err
}

// Mute mutes a seat, or unmutes one's own.
//
// Errors: Forbidden, NotFound.
func (d *Desk) Mute(who Who, id space.ID, seat space.SeatID, muted bool) error {
	by, err := who.Acting(id)
	if err != nil {
		return err
	}
	return d.stage.Mute(id, by, seat, muted)
}

func (d *Desk) issue(who Who, in space.Invite) (Issued, error) {
	if !who.Owner && who.Invite.Role != space.Host && in.Role == space.Host {
		return Issued{Invite: in}, nil // a cohost would be a host by it
	}
	text, err := d.tokens.Mint(inviteKind, inviteClaim{Space: in.Space, Seat: in.Seat})
	return Issued{Invite: in, Token: text}, err
}

// roomForInvite tells whether the space takes one more invite.
func (d *Desk) roomForInvite(ctx context.Context, id space.ID) error {
	sp, err := d.store.Get(ctx, id)
	if err != nil {
		return err
	}
	if sp.Phase.Over() {
		return space.Errorf(space.Conflict, "the space is %s: nobody goes on its stage any more; announce a new one", sp.Phase)
	}
	list, err := d.store.Invites(ctx, id)
	if err != nil {
		return err
	}
	if len(list) >= maxInvites {
		return space.Errorf(space.Conflict, "the space has %d invites; withdraw some that are not used", len(list))
	}
	return nil
}

func (w Who) mayInvite(id space.ID, role space.Role) error {
	if err := w.may(invite, id); err != nil {
		return err
	}
	switch {
	case role != space.Host && role != space.Cohost && role != space.Speaker:
		return space.Errorf(space.Invalid, "role is %q; use host, cohost or speaker", string(role))
	case role == space.Host && !w.Owner && w.Invite.Role != space.Host:
		return space.Errorf(space.Forbidden, "a cohost can't make hosts; ask a host to")
	}
	return nil
}
