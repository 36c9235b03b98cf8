package desk_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hustings/internal/desk"
	"hustings/internal/space"
	"hustings/internal/stage"
	"hustings/internal/store"
	"hustings/internal/token"

	"pgregory.net/rapid"
)

const ownerToken = "the-owners-token"

// fakeStage records what it is told.
type fakeStage struct {
	mu      sync.Mutex // guards all below
	put     []space.Space
	state   stage.State
	fail    error
	removed []space.SeatID
	by      space.Invite // of the last mute or removal
	muted   bool
	refuse  error // of mute and remove
}

func (f *fakeStage) Put(sp space.Space) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.put = append(f.put, sp)
	return nil
}

func (f *fakeStage) Stage(space.ID) stage.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *fakeStage) Mute(_ space.ID, by space.Invite, _ space.SeatID, muted bool) error {
	f.by, f.muted = by, muted
	return f.refuse
}

func (f *fakeStage) Remove(_ space.ID, by space.Invite, seat space.SeatID) error {
	f.removed, f.by = append(f.removed, seat), by
	return f.refuse
}

func (f *fakeStage) phases() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var told []string
	for _, sp := range f.put {
		told = append(told, string(sp.Phase))
	}
	return strings.Join(told, " ")
}

// fakeArchive records what it is asked for.
type fakeArchive struct {
	finished []space.ID
	fail     error
}

func (f *fakeArchive) Finished(_ context.Context, id space.ID) error {
	f.finished = append(f.finished, id)
	return f.fail
}

