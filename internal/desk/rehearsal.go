package desk

import (
	"context"

	"hustings/internal/space"
)

// MayRehearse tells whether who may put a crowd on a space: the owner, while there
// is something to hear.
//
// Errors: Unauthorized, Forbidden, NotFound, Conflict.
func (d *Desk) MayRehearse(ctx context.Context, who Who, id space.ID) error {
	if err := who.maySeeRehearsals(); err != nil {
		return err
	}
	sp, err := d.Get(ctx, id)
	switch {
	case err != nil:
		return err
	case sp.Phase.Over():
		return space.Errorf(space.Conflict, "this space is over; announce a new one to rehearse in")
	case !sp.Phase.OnAir():
		return space.Errorf(space.Conflict, "the doors of this space are not open, so a crowd would hear nothing; open them (hold audio is enough) and rehearse then")
	}
	return nil
}

// MaySeeRehearsal tells whether who may follow a rehearsal, end and report it.
//
// Errors: Unauthorized, Forbidden.
func (d *Desk) MaySeeRehearsal(who Who) error { return who.maySeeRehearsals() }

func (w Who) maySeeRehearsals() error {
	switch {
	case w.Owner:
		return nil
	case w.Invite == nil:
		return errNobody()
	default:
		return space.Errorf(space.Forbidden, "only the owner of this server can rehearse with a crowd; use the owner's token")
	}
}
