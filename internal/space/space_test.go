package space_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"hustings/internal/space"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// in returns a space in the given phase.
func in(t interface{ Fatal(...any) }, phase space.Phase) space.Space {
	sp, err := space.New("debate", space.Draft{Title: "Debate", StartsAt: ptr(noon.Add(time.Hour))}, noon)
	if err == nil && (phase == space.Open || phase == space.Ended) {
		sp, err = sp.Open(noon)
	}
	if err == nil && phase == space.Live {
		sp, err = sp.Start(noon)
	}
	if err == nil && phase == space.Ended {
		sp, err = sp.End(noon)
	}
	if err == nil && phase == space.Cancelled {
		sp, err = sp.Cancel(noon)
	}
	if err != nil || sp.Phase != phase {
		t.Fatal("no space in phase", phase, sp, err)
	}
	return sp
}

var verbs = map[string]func(space.Space) (space.Space, error){
	"open":   func(s space.Space) (space.Space, error) { return s.Open(noon) },
	"start":  func(s space.Space) (space.Space, error) { return s.Start(noon) },
	"end":    func(s space.Space) (space.Space, error) { return s.End(noon) },
	"cancel": func(s space.Space) (space.Space, error) { return s.Cancel(noon) },
	"move":   func(s space.Space) (space.Space, error) { return s.Edit(space.Change{StartsAt: ptr(noon)}) },
	"rename": func(s space.Space) (space.Space, error) { return s.Edit(space.Change{Title: ptr("Another")}) },
}

// TestPhases holds the whole table: what each verb makes of each phase. "" is a refusal.
func TestPhases(t *testing.T) {
	table := []struct {
		from                                  space.Phase
		open, start, end, cancel, move, named space.Phase
	}{
		{space.Scheduled, space.Open, space.Live, "", space.Cancelled, space.Scheduled, space.Scheduled},
		{space.Open, "", space.Live, space.Ended, space.Cancelled, space.Open, space.Open},
		{space.Live, "", "", space.Ended, "", "", space.Live},
		{space.Ended, "", "", "", "", "", space.Ended},
		{space.Cancelled, "", "", "", "", "", space.Cancelled},
	}
	for _, row := range table {
		for verb, want := range map[string]space.Phase{
			"open": row.open, "start": row.start, "end": row.end, "cancel": row.cancel, "move": row.move, "rename": row.named,
		} {
			before := in(t, row.from)
			after, err := verbs[verb](before)
			switch {
			case want == "" && space.KindOf(err) != space.Conflict:
				t.Errorf("%s when %s: %v; want a conflict", verb, row.from, err)
			case want == "" && !cmp.Equal(after, before):
				t.Errorf("%s when %s was refused, but changed the space", verb, row.from)
			case want != "" && (err != nil || after.Phase != want):
				t.Errorf("%s when %s: %s, %v; want %s", verb, row.from, after.Phase, err, want)
			}
		}
	}
}

func TestStartFromScheduledOpensFirst(t *testing.T) {
	sp, err := in(t, space.Scheduled).Start(noon.Add(time.Minute))
	if err != nil || sp.OpenedAt == nil || !sp.OpenedAt.Equal(*sp.StartedAt) {
		t.Errorf("%+v, %v; want doors opened at the start", sp, err)
	}
}

func TestRescheduled(t *testing.T) {
	sp, _ := space.New("debate", space.Draft{Title: "Debate"}, noon)
	steps := []struct {
		to   time.Time
		want bool
	}{
		{noon, false}, // the first time that is told is no rescheduling
		{noon.In(time.FixedZone("JST", 9*3600)), false},
		{noon.Add(time.Hour), true},
		{noon, true}, // and back: people were told another time meanwhile
	}
	for i, step := range steps {
		var err error
		if sp, err = sp.Edit(space.Change{StartsAt: &step.to}); err != nil || sp.Rescheduled != step.want {
			t.Errorf("step %d: rescheduled %v, %v; want %v", i, sp.Rescheduled, err, step.want)
		}
		if sp.StartsAt.Location() != time.UTC {
			t.Errorf("step %d: not UTC", i)
		}
	}
}

func TestTexts(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ü", n) }
	for _, c := range []struct {
		title, description string
		want               string // of the title; "" is a refusal
	}{
		{" The \n\t debate ", "", "The debate"},
		{"", "", ""},
		{"a\x00b\u200fc\xff\u0085 \x1b[31m", "", "ab\u200fc [31m"},
		{"\x00", "", ""},
		{"x", "two\r\nlines", "x"},
		{" \n", "", ""},
		{long(space.MaxTitle), "", long(space.MaxTitle)},
		{long(space.MaxTitle + 1), "", ""},
		{"x", long(space.MaxDescription), "x"},
		{"x", long(space.MaxDescription + 1), ""},
	} {
		sp, err := space.New("x", space.Draft{Title: c.title, Description: c.description}, noon)
		if (c.want == "") != (space.KindOf(err) == space.Invalid) || sp.Title != c.want {
			t.Errorf("New(%.20q, %.20q) = %.20q, %v; want %.20q", c.title, c.description, sp.Title, err, c.want)
		}
	}
	if name, err := space.CleanName("  Ana \t O'Neil "); name != "Ana O'Neil" || err != nil {
		t.Errorf("CleanName: %q, %v", name, err)
	}
	for _, name := range []string{"", " ", long(space.MaxName + 1)} {
		if _, err := space.CleanName(name); space.KindOf(err) != space.Invalid {
			t.Errorf("CleanName(%.10q): %v; want invalid", name, err)
		}
	}
}

