// Package space is the vocabulary of Hustings: the words of the field as types,
// and its rules as pure functions.
//
// Every other room speaks these words, so this one imports the standard library
// alone and holds no state. A Space is one event. It goes through its phases in
// one direction:
//
//	scheduled -> open -> live -> ended
//	    \          \
//	     cancelled  cancelled
//
// A rule takes the space as it is and returns the space as it will be, or an
// *Error that tells a person what to do instead. Storing the result is up to the
// caller.
package space

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ID names a space in links and on the bus: 1 to 64 characters of a-z, 0-9 and "-".
type ID string

// maxID is the longest name of a space or a seat, in characters.
const maxID = 64

// Valid reports whether id could name a space. What is not valid names none.
func (id ID) Valid() bool { return validName(string(id)) }

func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= maxID
}

// Phase is where a space stands between its announcement and its recording.
type Phase string

// The phases, in order.
const (
	Scheduled Phase = "scheduled" // announced; nothing can be heard
	Open      Phase = "open"      // doors open: the stage sound-checks, the audience hears hold audio
	Live      Phase = "live"      // the stage is heard by the audience
	Ended     Phase = "ended"     // the recording is up
	Cancelled Phase = "cancelled" // it will not take place
)

// OnAir reports whether the programme runs in this phase.
func (p Phase) OnAir() bool { return p == Open || p == Live }

// Over reports whether nothing more will be broadcast.
func (p Phase) Over() bool { return p == Ended || p == Cancelled }

// Role is what a seat on the stage may do.
type Role string

// The roles that an invite can give.
const (
	Host    Role = "host"    // speaks, mutes and removes others, opens, starts and ends
	Cohost  Role = "cohost"  // as the host, but may not end or cancel
	Speaker Role = "speaker" // speaks, mutes oneself
	Caller  Role = "caller"  // speaks when called on
)

// Valid reports whether r is one of the roles above.
func (r Role) Valid() bool {
	return r == Host || r == Cohost || r == Speaker || r == Caller
}

// Moderates reports whether r may mute and remove others.
func (r Role) Moderates() bool { return r == Host || r == Cohost }

// Limits on what people may type, in characters.
const (
	MaxTitle       = 200
	MaxDescription = 5000
	MaxName        = 80
	MaxSeats       = 13 // seats on a stage
)

// Space is one event. Times are UTC; a nil time has not come yet.
type Space struct {
	ID          ID
	Title       string
	Description string
	Phase       Phase
	Stereo      bool       // programme in 96 kb/s stereo at the top rung instead of 48 kb/s mono
	Created     time.Time  // when it was announced
	StartsAt    *time.Time // announced start, if any
	OpenedAt    *time.Time // doors open: sample 0 of the programme
	StartedAt   *time.Time // the stage went on air
	EndedAt     *time.Time // ended or cancelled
	Rescheduled bool       // StartsAt was changed after the announcement
}

// Draft is what a person gives to announce a space.
type Draft struct {
	Title       string
	Description string
	StartsAt    *time.Time
	Stereo      bool
}

// New announces a space under the given id.
//
// Errors: Invalid, if the title is missing, a text is too long or the start is no
// date.
func New(id ID, d Draft, now time.Time) (Space, error) {
	s := Space{ID: id, Phase: Scheduled, Created: now.UTC(), Stereo: d.Stereo}
	var err error
	if s.StartsAt, err = cleanStart(d.StartsAt); err != nil {
		return Space{}, err
	}
	if s.Title, err = cleanTitle(d.Title); err != nil {
		return Space{}, err
	}
	if s.Description, err = cleanDescription(d.Description); err != nil {
		return Space{}, err
	}
	return s, nil
}

// Change is a partial edit: nil leaves a field as it is.
type Change struct {
	Title       *string
	Description *string
	StartsAt    *time.Time
}

// Edit renames or reschedules. A space that is over can be renamed but not
// rescheduled; one that is live can't be rescheduled either.
//
// Errors: Invalid for a bad text or date, Conflict for a start that can't be moved any more.
func (s Space) Edit(c Change) (Space, error) {
	var err error
	if c.Title != nil {
		if s.Title, err = cleanTitle(*c.Title); err != nil {
			return s, err
		}
	}
	if c.Description != nil {
		if s.Description, err = cleanDescription(*c.Description); err != nil {
			return s, err
		}
	}
	if c.StartsAt == nil {
		return s, nil
	}
	if s.Phase != Scheduled && s.Phase != Open {
		return s, Errorf(Conflict, "the start of a space that is %s can't be moved; announce a new space instead", s.Phase)
	}
	start, err := cleanStart(c.StartsAt)
	if err != nil {
		return s, err
	}
	if s.StartsAt != nil && !s.StartsAt.Equal(*start) {
		s.Rescheduled = true
	}
	s.StartsAt = start
	return s, nil
}