// set is a desk with what stands around it.
type set struct {
	*desk.Desk
	stage   *fakeStage
	archive *fakeArchive
	store   *store.Store
	clock   *clock
	changed []string // phase and title of each change that was told
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var owner = desk.Who{Owner: true}

func build(t testing.TB, dsn string) *set {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &set{stage: &fakeStage{}, archive: &fakeArchive{}, store: db, clock: &clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}}
	minter, err := token.New(make([]byte, token.SecretSize), s.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	s.Desk, err = desk.New(desk.Options{Store: db, Stage: s.stage, Archive: s.archive, Tokens: minter, OwnerToken: ownerToken, Now: s.clock.Now,
		Changed: func(sp space.Space) { s.changed = append(s.changed, string(sp.Phase)+" "+sp.Title) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSet(t testing.TB) *set { return build(t, filepath.Join(t.TempDir(), "test.db")) }

func (s *set) announce(t testing.TB) space.ID {
	t.Helper()
	sp, err := s.Create(t.Context(), owner, space.Draft{Title: "Debate"})
	if err != nil {
		t.Fatal(err)
	}
	return sp.ID
}

// guest makes an invite and returns who opens its token.
func (s *set) guest(t testing.TB, id space.ID, role space.Role) desk.Who {
	t.Helper()
	in, err := s.Invite(t.Context(), owner, id, role, "Ana")
	if err != nil {
		t.Fatal(err)
	}
	who, err := s.Identify(t.Context(), in.Token)
	if err != nil || who.Invite == nil || who.Invite.Role != role {
		t.Fatalf("identify a %s: %+v, %v", role, who, err)
	}
	return who
}

func wantKind(t testing.TB, err error, kind space.Kind) {
	t.Helper()
	if space.KindOf(err) != kind {
		t.Errorf("error %v is %q; want %q", err, space.KindOf(err), kind)
	}
}

// TestEveryChangeIsTold: one that was taken back, and one after the end, too.
func TestEveryChangeIsTold(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	s.stage.fail = errors.New("the stage stands still")
	if _, err := s.Open(t.Context(), owner, id); err == nil {
		t.Fatal("a stage that stands still was opened")
	}
	s.stage.fail = nil
	title := "Great debate"
	for _, step := range []func() (space.Space, error){
		func() (space.Space, error) { return s.Start(t.Context(), owner, id, true) },
		func() (space.Space, error) { return s.End(t.Context(), owner, id) },
		func() (space.Space, error) { return s.Edit(t.Context(), owner, id, space.Change{Title: &title}) },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"scheduled Debate", "open Debate", "scheduled Debate", "live Debate", "ended Debate", "ended Great debate"}
	if !slices.Equal(s.changed, want) {
		t.Errorf("told %q, want %q", s.changed, want)
	}
}

func TestLifeIsToldToTheStageInOrder(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	title := "Great debate"
	steps := []func() (space.Space, error){
		func() (space.Space, error) { return s.Open(t.Context(), owner, id) },
		func() (space.Space, error) { return s.Edit(t.Context(), owner, id, space.Change{Title: &title}) },
		func() (space.Space, error) { return s.Start(t.Context(), owner, id, true) },
		func() (space.Space, error) { return s.End(t.Context(), owner, id) },
	}
	for i, step := range steps {
		s.clock.pass(time.Minute)
		sp, err := step()
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if got, err := s.Get(t.Context(), id); err != nil || got.Phase != sp.Phase || got.Title != sp.Title {
			t.Errorf("step %d: Get shows %+v, %v; want %+v", i, got, err, sp)
		}
	}
	if got := s.stage.phases(); got != "scheduled open open live ended" {
		t.Errorf("the stage was told: %s", got)
	}
	sp, _ := s.Get(t.Context(), id)
	if !sp.OpenedAt.Equal(sp.Created.Add(time.Minute)) || !sp.EndedAt.Equal(sp.Created.Add(4*time.Minute)) {
		t.Errorf("times: %+v", sp)
	}
	// A rename after the end is kept, but the stage is gone.
	title = "As it was"
	if _, err := s.Edit(t.Context(), owner, id, space.Change{Title: &title}); err != nil {
		t.Fatal(err)
	}
	if got := s.stage.phases(); got != "scheduled open open live ended" {
		t.Errorf("after a rename the stage was told: %s", got)
	}
}

func TestRights(t *testing.T) {
	s := newSet(t)
	verbs := map[string]func(desk.Who, space.ID) error{
		"create": func(w desk.Who, _ space.ID) error {
			_, err := s.Create(t.Context(), w, space.Draft{Title: "x"})
			return err
		},
		"edit": func(w desk.Who, id space.ID) error {
			_, err := s.Edit(t.Context(), w, id, space.Change{})
			return err
		},
		"open":  func(w desk.Who, id space.ID) error { _, err := s.Open(t.Context(), w, id); return err },
		"start": func(w desk.Who, id space.ID) error { _, err := s.Start(t.Context(), w, id, true); return err },
		"end": func(w desk.Who, id space.ID) error {
			if _, err := s.Open(t.Context(), owner, id); err != nil {
				return err
			}
			_, err := s.End(t.Context(), w, id)
			return err
		},
		"cancel":  func(w desk.Who, id space.ID) error { _, err := s.Cancel(t.Context(), w, id); return err },
		"invites": func(w desk.Who, id space.ID) error { _, err := s.Invites(t.Context(), w, id); return err },
		"invite speaker": func(w desk.Who, id space.ID) error {
			_, err := s.Invite(t.Context(), w, id, space.Speaker, "Bo")
			return err
		},
		"invite host": func(w desk.Who, id space.ID) error {
			_, err := s.Invite(t.Context(), w, id, space.Host, "Bo")
			return err
		},
		"revoke speaker": func(w desk.Who, id space.ID) error {
			return s.Revoke(t.Context(), w, id, s.guest(t, id, space.Speaker).Invite.Seat)
		},
		"revoke host": func(w desk.Who, id space.ID) error {
			return s.Revoke(t.Context(), w, id, s.guest(t, id, space.Host).Invite.Seat)
		},
	}
	allowed := map[string]string{ // who else than the owner
		"create": "", "edit": "host cohost", "open": "host cohost", "start": "host cohost", "end": "host", "cancel": "host",
		"invites": "host cohost", "invite speaker": "host cohost", "invite host": "host",
		"revoke speaker": "host cohost", "revoke host": "host",
	}
	elsewhere := s.announce(t)
	for name, verb := range verbs {
		if err := verb(owner, s.announce(t)); err != nil {
			t.Errorf("owner: %s: %v", name, err)
		}
		wantKind(t, verb(desk.Who{}, s.announce(t)), space.Unauthorized)
		wantKind(t, verb(s.guest(t, elsewhere, space.Host), s.announce(t)), space.Forbidden)
		for _, role := range []space.Role{space.Host, space.Cohost, space.Speaker} {
			id := s.announce(t)
			err := verb(s.guest(t, id, role), id)
			if want := slices.Contains(strings.Fields(allowed[name]), string(role)); want != (err == nil) || !want && space.KindOf(err) != space.Forbidden {
				t.Errorf("%s: %s: %v; allowed should be %v", role, name, err, want)
			}
		}
	}
}

func TestChecklist(t *testing.T) {
	seat := func(connected, muted bool) space.Seat {
		return space.Seat{ID: "a2", Connected: connected, Muted: muted}
	}
	for name, c := range map[string]struct {
		state stage.State
		want  string // in the error; "" is a start
	}{
		"empty":          {stage.State{}, "nobody is on stage"},
		"all lost":       {stage.State{Seats: []space.Seat{seat(false, false)}}, "nobody is on stage"},
		"all muted":      {stage.State{Seats: []space.Seat{seat(true, true), seat(false, false)}, Heard: []space.SeatID{"a2"}}, "is muted"},
		"nothing heard":  {stage.State{Seats: []space.Seat{seat(true, false)}}, "no microphone was heard"},
		"ready to speak": {stage.State{Seats: []space.Seat{seat(true, false)}, Heard: []space.SeatID{"a2"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSet(t)
			id := s.announce(t)
			s.stage.state = c.state
			sp, err := s.Start(t.Context(), owner, id, false)
			var not *desk.NotReady
			if c.want == "" {
				if err != nil || sp.Phase != space.Live {
					t.Fatalf("%s, %v", sp.Phase, err)
				}
				return
			}
			if !errors.As(err, &not) || len(not.Points) != 1 || !strings.Contains(err.Error(), c.want) || space.KindOf(err) != space.Conflict {
				t.Errorf("error %v; want one that says %q", err, c.want)
			}
			if sp, err = s.Start(t.Context(), owner, id, true); err != nil || sp.Phase != space.Live {
				t.Errorf("anyway: %s, %v", sp.Phase, err)
			}
			// What the phase forbids is said first: a checklist would mislead.
			if _, err = s.Start(t.Context(), owner, id, false); errors.As(err, &not) || space.KindOf(err) != space.Conflict {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestStageThatDoesNotFollow(t *testing.T) {
	s := newSet(t)
	id := s.announce(t)
	s.stage.fail = errors.New("no disk")
	_, err := s.Open(t.Context(), owner, id)
	if space.KindOf(err) != space.Internal || !errors.Is(err, s.stage.fail) || strings.Contains(err.Error(), "disk") {
		t.Errorf("open: %v; want an internal error that keeps its cause to itself", err)
	}
	if sp, _ := s.Get(t.Context(), id); sp.Phase != space.Scheduled || sp.OpenedAt != nil {
		t.Errorf("after that: %+v; want it scheduled", sp)
	}
	if _, err := s.Create(t.Context(), owner, space.Draft{Title: "x"}); err != nil {
		t.Errorf("announcing needs no stage: %v", err)
	}
	s.stage.fail = nil
	if _, err := s.Open(t.Context(), owner, id); err != nil {
		t.Fatalf("open again: %v", err)
	}
	// What is over stays over, and is finished by the next start.
	s.stage.fail = errors.New("no disk")
	_, err = s.End(t.Context(), owner, id)
	wantKind(t, err, space.Internal)
	if sp, _ := s.Get(t.Context(), id); sp.Phase != space.Ended {
		t.Errorf("after the end: %s", sp.Phase)
	}
	s.stage.fail, s.archive.fail = nil, errors.New("no disk")
	if err := s.Recover(t.Context()); !errors.Is(err, s.archive.fail) {
		t.Errorf("a recording that can't be completed: %v", err)
	}
	s.archive.fail, s.archive.finished, s.stage.put = nil, nil, nil
	if err := s.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.archive.finished) != 1 || s.archive.finished[0] != id {
		t.Errorf("recordings completed: %v; want %s", s.archive.finished, id)
	}
	if got := s.stage.phases(); strings.Count(got, "ended") != 1 {
		t.Errorf("recovery told: %s; want one end", got)
	}
	if left, err := s.store.Unsettled(t.Context()); err != nil || len(left) != 1 || left[0].Phase != space.Scheduled {
		t.Errorf("unsettled: %+v, %v", left, err)
	}
}

func TestRecoverTellsWhatIsNotOver(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "test.db")
	s := build(t, dsn)
	var want []string
	for _, steps := range []string{"", "o", "os", "ose", "oc", "c"} {
		id := s.announce(t)
		for _, step := range steps {
			var err error
			switch step {
			case 'o':
				_, err = s.Open(t.Context(), owner, id)
			case 's':
				_, err = s.Start(t.Context(), owner, id, true)
			case 'e':
				_, err = s.End(t.Context(), owner, id)
			case 'c':
				_, err = s.Cancel(t.Context(), owner, id)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if sp, _ := s.Get(t.Context(), id); !sp.Phase.Over() {
			want = append(want, string(sp.Phase))
		}
	}
	again := build(t, dsn)
	if err := again.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(again.stage.phases())
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("told %v; want %v", got, want)
	}
	again.stage.fail = errors.New("no disk")
	if err := again.Recover(t.Context()); !errors.Is(err, again.stage.fail) {
		t.Errorf("a stage that fails: %v", err)
	}
}

// TestRaceToEnd lets verbs race on one space: the stage must be told phases in
// order, each once, and what it was told last must be what is kept.
func TestRaceToEnd(t *testing.T) {
	s := newSet(t)
	rapid.Check(t, func(rt *rapid.T) {
		s.stage.put = nil
		id := s.announce(t)
		verbs := rapid.SliceOfN(rapid.SampledFrom([]string{"open", "start", "end", "cancel", "edit"}), 2, 8).Draw(rt, "verbs")
		var wait sync.WaitGroup
		for _, verb := range verbs {
			wait.Go(func() {
				var err error
				switch verb {
				case "open":
					_, err = s.Open(t.Context(), owner, id)
				case "start":
					_, err = s.Start(t.Context(), owner, id, true)
				case "end":
					_, err = s.End(t.Context(), owner, id)
				case "cancel":
					_, err = s.Cancel(t.Context(), owner, id)
				case "edit":
					starts := s.clock.Now()
					_, err = s.Edit(t.Context(), owner, id, space.Change{StartsAt: &starts})
				}
				if err != nil && space.KindOf(err) != space.Conflict {
					t.Errorf("%s: %v", verb, err)
				}
			})
		}
		wait.Wait()
		order := map[space.Phase]int{space.Scheduled: 0, space.Open: 1, space.Live: 2, space.Ended: 3, space.Cancelled: 3}
		told := s.stage.put
		for i := 1; i < len(told); i++ {
			if order[told[i].Phase] < order[told[i-1].Phase] || told[i-1].Phase.Over() {
				rt.Fatalf("%v: the stage was told %s", verbs, s.stage.phases())
			}
		}
		kept, err := s.store.Get(t.Context(), id)
		if err != nil || kept.Phase != told[len(told)-1].Phase {
			rt.Fatalf("%v: kept %s, told %s, %v", verbs, kept.Phase, s.stage.phases(), err)
		}
	})
}
