package desk_test

import (
	"strings"
	"testing"
	"time"

	"hustings/internal/desk"
	"hustings/internal/space"
	"hustings/internal/token"
)

func TestIdentify(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	in, err := s.Invite(t.Context(), owner, id, space.Speaker, " Ana  O'Neil ")
	if err != nil || in.Name != "Ana O'Neil" {
		t.Fatalf("%+v, %v", in, err)
	}
	who, err := s.Identify(t.Context(), in.Token)
	if err != nil || who.Owner || *who.Invite != in.Invite {
		t.Errorf("invite: %+v, %v", who, err)
	}
	if who, err = s.Identify(t.Context(), ownerToken); err != nil || !who.Owner {
		t.Errorf("owner: %+v, %v", who, err)
	}
	session, _, err := s.SignIn(ownerToken)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := token.New([]byte(strings.Repeat("x", token.SecretSize)), nil)
	forged, _ := other.Mint("invite", map[string]string{"s": string(id), "t": string(in.Seat)})
	for name, text := range map[string]string{
		"empty": "", "nearly the owner's": ownerToken + "x", "a session": session, "forged": forged, "cut": in.Token[:len(in.Token)-1],
	} {
		who, err := s.Identify(t.Context(), text)
		if space.KindOf(err) != space.Unauthorized || who != (desk.Who{}) {
			t.Errorf("%s: %+v, %v; want unauthorized", name, who, err)
		}
	}
}

func TestRevokedInviteOpensNothing(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	in, err := s.Invite(t.Context(), owner, id, space.Speaker, "Ana")
	if err != nil {
		t.Fatal(err)
	}
	host := s.guest(t, id, space.Host)
	s.stage.refuse = space.Errorf(space.NotFound, "not on the stage") // which is no error here
	if err := s.Revoke(t.Context(), host, id, in.Seat); err != nil {
		t.Fatal(err)
	}
	if len(s.stage.removed) != 1 || s.stage.removed[0] != in.Seat || s.stage.by.Seat != host.Invite.Seat {
		t.Errorf("removed %v by %+v", s.stage.removed, s.stage.by)
	}
	_, err = s.Identify(t.Context(), in.Token)
	wantKind(t, err, space.Unauthorized)
	list, err := s.Invites(t.Context(), owner, id)
	if err != nil || len(list) != 1 || list[0].Seat != host.Invite.Seat {
		t.Errorf("invites left: %+v, %v", list, err)
	}
	wantKind(t, s.Revoke(t.Context(), host, id, host.Invite.Seat), space.Forbidden)
	wantKind(t, s.Revoke(t.Context(), host, id, "zzzz"), space.NotFound)
}

func TestCohostGetsNoHostsToken(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	cohost, host := s.guest(t, id, space.Cohost), s.guest(t, id, space.Host)
	for _, c := range []struct {
		who      desk.Who
		withHost bool
	}{{owner, true}, {host, true}, {cohost, false}} {
		list, err := s.Invites(t.Context(), c.who, id)
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %+v, %v", c.who, list, err)
		}
		for _, in := range list {
			if want := in.Role != space.Host || c.withHost; want != (in.Token != "") {
				t.Errorf("%s sees the token of a %s: %v", c.who, in.Role, in.Token != "")
			}
		}
	}
}

func TestInvitesRefused(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	for _, c := range []struct {
		role space.Role
		name string
	}{{space.Caller, "Ana"}, {"king", "Ana"}, {"", "Ana"}, {space.Speaker, " "}, {space.Speaker, strings.Repeat("x", 81)}} {
		_, err := s.Invite(t.Context(), owner, id, c.role, c.name)
		wantKind(t, err, space.Invalid)
	}
	_, err := s.Invite(t.Context(), owner, "nowhere", space.Speaker, "Ana")
	wantKind(t, err, space.NotFound)
	_, err = s.Invites(t.Context(), owner, "nowhere")
	wantKind(t, err, space.NotFound)
	for range 200 {
		if _, err := s.Invite(t.Context(), owner, id, space.Speaker, "Ana"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Invite(t.Context(), owner, id, space.Speaker, "Ana")
	wantKind(t, err, space.Conflict)
	over := s.announce(t)
	if _, err := s.Cancel(t.Context(), owner, over); err != nil {
		t.Fatal(err)
	}
	_, err = s.Invite(t.Context(), owner, over, space.Speaker, "Ana")
	wantKind(t, err, space.Conflict)
}

func TestSession(t *testing.T) {
	s := newSet(t)
	_, _, err := s.SignIn("guess")
	wantKind(t, err, space.Unauthorized)
	session, until, err := s.SignIn(ownerToken)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := s.Session(session); err != nil || !who.Owner {
		t.Errorf("%+v, %v", who, err)
	}
	_, err = s.Session(ownerToken)
	wantKind(t, err, space.Unauthorized)

	// With another owner's token the old sessions are over.
	minter, _ := token.New(make([]byte, token.SecretSize), s.clock.Now)
	other, err := desk.New(desk.Options{Store: s.store, Stage: s.stage, Tokens: minter, OwnerToken: "another"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Session(session)
	wantKind(t, err, space.Unauthorized)

	s.clock.pass(until.Sub(s.clock.Now()) + time.Second)
	_, err = s.Session(session)
	wantKind(t, err, space.Unauthorized)
	if err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("expired: %v", err)
	}
}

func TestActingOnStage(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	speaker := s.guest(t, id, space.Speaker)
	if err := s.Mute(speaker, id, speaker.Invite.Seat, true); err != nil || s.stage.by != *speaker.Invite || !s.stage.muted {
		t.Errorf("a speaker: by %+v, %v", s.stage.by, err)
	}
	if err := s.Mute(owner, id, "a2", true); err != nil || s.stage.by.Role != space.Host || s.stage.by.Seat != "" {
		t.Errorf("the owner: by %+v, %v", s.stage.by, err)
	}
	wantKind(t, s.Mute(speaker, "elsewhere", "a2", true), space.Forbidden)
	wantKind(t, s.Mute(desk.Who{}, id, "a2", true), space.Unauthorized)
	_, err := owner.Seat(id)
	wantKind(t, err, space.Forbidden)
	if in, err := speaker.Seat(id); err != nil || in != *speaker.Invite {
		t.Errorf("a speaker's seat: %+v, %v", in, err)
	}
}

func TestGetIsFreshAfterASecond(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	if _, err := s.Get(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	// Another node opens the doors.
	if _, _, err := s.store.Update(t.Context(), id, func(sp space.Space) (space.Space, error) { return sp.Open(s.clock.Now()) }); err != nil {
		t.Fatal(err)
	}
	if sp, err := s.Get(t.Context(), id); err != nil || sp.Phase != space.Scheduled {
		t.Errorf("at once: %s, %v; want what was read", sp.Phase, err)
	}
	s.clock.pass(time.Second)
	if sp, err := s.Get(t.Context(), id); err != nil || sp.Phase != space.Open {
		t.Errorf("a second later: %s, %v; want open", sp.Phase, err)
	}
	_, err := s.Get(t.Context(), "nowhere")
	wantKind(t, err, space.NotFound)
}

func TestNewRefusesHalfADesk(t *testing.T) {
	s := newSet(t)
	minter, _ := token.New(make([]byte, token.SecretSize), nil)
	for name, o := range map[string]desk.Options{
		"nothing":  {},
		"no owner": {Store: s.store, Stage: s.stage, Tokens: minter},
	} {
		if _, err := desk.New(o); err == nil {
			t.Errorf("%s: a desk was made", name)
		}
	}
}