// Open opens the doors: the programme begins, with hold audio.
//
// Errors: Conflict, unless the space is scheduled.
func (s Space) Open(now time.Time) (Space, error) {
	if s.Phase != Scheduled {
		return s, s.refuse("opened")
	}
	s.Phase, s.OpenedAt = Open, at(now)
	return s, nil
}

// Start puts the stage on air. A space that is still scheduled is opened first.
//
// Errors: Conflict, if the space is live or over.
func (s Space) Start(now time.Time) (Space, error) {
	if s.Phase == Scheduled {
		s.OpenedAt = at(now)
	} else if s.Phase != Open {
		return s, s.refuse("started")
	}
	s.Phase, s.StartedAt = Live, at(now)
	return s, nil
}

// End ends the programme; the recording takes its place.
//
// Errors: Conflict, unless the space is open or live.
func (s Space) End(now time.Time) (Space, error) {
	if !s.Phase.OnAir() {
		return s, s.refuse("ended")
	}
	s.Phase, s.EndedAt = Ended, at(now)
	return s, nil
}

// Cancel calls the space off before it was live.
//
// Errors: Conflict, if the space is live (end it instead) or over.
func (s Space) Cancel(now time.Time) (Space, error) {
	if s.Phase == Live {
		return s, Errorf(Conflict, "the space is live: end it instead, and its recording is kept")
	}
	if s.Phase.Over() {
		return s, s.refuse("cancelled")
	}
	s.Phase, s.EndedAt = Cancelled, at(now)
	return s, nil
}

func (s Space) refuse(verb string) error {
	next := map[Phase]string{
		Scheduled: "open or start it first",
		Open:      "its doors are open already; start it when the stage is ready",
		Live:      "it is on air; end it when the last word is said",
		Ended:     "its recording is up; announce a new space for the next event",
		Cancelled: "announce a new space instead",
	}[s.Phase]
	return Errorf(Conflict, "a space that is %s can't be %s: %s", s.Phase, verb, next)
}

// CleanName checks a person's name as others will see it.
//
// Errors: Invalid, if it is empty or longer than MaxName characters.
func CleanName(name string) (string, error) {
	name = strings.Join(strings.Fields(readable(name)), " ")
	if !visible(name) {
		return "", Errorf(Invalid, "a name is required: it is what the audience sees when this person speaks")
	}
	if n := utf8.RuneCountInString(name); n > MaxName {
		return "", Errorf(Invalid, "the name has %d characters; use at most %d", n, MaxName)
	}
	return name, nil
}

func cleanTitle(title string) (string, error) {
	title = strings.Join(strings.Fields(readable(title)), " ")
	if !visible(title) {
		return "", Errorf(Invalid, "a title is required: it is what people see before they listen")
	}
	if n := utf8.RuneCountInString(title); n > MaxTitle {
		return "", Errorf(Invalid, "the title has %d characters; use at most %d", n, MaxTitle)
	}
	return title, nil
}

func cleanDescription(text string) (string, error) {
	text = strings.TrimSpace(readable(text))
	if n := utf8.RuneCountInString(text); n > MaxDescription {
		return "", Errorf(Invalid, "the description has %d characters; use at most %d", n, MaxDescription)
	}
	return text, nil
}

// visible reports whether there is anything to see in a text.
func visible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) })
}

// readable drops what nobody can read: control characters, but for line ends and
// tabs, and bytes that are no UTF-8. A database may refuse them.
func readable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

func at(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}

// cleanStart checks an announced start. What JSON has no year for (RFC 3339) could
// not be told to anyone.
func cleanStart(t *time.Time) (*time.Time, error) {
	if t == nil {
		return nil, nil
	}
	start := at(*t)
	if year := start.Year(); year < 1970 || year > 9999 {
		return nil, Errorf(Invalid, "a start in the year %d can't be told; give a date from 1970 to 9999", year)
	}
	return start, nil
}
