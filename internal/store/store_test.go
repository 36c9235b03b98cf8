package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hustings/internal/space"
	"hustings/internal/store"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	conformance(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "what? 100% #1.db") })
}

func TestPostgreSQL(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL server")
	}
	server := startPostgres(t)
	conformance(t, server.database)
}

// conformance holds what every database must do. database names a fresh one.
func conformance(t *testing.T, database func(*testing.T) string) {
	for name, test := range map[string]func(*testing.T, *store.Store){
		"a space comes back as it was":     testRoundTrip,
		"an id is taken once":              testTaken,
		"what is absent is not found":      testAbsent,
		"a refused change changes nothing": testRefused,
		"changes at once all count":        testConcurrent,
		"lists have what is to come first": testList,
		"unsettled until settled":          testSettle,
		"invites":                          testInvites,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t, database(t))) })
	}
	t.Run("what was kept is there when opened again", func(t *testing.T) { testReopen(t, database(t)) })
}

func announce(t *testing.T, s *store.Store, id space.ID, created time.Time) space.Space {
	t.Helper()
	sp, err := space.New(id, space.Draft{Title: "Space " + string(id)}, created)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), sp); err != nil {
		t.Fatal(err)
	}
	return sp
}

func wantKind(t *testing.T, err error, kind space.Kind) {
	t.Helper()
	if space.KindOf(err) != kind {
		t.Errorf("error %v is %q; want %q", err, space.KindOf(err), kind)
	}
}