// TestAnyLife drives a space through any sequence of verbs and holds what is so
// in every phase.
func TestAnyLife(t *testing.T) {
	order := map[space.Phase]int{space.Scheduled: 0, space.Open: 1, space.Live: 2, space.Ended: 3, space.Cancelled: 3}
	names := []string{"open", "start", "end", "cancel", "move", "rename"}
	rapid.Check(t, func(t *rapid.T) {
		sp := in(t, space.Scheduled)
		for _, verb := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 8).Draw(t, "verbs") {
			before := sp
			after, err := verbs[verb](sp)
			if err != nil {
				if !cmp.Equal(after, before) {
					t.Fatalf("%s was refused, but changed %+v to %+v", verb, before, after)
				}
				continue
			}
			sp = after
			if order[sp.Phase] < order[before.Phase] {
				t.Fatalf("%s led back from %s to %s", verb, before.Phase, sp.Phase)
			}
		}
		over, opened := sp.Phase.Over(), sp.OpenedAt != nil
		if over != (sp.EndedAt != nil) || sp.Phase.OnAir() && !opened || sp.Phase == space.Ended && !opened {
			t.Fatalf("times don't fit the phase: %+v", sp)
		}
		if (sp.Phase == space.Live) && sp.StartedAt == nil || sp.Phase == space.Cancelled && sp.StartedAt != nil {
			t.Fatalf("start doesn't fit the phase: %+v", sp)
		}
	})
}

func TestRoles(t *testing.T) {
	for role, moderates := range map[space.Role]bool{space.Host: true, space.Cohost: true, space.Speaker: false, space.Caller: false} {
		if !role.Valid() || role.Moderates() != moderates {
			t.Errorf("%s: valid %v, moderates %v", role, role.Valid(), role.Moderates())
		}
	}
	if space.Role("owner").Valid() || space.Role("").Valid() {
		t.Error("a role that no invite gives is valid")
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("outside: %w", space.Errorf(space.Gone, "it is over: %w", io.EOF))
	if space.KindOf(err) != space.Gone || !errors.Is(err, io.EOF) {
		t.Errorf("%v: kind %q, is EOF %v", err, space.KindOf(err), errors.Is(err, io.EOF))
	}
	if space.KindOf(nil) != "" || space.KindOf(io.EOF) != space.Internal {
		t.Errorf("kinds of nil and EOF: %q, %q", space.KindOf(nil), space.KindOf(io.EOF))
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "debate-2": true, strings.Repeat("x", 64): true,
		"": false, "A": false, "a b": false, "a.b": false, "a/b": false, "ä": false, "a\x00": false, strings.Repeat("x", 65): false,
	} {
		if space.ID(name).Valid() != want || space.SeatID(name).Valid() != want {
			t.Errorf("%q: valid as a space %v, as a seat %v", name, space.ID(name).Valid(), space.SeatID(name).Valid())
		}
	}
}

// JSON has no year above 9999: a space with such a start could not be shown, nor
// any list that it is in.
func TestAStartIsATimeThatCanBeTold(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	sp, err := space.New("debate", space.Draft{Title: "Debate"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{
		"2026-05-02T20:00:00Z":      true,
		"2026-04-30T20:00:00+02:00": true, // late is late
		"9999-12-31T23:59:59Z":      true,
		"9999-12-31T23:59:59-23:59": false,
		"0000-01-01T00:00:00+23:00": false,
		"0001-01-01T00:00:00Z":      false,
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		_, announced := space.New("debate", space.Draft{Title: "Debate", StartsAt: &at}, now)
		_, moved := sp.Edit(space.Change{StartsAt: &at})
		for how, err := range map[string]error{"announced": announced, "moved": moved} {
			if good != (err == nil) || !good && space.KindOf(err) != space.Invalid {
				t.Errorf("%s for %s: %v", how, text, err)
			}
		}
	}
}

func TestATextHasSomethingToSee(t *testing.T) {
	for _, text := range []string{"\u200b", "\u202e \u2060", " \u00ad "} {
		if _, err := space.CleanName(text); space.KindOf(err) != space.Invalid {
			t.Errorf("name %q: %v", text, err)
		}
		if _, err := space.New("debate", space.Draft{Title: text}, time.Now()); space.KindOf(err) != space.Invalid {
			t.Errorf("title %q: %v", text, err)
		}
	}
	if name, err := space.CleanName("Zo\u00eb \U0001f399\ufe0f"); err != nil || name != "Zo\u00eb \U0001f399\ufe0f" {
		t.Errorf("%q, %v", name, err)
	}
}
