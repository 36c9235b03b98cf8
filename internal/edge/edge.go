// Package edge is how one server becomes many: nodes that serve listeners without a
// stage, a store or an archive of their own.
//
// The core, where the stage is, runs a Core. An edge runs an Edge, which learns from
// the core by the bus which spaces there are, checks every block against the signed
// log, and says once a second that it is there:
//
//	edge -> hustings.edge.{name}   a Beat: who, where, how many listeners, how loaded
//	core -> hustings.edges         the signed list of all who serve listeners
//	core -> hustings.space.{id}    a space, whenever it changes
//	edge -> hustings.ask.core      whose programme it is: the key of its log, its address
//	edge -> hustings.ask.spaces    all spaces, page by page
//
// Whoever is in the list is told to the audience, in each page and in the pulse.
// Membership is by these beats and nothing else: an edge that is silent for three
// seconds is out of the list, whatever else is known of it, and an edge that is lost
// costs its listeners one connection, which their pages make elsewhere by
// themselves. Nothing has to agree with anything, so nothing that could be without a
// quorum is in the way of a listener.
//
// Files: core.go and members.go are the core's side; join.go, directory.go, check.go
// and reader.go that of an edge.
package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// Subjects on the bus.
const (
	beatSubject     = "hustings.edge."  // the edge's name follows
	spaceSubject    = "hustings.space." // the space's id follows
	listSubject     = "hustings.edges"
	coreSubject     = "hustings.ask.core"
	spacesSubject   = "hustings.ask.spaces"
	blocksSubject   = "hustings.blocks."   // the space's id follows
	snapshotSubject = "hustings.snapshot." // the space's id follows
)

const (
	beatEvery   = time.Second
	silentAfter = 3 * time.Second // three beats
	askWithin   = 2 * time.Second // for an answer
)

// Beat is what an edge says of itself.
type Beat struct {
	Name      string  `json:"name"`
	URL       string  `json:"url"`    // where people reach it: scheme and host
	Weight    int     `json:"weight"` // its share of the listeners, before load
	Listeners int     `json:"listeners"`
	Load      float64 `json:"load"` // share of its time in which it works, 0 to 1
	Version   string  `json:"version,omitempty"`
	Bye       bool    `json:"bye,omitempty"` // it takes no more listeners
}

// maxBeat bounds what an edge says: the core keeps the last that it said.
const maxBeat = 4096

// ErrBeat says that a message is not the word of an edge.
var ErrBeat = errors.New("not the word of an edge")

// ParseBeat reads what came on the subject.
//
// Errors: ErrBeat.
func ParseBeat(subject string, data []byte) (Beat, error) {
	var b Beat
	if len(data) > maxBeat {
		return Beat{}, fmt.Errorf("%w: %.80q says %d bytes", ErrBeat, subject, len(data))
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return Beat{}, fmt.Errorf("%w: %w", ErrBeat, err)
	}
	address := programme.Edge{URL: b.URL, Weight: b.Weight}
	switch {
	case !space.ID(b.Name).Valid() || strings.TrimPrefix(subject, beatSubject) != b.Name:
		return Beat{}, fmt.Errorf("%w: %.80q names itself %.80q", ErrBeat, subject, b.Name)
	case !address.Valid():
		return Beat{}, fmt.Errorf("%w: %s says it is at %.100q with weight %d", ErrBeat, b.Name, b.URL, b.Weight)
	case b.Listeners < 0 || b.Listeners > math.MaxInt32 || math.IsNaN(b.Load):
		return Beat{}, fmt.Errorf("%w: %s has %d listeners and load %v", ErrBeat, b.Name, b.Listeners, b.Load)
	}
	b.Load = min(max(b.Load, 0), 1)
	return b, nil
}

// identity is the core's answer to who it is.
type identity struct {
	Key     string `json:"key"`           // verifier key of its log
	URL     string `json:"url,omitempty"` // where people reach it; "" if it does not know
	Version string `json:"version,omitempty"`
}

// spacesRequest asks for the page of spaces after one; "" is the first.
type spacesRequest struct {
	After space.ID `json:"after,omitempty"`
}

type spacesAnswer struct {
	Spaces []json.RawMessage `json:"spaces"`         // each a told
	Next   space.ID          `json:"next,omitempty"` // to ask with for the next page; "" at the end
}

// told is a space as the bus carries it.
type told struct {
	ID          space.ID    `json:"id"`
	Title       string      `json:"title"`
	Description string      `json:"description,omitempty"`
	Phase       space.Phase `json:"phase"`
	Stereo      bool        `json:"stereo,omitempty"`
	Created     time.Time   `json:"created"`
	StartsAt    *time.Time  `json:"starts_at,omitempty"`
	OpenedAt    *time.Time  `json:"opened_at,omitempty"`
	StartedAt   *time.Time  `json:"started_at,omitempty"`
	EndedAt     *time.Time  `json:"ended_at,omitempty"`
	Rescheduled bool        `json:"rescheduled,omitempty"`
}

func tell(sp space.Space) told { return told(sp) }

// space returns the space that was told of; false if it is none.
func (t told) space() (space.Space, bool) {
	switch t.Phase {
	case space.Scheduled, space.Open, space.Live, space.Ended, space.Cancelled:
		return space.Space(t), t.ID.Valid() && (t.Phase != space.Ended || t.EndedAt != nil)
	}
	return space.Space{}, false
}
