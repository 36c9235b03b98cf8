package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hustings/internal/space"
)

// AddInvite keeps a new invite.
//
// Errors: Conflict, if the seat's name is taken in that space.
func (s *Store) AddInvite(ctx context.Context, in space.Invite) error {
	made, err := insert(ctx, s.write, &inviteRow{
		Space: string(in.Space), Seat: string(in.Seat), Role: string(in.Role),
		Name: in.Name, Created: in.Created.UnixMicro(), Revoked: in.Revoked,
	})
	if err != nil {
		return fmt.Errorf("add invite to space %s: %w", in.Space, err)
	}
	if !made {
		return space.Errorf(space.Conflict, "there is a seat %s in this space already; choose another name", in.Seat)
	}
	return nil
}

// Invite returns one invite, revoked or not.
//
// Errors: NotFound.
func (s *Store) Invite(ctx context.Context, id space.ID, seat space.SeatID) (space.Invite, error) {
	if !id.Valid() || !seat.Valid() {
		return space.Invite{}, noInvite(seat)
	}
	row := new(inviteRow)
	err := s.read.NewSelect().Model(row).Where("space = ? AND seat = ?", string(id), string(seat)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return space.Invite{}, noInvite(seat)
	}
	if err != nil {
		return space.Invite{}, fmt.Errorf("read invite %s of space %s: %w", seat, id, err)
	}
	return row.invite(), nil
}

// Invites returns a space's invites that were not revoked, oldest first.
func (s *Store) Invites(ctx context.Context, id space.ID) ([]space.Invite, error) {
	if !id.Valid() {
		return nil, noSpace(id)
	}
	var rows []inviteRow
	err := s.read.NewSelect().Model(&rows).Where("space = ? AND NOT revoked", string(id)).OrderExpr("created, seat").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list invites of space %s: %w", id, err)
	}
	list := make([]space.Invite, len(rows))
	for i := range rows {
		list[i] = rows[i].invite()
	}
	return list, nil
}

// Revoke marks an invite as revoked, for good. To do it again changes nothing.
//
// Errors: NotFound.
func (s *Store) Revoke(ctx context.Context, id space.ID, seat space.SeatID) error {
	if !id.Valid() || !seat.Valid() {
		return noInvite(seat)
	}
	result, err := s.write.NewUpdate().Model((*inviteRow)(nil)).Set("revoked = ?", true).
		Where("space = ? AND seat = ?", string(id), string(seat)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("revoke invite %s of space %s: %w", seat, id, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(noInvite(seat), err)
	}
	return nil
}

func noInvite(seat space.SeatID) error {
	return space.Errorf(space.NotFound, "there is no seat %q in this space; reload the list of invites", string(seat))
}