func testRoundTrip(t *testing.T, s *store.Store) {
	tokyo := time.FixedZone("JST", 9*3600)
	starts := noon.Add(time.Hour).In(tokyo)
	full, err := space.New("full", space.Draft{
		Title: `Ünïcode "quotes" 'single' ?0 \ % 💬`, Description: "two\nlines", StartsAt: &starts, Stereo: true,
	}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, sp := range []space.Space{full, announce(t, s, "bare", noon)} {
		if sp.ID == "full" {
			if err := s.Add(t.Context(), sp); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Get(t.Context(), sp.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sp, got); diff != "" {
			t.Errorf("kept and came back (-kept +got):\n%s", diff)
		}
	}
	rules := []func(space.Space) (space.Space, error){
		func(sp space.Space) (space.Space, error) { return sp.Open(noon.Add(time.Minute)) },
		func(sp space.Space) (space.Space, error) { return sp.Start(noon.Add(time.Hour)) },
		func(sp space.Space) (space.Space, error) { return sp.End(noon.Add(2 * time.Hour)) },
	}
	last := full
	for i, rule := range rules {
		before, after, err := s.Update(t.Context(), "full", rule)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := rule(last)
		got, _ := s.Get(t.Context(), "full")
		if !cmp.Equal(before, last) || !cmp.Equal(after, want) || !cmp.Equal(got, want) {
			t.Errorf("rule %d:\n%s", i, cmp.Diff([]space.Space{last, want, want}, []space.Space{before, after, got}))
		}
		last = after
	}
}

func testTaken(t *testing.T, s *store.Store) {
	first := announce(t, s, "debate", noon)
	second := first
	second.Title = "Another"
	wantKind(t, s.Add(t.Context(), second), space.Conflict)
	if got, err := s.Get(t.Context(), "debate"); err != nil || got.Title != first.Title {
		t.Errorf("after that: %+v, %v", got, err)
	}
}

func testAbsent(t *testing.T, s *store.Store) {
	_, err := s.Get(t.Context(), "nowhere")
	wantKind(t, err, space.NotFound)
	_, _, err = s.Update(t.Context(), "nowhere", func(sp space.Space) (space.Space, error) {
		t.Error("the rule was applied")
		return sp, nil
	})
	wantKind(t, err, space.NotFound)
	_, err = s.Invite(t.Context(), "nowhere", "q4")
	wantKind(t, err, space.NotFound)
	wantKind(t, s.Revoke(t.Context(), "nowhere", "q4"), space.NotFound)
	_, _, err = s.List(t.Context(), "nowhere", 10)
	wantKind(t, err, space.NotFound)
	// What can't be a name must not reach a database, which may choke on it.
	for _, odd := range []string{"\x00", "\xff", "A", "x'y", strings.Repeat("x", 65)} {
		id, seat := space.ID(odd), space.SeatID(odd)
		_, err := s.Get(t.Context(), id)
		wantKind(t, err, space.NotFound)
		_, _, err = s.Update(t.Context(), id, func(sp space.Space) (space.Space, error) { return sp, nil })
		wantKind(t, err, space.NotFound)
		_, err = s.Invite(t.Context(), "debate", seat)
		wantKind(t, err, space.NotFound)
		wantKind(t, s.Revoke(t.Context(), "debate", seat), space.NotFound)
		_, err = s.Invites(t.Context(), id)
		wantKind(t, err, space.NotFound)
		_, _, err = s.List(t.Context(), id, 10)
		wantKind(t, err, space.NotFound)
	}
	if err := s.AddInvite(t.Context(), space.Invite{Space: "nowhere", Seat: "q4", Role: space.Host, Name: "Ana"}); err == nil {
		t.Error("an invite to no space was kept")
	}
}

func testRefused(t *testing.T, s *store.Store) {
	sp := announce(t, s, "debate", noon)
	no := errors.New("not today")
	_, _, err := s.Update(t.Context(), "debate", func(sp space.Space) (space.Space, error) {
		sp.Title = "changed"
		return sp, no
	})
	if !errors.Is(err, no) {
		t.Errorf("error %v; want that of the rule", err)
	}
	if got, err := s.Get(t.Context(), "debate"); err != nil || !cmp.Equal(got, sp) {
		t.Errorf("after that: %+v, %v", got, err)
	}
}

// testConcurrent lets many append to one text at once: a lost update would show
// as a missing letter.
func testConcurrent(t *testing.T, s *store.Store) {
	announce(t, s, "debate", noon)
	const n = 20
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			_, _, err := s.Update(t.Context(), "debate", func(sp space.Space) (space.Space, error) {
				sp.Description += "x"
				return sp, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			if _, err := s.Get(t.Context(), "debate"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got, err := s.Get(t.Context(), "debate"); err != nil || got.Description != strings.Repeat("x", n) {
		t.Errorf("%q, %v; want %d letters", got.Description, err, n)
	}
}

func testList(t *testing.T, s *store.Store) {
	for i, id := range []space.ID{"a", "b", "c", "d", "e"} {
		announce(t, s, id, noon.Add(time.Duration(min(i, 3))*time.Minute)) // d and e at once
	}
	for _, id := range []space.ID{"b", "d"} {
		_, _, err := s.Update(t.Context(), id, func(sp space.Space) (space.Space, error) { return sp.Cancel(noon) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for size := 1; size <= 6; size++ {
		var all []string
		for after, more := space.ID(""), true; more; more = after != "" {
			page, next, err := s.List(t.Context(), after, size)
			if err != nil || len(page) > size {
				t.Fatalf("%d spaces, %v", len(page), err)
			}
			for _, sp := range page {
				all = append(all, string(sp.ID))
			}
			after = next
		}
		if got := strings.Join(all, ""); got != "ecadb" {
			t.Errorf("by pages of %d: %s; want ecadb", size, got)
		}
	}
}

func testSettle(t *testing.T, s *store.Store) {
	unsettled := func() string {
		t.Helper()
		list, err := s.Unsettled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, sp := range list {
			text += fmt.Sprintf("%s:%s ", sp.ID, sp.Phase)
		}
		return text
	}
	announce(t, s, "a", noon)
	announce(t, s, "b", noon)
	if _, _, err := s.Update(t.Context(), "a", func(sp space.Space) (space.Space, error) { return sp.Cancel(noon) }); err != nil {
		t.Fatal(err)
	}
	if got := unsettled(); got != "a:cancelled b:scheduled " {
		t.Errorf("before: %s", got)
	}
	for _, id := range []space.ID{"a", "b", "nowhere"} { // b is not over: it can't be settled
		if err := s.Settle(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if got := unsettled(); got != "b:scheduled " {
		t.Errorf("after: %s", got)
	}
	_, _, err := s.Update(t.Context(), "a", func(sp space.Space) (space.Space, error) { sp.Title = "renamed"; return sp, nil })
	if got := unsettled(); err != nil || got != "b:scheduled " {
		t.Errorf("after a rename: %s, %v", got, err)
	}
}

func testInvites(t *testing.T, s *store.Store) {
	announce(t, s, "debate", noon)
	announce(t, s, "other", noon)
	ana := space.Invite{Space: "debate", Seat: "q4", Role: space.Host, Name: "Ana O'Neil", Created: noon}
	bo := space.Invite{Space: "debate", Seat: "a2", Role: space.Speaker, Name: "Bo", Created: noon.Add(time.Second)}
	else1 := space.Invite{Space: "other", Seat: "q4", Role: space.Speaker, Name: "Else", Created: noon}
	for _, in := range []space.Invite{bo, ana, else1} {
		if err := s.AddInvite(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, s.AddInvite(t.Context(), space.Invite{Space: "debate", Seat: "q4", Role: space.Host, Name: "Thief"}), space.Conflict)
	list, err := s.Invites(t.Context(), "debate")
	if diff := cmp.Diff([]space.Invite{ana, bo}, list); diff != "" || err != nil {
		t.Errorf("list, %v:\n%s", err, diff)
	}
	for range 2 { // again changes nothing
		if err := s.Revoke(t.Context(), "debate", "q4"); err != nil {
			t.Fatal(err)
		}
	}
	ana.Revoked = true
	got, err := s.Invite(t.Context(), "debate", "q4")
	if diff := cmp.Diff(ana, got); diff != "" || err != nil {
		t.Errorf("revoked, %v:\n%s", err, diff)
	}
	if list, err = s.Invites(t.Context(), "debate"); err != nil || len(list) != 1 || list[0].Seat != "a2" {
		t.Errorf("list after that: %+v, %v", list, err)
	}
	if got, err := s.Invite(t.Context(), "other", "q4"); err != nil || got.Revoked {
		t.Errorf("the same seat elsewhere: %+v, %v", got, err)
	}
}

func testReopen(t *testing.T, dsn string) {
	first, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	sp := announce(t, first, "debate", noon)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dsn)
	if err := again.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	got, err := again.Get(t.Context(), "debate")
	if diff := cmp.Diff(sp, got); diff != "" || err != nil {
		t.Errorf("%v:\n%s", err, diff)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for dsn, want := range map[string]string{
		"":                            "give the path",
		"mysql://localhost/x":         "mysql:// is no database known here",
		"/nowhere/at/all/hustings.db": "unable to open database file",
		"postgres://u@127.0.0.1:1/x":  "127.0.0.1:1",
	} {
		s, err := store.Open(ctx, store.Options{DSN: dsn})
		if err == nil {
			t.Errorf("%s was opened", dsn)
			_ = s.Close()
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want it to say %q", dsn, err, want)
		}
	}
}
