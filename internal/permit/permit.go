// Package permit lets a crowd of simulated listeners in: for one space, so many of
// them, until a certain second, at the word of the owner.
//
// The core has an Office. It gives the permit out, counts what the servers do while
// the crowd is there, and signs what came of it:
//
//	office, err := permit.New(permit.Options{Signer: log, ...})
//	granted, err := office.Ask(ctx, id, 15000, 150*time.Second)
//	...
//	note, err := office.Report(id, granted.ID, figures)   // evidence that a host can publish
//	office.Capacity()                                     // what the deployment may announce
//
// Whoever serves listeners asks Check(id, permit) when one of the crowd joins: the
// office itself on the core, a Verifier on an edge. A permit is a note of
// golang.org/x/mod/sumdb/note, signed by the key of the programme's log and written
// in base64url, so that an edge needs no secret to check it:
//
//	hustings/permit
//	SPACE
//	REHEARSAL
//	LISTENERS
//	seconds of Unix time from which, and until which it holds
//
// Each node tells on the bus what it counts of the crowds that come to it (served.go),
// and the office adds that up.
//
// office.go holds the rehearsal that is on, report.go writes what is signed,
// capacity.go says whether it still holds, keep.go is its file.
package permit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"hustings/internal/space"
)

const (
	permitHead = "hustings/permit"
	// maxPermit bounds what is looked at, in characters.
	maxPermit = 1024
	// skew is how far the clocks of core and edges may be apart.
	skew = 5 * time.Second
	// most bounds the permits that a Verifier remembers.
	most = 16
)

// strict refuses the second spelling that unused trailing bits would give.
var strict = base64.RawURLEncoding.Strict()

// Signer signs notes.
type Signer interface {
	SignNote(text string) (string, error)
	Verifier() string // the key that they are checked with
}

// issue writes the permit of a rehearsal.
func issue(by Signer, r space.Rehearsal) (string, error) {
	text := fmt.Sprintf("%s\n%s\n%s\n%d\n%d\n%d\n", permitHead, r.Space, r.ID, r.Listeners, r.BeganAt.Unix(), r.ExpiresAt.Unix())
	signed, err := by.SignNote(text)
	if err != nil {
		return "", fmt.Errorf("permit: %w", err)
	}
	return strict.EncodeToString([]byte(signed)), nil
}

// errForged says that a permit is none, or not one of this deployment.
var errForged = errors.New("not a permit of this deployment")

// read opens a permit.
//
// Errors: errForged.
func read(permit string, keys note.Verifiers) (space.Rehearsal, error) {
	if len(permit) > maxPermit {
		return space.Rehearsal{}, errForged
	}
	signed, err := strict.DecodeString(permit)
	// The decoder skips line ends: a permit with one in it is not what was issued.
	if err != nil || strict.EncodedLen(len(signed)) != len(permit) {
		return space.Rehearsal{}, errForged
	}
	opened, err := note.Open(signed, keys)
	if err != nil {
		return space.Rehearsal{}, errForged
	}
	return parse(opened.Text)
}

// parse reads the text of a permit, whose signature holds.
func parse(text string) (space.Rehearsal, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 7 || lines[0] != permitHead {
		return space.Rehearsal{}, errForged // signed by us, but as something else
	}
	listeners, err1 := strconv.Atoi(lines[3])
	from, err2 := strconv.ParseInt(lines[4], 10, 64)
	until, err3 := strconv.ParseInt(lines[5], 10, 64)
	if errors.Join(err1, err2, err3) != nil {
		return space.Rehearsal{}, errForged
	}
	return space.Rehearsal{
		ID: lines[2], Space: space.ID(lines[1]), Listeners: listeners,
		BeganAt: time.Unix(from, 0).UTC(), ExpiresAt: time.Unix(until, 0).UTC(),
	}, nil
}

