package space

import "time"

// SeatID names a seat on one stage: short, since it rides in every pulse.
type SeatID string

// Valid reports whether id could name a seat: the same characters as an ID.
func (id SeatID) Valid() bool { return validName(string(id)) }

// Invite gives one seat on one stage to whoever holds its token.
type Invite struct {
	Space   ID
	Seat    SeatID
	Role    Role
	Name    string
	Created time.Time
	Revoked bool // the host removed the seat: its token opens nothing any more
}

// Seat is a place on the stage as others see it.
type Seat struct {
	ID        SeatID `json:"id"`
	Name      string `json:"name"`
	Role      Role   `json:"role"`
	Muted     bool   `json:"muted"`     // by oneself or by the host; only oneself unmutes
	Connected bool   `json:"connected"` // its microphone reaches the stage
}

// Tally is how many listen.
type Tally struct {
	Now   int `json:"now"`
	Peak  int `json:"peak"`
	Total int `json:"total"` // joins over the whole event
}

// PulseSeat is a seat in the pulse. Its keys are short: it rides in the stream.
type PulseSeat struct {
	Name  string `json:"name"`
	Role  Role   `json:"role"`
	Muted bool   `json:"muted,omitempty"`
}

// Pulse is the state of a space as every listener sees it. It rides in the
// blocks as a JSON merge patch (RFC 7396) against the pulse of the block before;
// joiners get it whole. GET /live/{id}/pulse serves the newest one whole.
type Pulse struct {
	Phase      Phase                `json:"phase"`
	Title      string               `json:"title"`
	StartsAt   *time.Time           `json:"starts_at,omitempty"`
	Tally      Tally                `json:"tally"`
	Seats      map[SeatID]PulseSeat `json:"seats"`
	Speaking   []SeatID             `json:"speaking"`             // who is heard now, ordered
	Notice     string               `json:"notice,omitempty"`     // what is going on, when nothing can be heard
	Checkpoint string               `json:"checkpoint,omitempty"` // newest signed note of the programme's log
	Edges      string               `json:"edges,omitempty"`      // signed list of who serves listeners, if that is not this server alone
}
