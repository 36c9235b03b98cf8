package desk

import (
	"strings"

	"hustings/internal/space"
	"hustings/internal/stage"
)

// NotReady refuses a start: these points of the checklist are open. It is a
// space.Error of kind Conflict.
type NotReady struct {
	Points []string // each a sentence without the full stop that says what to do
}

// Error tells all points and the way around them.
func (e *NotReady) Error() string {
	return "not ready to start: " + strings.Join(e.Points, "; ") + `; or start anyway with {"anyway": true}`
}

// Unwrap gives the kind and the detail.
func (e *NotReady) Unwrap() error { return space.Errorf(space.Conflict, "%s", e.Error()) }

// checklist tells what speaks against going live: an audience that hears nothing
// leaves, and thinks that it is their own fault.
func checklist(s stage.State) []string {
	connected, muted := 0, 0
	for _, seat := range s.Seats {
		if seat.Connected {
			connected++
			if seat.Muted {
				muted++
			}
		}
	}
	switch {
	case connected == 0:
		return []string{"nobody is on stage: open a studio link and join with a microphone"}
	case muted == connected:
		return []string{"everyone on stage is muted: whoever speaks first should unmute"}
	case len(s.Heard) == 0:
		return []string{"no microphone was heard yet: say a few words and watch the level"}
	default:
		return nil
	}
}