// VerifierOptions configure a Verifier. Keys are required.
type VerifierOptions struct {
	// Keys returns the verifier keys of the deployment as they are known now.
	Keys func() []string
	Now  func() time.Time // nil: time.Now
	// Measure returns what this node counts of the crowds in a space since it runs;
	// nil: nothing, and what a permit says of their number is not held against them.
	Measure func(space.ID) space.Served
}

// Verifier checks permits by public keys alone, and remembers which crowds came
// here. Its methods may be called by any goroutine.
type Verifier struct {
	opts VerifierOptions

	mu sync.Mutex // guards seen
	// seen holds permits whose signature held: a crowd comes with one and the same,
	// thousands of times a second, and a signature takes longer than a join.
	seen map[string]guest
}

// guest is a crowd that came to this node.
type guest struct {
	space.Rehearsal
	before space.Served // what was counted in its space when the first of it came
}

// NewVerifier makes a Verifier.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Keys == nil {
		return nil, errors.New("permit: verifier keys are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{opts: o, seen: make(map[string]guest)}, nil
}

// errNoKey says that an edge has not learned its core's key yet.
var errNoKey = errors.New("no key is known")

// keys returns those of the deployment's keys that are any.
//
// Errors: errNoKey.
func (v *Verifier) keys() (note.Verifiers, error) {
	var keys []note.Verifier
	for _, text := range v.opts.Keys() {
		if key, err := note.NewVerifier(text); err == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	return note.VerifierList(keys...), nil
}

// Check tells whether one of a crowd may join a space with this permit.
//
// Errors: Forbidden; Full as long as no key is known.
func (v *Verifier) Check(id space.ID, permit string) error {
	_, err := v.check(id, permit)
	return err
}

func (v *Verifier) check(id space.ID, permit string) (space.Rehearsal, error) {
	r, err := v.open(permit)
	now := v.opts.Now()
	switch {
	case errors.Is(err, errNoKey):
		return r, space.Errorf(space.Full, "this server does not know yet whose permits hold; try again in a few seconds")
	case err != nil:
		return r, space.Errorf(space.Forbidden, "this is no permit for a rehearsal here; ask for one with the owner's token, as hustings rehearse does")
	case r.Space != id:
		return r, space.Errorf(space.Forbidden, "this permit is for a rehearsal in another space; ask for one for this space")
	case now.After(r.ExpiresAt):
		return r, space.Errorf(space.Forbidden, "this permit has expired; ask for a new one")
	case now.Add(skew).Before(r.BeganAt):
		return r, space.Errorf(space.Forbidden, "this permit does not hold yet; see that the clocks of the servers agree")
	case v.measure(id).Hearing >= mostConnections(r.Listeners):
		return r, space.Errorf(space.Forbidden, "the crowd is as large as its permit allows; ask for a larger one")
	}
	return r, nil
}

// mostConnections is how many connections a permit is good for. When a whole crowd
// loses its connections and comes back at once, a server still sees the old ones
// for a moment.
func mostConnections(listeners int) int { return 2 * listeners }

func (v *Verifier) measure(id space.ID) space.Served {
	if v.opts.Measure == nil {
		return space.Served{}
	}
	return v.opts.Measure(id)
}

func (v *Verifier) open(permit string) (space.Rehearsal, error) {
	v.mu.Lock()
	known, ok := v.seen[permit]
	v.mu.Unlock()
	if ok {
		return known.Rehearsal, nil
	}
	keys, err := v.keys()
	if err != nil {
		return space.Rehearsal{}, err
	}
	r, err := read(permit, keys)
	if err != nil {
		return r, err
	}
	before := v.measure(r.Space)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.seen[permit]; !ok {
		if len(v.seen) >= most {
			clear(v.seen)
		}
		v.seen[permit] = guest{r, before}
	}
	return r, nil
}

// guests returns the crowds that may be here now.
func (v *Verifier) guests(now time.Time) (all []guest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, g := range v.seen {
		if !now.After(g.ExpiresAt) {
			all = append(all, g)
		}
	}
	return all
}
