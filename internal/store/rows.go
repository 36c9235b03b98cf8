package store

import (
	"time"

	"hustings/internal/space"

	"github.com/uptrace/bun"
)

// spaceRow is a space as the table has it.
type spaceRow struct {
	bun.BaseModel `bun:"table:spaces,alias:s"`

	ID          string `bun:"id,pk"`
	Title       string `bun:"title"`
	Description string `bun:"description"`
	Phase       string `bun:"phase"`
	Stereo      bool   `bun:"stereo"`
	Rescheduled bool   `bun:"rescheduled"`
	Created     int64  `bun:"created"`
	StartsAt    *int64 `bun:"starts_at"`
	OpenedAt    *int64 `bun:"opened_at"`
	StartedAt   *int64 `bun:"started_at"`
	EndedAt     *int64 `bun:"ended_at"`
	IsOver      bool   `bun:"is_over"`
	Settled     bool   `bun:"settled"`
}

func rowOf(sp space.Space) *spaceRow {
	return &spaceRow{
		ID: string(sp.ID), Title: sp.Title, Description: sp.Description,
		Phase: string(sp.Phase), Stereo: sp.Stereo, Rescheduled: sp.Rescheduled,
		Created: sp.Created.UnixMicro(), StartsAt: micros(sp.StartsAt), OpenedAt: micros(sp.OpenedAt),
		StartedAt: micros(sp.StartedAt), EndedAt: micros(sp.EndedAt),
		IsOver: sp.Phase.Over(),
	}
}

func (r *spaceRow) space() space.Space {
	return space.Space{
		ID: space.ID(r.ID), Title: r.Title, Description: r.Description,
		Phase: space.Phase(r.Phase), Stereo: r.Stereo, Rescheduled: r.Rescheduled,
		Created: time.UnixMicro(r.Created).UTC(), StartsAt: instant(r.StartsAt), OpenedAt: instant(r.OpenedAt),
		StartedAt: instant(r.StartedAt), EndedAt: instant(r.EndedAt),
	}
}

// inviteRow is an invite as the table has it.
type inviteRow struct {
	bun.BaseModel `bun:"table:invites,alias:i"`

	Space   string `bun:"space,pk"`
	Seat    string `bun:"seat,pk"`
	Role    string `bun:"role"`
	Name    string `bun:"name"`
	Created int64  `bun:"created"`
	Revoked bool   `bun:"revoked"`
}

func (r *inviteRow) invite() space.Invite {
	return space.Invite{
		Space: space.ID(r.Space), Seat: space.SeatID(r.Seat), Role: space.Role(r.Role),
		Name: r.Name, Created: time.UnixMicro(r.Created).UTC(), Revoked: r.Revoked,
	}
}

func micros(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func instant(us *int64) *time.Time {
	if us == nil {
		return nil
	}
	t := time.UnixMicro(*us).UTC()
	return &t
}
