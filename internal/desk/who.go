package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"hustings/internal/space"
	"hustings/internal/token"
)

// Who is somebody who was identified: the owner of this server, or the holder of
// an invite. The zero Who may do nothing.
type Who struct {
	Owner  bool
	Invite *space.Invite
}

// String names who it is for the log, without their name or token.
func (w Who) String() string {
	switch {
	case w.Owner:
		return "owner"
	case w.Invite != nil:
		return fmt.Sprintf("%s %s", w.Invite.Role, w.Invite.Seat)
	default:
		return "nobody"
	}
}

// action is something that one may do to a space.
type action string

const (
	edit   action = "edit"
	open   action = "open"
	start  action = "start"
	end    action = "end"
	cancel action = "cancel"
	invite action = "invite people to"
	direct action = "mute or remove others in" // on the stage
)

// may tells whether who may do this to the space: the owner everything, a host
// everything in their own space, a cohost all but end and cancel it.
//
// Errors: Unauthorized, Forbidden.
func (w Who) may(do action, id space.ID) error {
	switch {
	case w.Owner:
		return nil
	case w.Invite == nil:
		return errNobody()
	case w.Invite.Space != id:
		return space.Errorf(space.Forbidden, "this invite is for another space; use the link that belongs to this one")
	case w.Invite.Role == space.Host:
		return nil
	case w.Invite.Role == space.Cohost && do != end && do != cancel:
		return nil
	case w.Invite.Role == space.Cohost:
		return space.Errorf(space.Forbidden, "a cohost can't %s the space; ask a host to", do)
	default:
		return space.Errorf(space.Forbidden, "only a host or a cohost can %s the space; ask one of them to", do)
	}
}

func (w Who) mayCreate() error {
	switch {
	case w.Owner:
		return nil
	case w.Invite == nil:
		return errNobody()
	default:
		return space.Errorf(space.Forbidden, "only the owner of this server can announce spaces; sign in with the owner's link")
	}
}

// Seat returns the invite with which who goes on stage.
//
// Errors: Unauthorized; Forbidden for the owner, who has no seat of their own, and
// for an invite to another space.
func (w Who) Seat(id space.ID) (space.Invite, error) {
	switch {
	case w.Invite != nil && w.Invite.Space == id:
		return *w.Invite, nil
	case w.Invite != nil:
		return space.Invite{}, space.Errorf(space.Forbidden, "this invite is for another space; use the link that belongs to this one")
	case w.Owner:
		return space.Invite{}, space.Errorf(space.Forbidden, "the owner's token is no seat on the stage; make an invite for yourself and use its link")
	default:
		return space.Invite{}, errNobody()
	}
}

// Acting returns the invite in whose name who acts on others on the stage. The
// owner acts as a host without a seat.
//
// Errors: Unauthorized, Forbidden.
func (w Who) Acting(id space.ID) (space.Invite, error) {
	if w.Owner {
		return space.Invite{Space: id, Role: space.Host, Name: "owner"}, nil
	}
	return w.Seat(id)
}

func errNobody() error {
	return space.Errorf(space.Unauthorized, "this needs a token: use an invite's link or sign in, or send the header Authorization: Bearer TOKEN")
}

// Kinds of token that the desk mints.
const (
	inviteKind  = "invite"
	sessionKind = "session"
)

// sessionTime is how long a signed-in browser stays so.
const sessionTime = 30 * 24 * time.Hour

// inviteClaim is what an invite's token says. Role, name and whether it was
// revoked are looked up, so they can change while the link stays.
type inviteClaim struct {
	Space space.ID     `json:"s"`
	Seat  space.SeatID `json:"t"`
}

// sessionClaim is what a signed-in browser's cookie says: by which owner's token
// it came in. Another owner's token ends all sessions.
type sessionClaim struct {
	Owner string `json:"o"`
}

// Identify tells who holds a token: the owner's, or an invite's.
//
// Errors: Unauthorized.
func (d *Desk) Identify(ctx context.Context, text string) (Who, error) {
	if text == "" {
		return Who{}, errNobody()
	}
	if token.Same(text, d.owner) {
		return Who{Owner: true}, nil
	}
	var claim inviteClaim
	if err := d.tokens.Open(inviteKind, text, &claim); err != nil {
		return Who{}, errToken(err)
	}
	in, err := d.store.Invite(ctx, claim.Space, claim.Seat)
	switch {
	case space.KindOf(err) == space.NotFound, err == nil && in.Revoked:
		return Who{}, space.Errorf(space.Unauthorized, "this invite was withdrawn; ask the host for a new one")
	case err != nil:
		return Who{}, fmt.Errorf("identify: %w", err)
	}
	return Who{Invite: &in}, nil
}

// SignIn trades the owner's token for a session to be kept in a cookie.
//
// Errors: Unauthorized.
func (d *Desk) SignIn(text string) (session string, until time.Time, err error) {
	if !token.Same(text, d.owner) {
		return "", time.Time{}, space.Errorf(space.Unauthorized, "this link does not sign in; take the newest one that the server printed when it started")
	}
	until = d.now().Add(sessionTime)
	session, err = d.tokens.MintUntil(sessionKind, until, sessionClaim{Owner: d.ownerMark()})
	return session, until, err
}

// Session tells who holds a session.
//
// Errors: Unauthorized.
func (d *Desk) Session(text string) (Who, error) {
	var claim sessionClaim
	if err := d.tokens.Open(sessionKind, text, &claim); err != nil {
		return Who{}, errToken(err)
	}
	if !token.Same(claim.Owner, d.ownerMark()) {
		return Who{}, space.Errorf(space.Unauthorized, "the owner's token was changed; sign in with the new link")
	}
	return Who{Owner: true}, nil
}

// ownerMark names the owner's token without telling it.
func (d *Desk) ownerMark() string {
	sum := sha256.Sum256([]byte("hustings owner\x00" + d.owner))
	return hex.EncodeToString(sum[:8])
}

func errToken(err error) error {
	if errors.Is(err, token.ErrExpired) {
		return space.Errorf(space.Unauthorized, "this sign-in is too old; sign in again")
	}
	return space.Errorf(space.Unauthorized, "this token is not valid here; copy the whole link once more, or ask the host for a new one")
}
