package permit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hustings/internal/space"
	"hustings/internal/token"
)

// Options configure an Office. Only Signer is required.
type Options struct {
	Signer Signer // the key of the programme's log
	Keep   Keeper // where permits and the last report outlive a restart; nil: nowhere

	// Nodes are what the servers count of a crowd; nil: nothing is known of that.
	Nodes *Nodes
	// Measure is that of VerifierOptions: what this node counts.
	Measure func(space.ID) space.Served

	Version  string           // of this program
	Settings func() []Setting // that matter for capacity, as they are now; nil: none
	Machine  Machine          // that the core runs on
	Edges    func() []string  // addresses of the edges that serve now; nil: none

	MaxListeners int           // a permit is for no more; 0: 2,000,000
	MaxTime      time.Duration // and for no longer; 0: 1 h

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: discard
}

// Setting is one of the server's settings that matter for how many it can carry.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Machine is what a server runs on.
type Machine struct {
	Processors int    `json:"processors"`
	Memory     uint64 `json:"memory"` // bytes
}

const (
	// measureEvery is how often the servers' figures are taken during a rehearsal.
	measureEvery = time.Second
	// saveEvery is how often they are kept.
	saveEvery = 5 * time.Second
	// reportWithin is how long after its end a rehearsal can still be reported.
	reportWithin = 10 * time.Minute
	idLength     = 12
)

// Office gives permits, one at a time, and signs reports. Its methods may be called
// by any goroutine.
type Office struct {
	opts     Options
	log      *slog.Logger
	verifier *Verifier

	// saving is held while the file is written, before mu if both are held.
	saving sync.Mutex

	mu sync.Mutex // guards what follows
	on *running   // nil: none, or it was reported
	// last is the last rehearsal that was reported; nil before the first.
	last *reported
}

// running is a rehearsal that has begun and was not reported yet.
type running struct {
	space.Rehearsal
	Over  bool         `json:"over"`  // ended before its permit expired
	Worst space.Served `json:"worst"` // of what was measured so far
	// As it was when the permit was given.
	Stand stand `json:"stand"`
}

// New makes an Office, with what was kept.
func New(o Options) (*Office, error) {
	if o.Signer == nil {
		return nil, errors.New("permit: a signer is needed")
	}
	if o.MaxListeners < 0 || o.MaxTime < 0 {
		return nil, errors.New("permit: a bound can't be negative")
	}
	if o.MaxListeners == 0 {
		o.MaxListeners = 2_000_000
	}
	if o.MaxTime == 0 {
		o.MaxTime = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	verifier, err := NewVerifier(VerifierOptions{
		Keys: func() []string { return []string{o.Signer.Verifier()} }, Now: o.Now, Measure: o.Measure,
	})
	if err != nil {
		return nil, err
	}
	f := &Office{opts: o, log: o.Logger, verifier: verifier}
	return f, f.load()
}

// Run measures what the servers do while a rehearsal is on, until ctx is done.
func (f *Office) Run(ctx context.Context) error {
	measure, save := time.NewTicker(measureEvery), time.NewTicker(saveEvery)
	defer measure.Stop()
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-measure.C:
			f.measure()
		case <-save.C:
			f.saveRunning()
		}
	}
}

func (f *Office) limits() space.Limits {
	return space.Limits{Listeners: f.opts.MaxListeners, Seconds: int(f.opts.MaxTime / time.Second)}
}

// Ask gives a permit for a crowd of so many listeners, for so long from now on.
//
// Errors: Invalid beyond the limits, Conflict while another rehearsal is on.
func (f *Office) Ask(id space.ID, listeners int, seconds int) (space.Permit, error) {
	limits := f.limits()
	switch {
	case listeners < 1 || listeners > limits.Listeners:
		return space.Permit{}, space.Errorf(space.Invalid, "a crowd here has 1 to %d listeners; ask for as many (--rehearsal-max of the server allows more)", limits.Listeners)
	case seconds < 1 || seconds > limits.Seconds:
		return space.Permit{}, space.Errorf(space.Invalid, "a rehearsal here takes 1 to %d seconds; let the crowd arrive and hold for a shorter time (--rehearsal-time of the server allows more)", limits.Seconds)
	}
	now := f.opts.Now().UTC().Truncate(time.Second)
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if on := f.on; on.takes(now) {
		return space.Permit{}, space.Errorf(space.Conflict, "a rehearsal is on in space %s until %s, and there can be one at a time; wait for it, or end it by DELETE /api/v1/spaces/%s/rehearsals/%s",
			on.Space, on.ExpiresAt.Format(time.TimeOnly+" MST"), on.Space, on.ID)
	}
	next := &running{Stand: f.stand(), Rehearsal: space.Rehearsal{
		ID: token.Name(idLength), Space: id, Listeners: listeners,
		BeganAt: now, ExpiresAt: now.Add(time.Duration(seconds) * time.Second),
	}}
	permit, err := issue(f.opts.Signer, next.Rehearsal)
	if err != nil {
		return space.Permit{}, err
	}
	before := f.on
	f.on = next
	if err := f.save(); err != nil {
		f.on = before
		return space.Permit{}, err
	}
	f.log.Info("a rehearsal is permitted", "space", id, "rehearsal", next.ID, "listeners", listeners, "until", next.ExpiresAt)
	return space.Permit{Rehearsal: next.Rehearsal, Permit: permit, Limits: limits}, nil
}

// takes tells whether listeners of the rehearsal may come.
func (r *running) takes(now time.Time) bool {
	return r != nil && !r.Over && !now.After(r.ExpiresAt)
}

// Check tells whether one of a crowd may join a space with this permit: as a
// Verifier does, and not after its rehearsal was ended.
//
// Errors: Forbidden.
func (f *Office) Check(id space.ID, permit string) error {
	r, err := f.verifier.check(id, permit)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on == nil || f.on.ID != r.ID || f.on.Over {
		return space.Errorf(space.Forbidden, "this rehearsal is over; ask for a new permit")
	}
	return nil
}

// find returns the rehearsal that is on, if it is this one. It needs mu.
func (f *Office) find(id space.ID, rehearsal string) (*running, error) {
	if f.on == nil || f.on.Space != id || f.on.ID != rehearsal {
		return nil, space.Errorf(space.NotFound, "no such rehearsal is on; it was reported already, or another one has begun since")
	}
	return f.on, nil
}

// Status tells how a rehearsal stands.
//
// Errors: NotFound.
func (f *Office) Status(id space.ID, rehearsal string) (space.Standing, error) {
	now, served := f.opts.Now(), f.served(rehearsal)
	f.mu.Lock()
	defer f.mu.Unlock()
	on, err := f.find(id, rehearsal)
	if err != nil {
		return space.Standing{}, err
	}
	return space.Standing{Rehearsal: on.Rehearsal, Over: !on.takes(now), Now: served, Worst: on.Worst.Worst(served)}, nil
}

// End takes a permit back. The rehearsal can still be reported.
//
// Errors: NotFound.
func (f *Office) End(id space.ID, rehearsal string) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	on, err := f.find(id, rehearsal)
	if err != nil {
		return err
	}
	if on.Over {
		return nil
	}
	on.Over = true
	f.log.Info("a rehearsal was ended", "space", id, "rehearsal", rehearsal)
	return f.save()
}

// Verifier returns what checks permits here, for a Teller.
func (f *Office) Verifier() *Verifier { return f.verifier }

func (f *Office) served(rehearsal string) space.Served {
	if f.opts.Nodes == nil {
		return space.Served{}
	}
	return f.opts.Nodes.Served(rehearsal)
}

// measure takes what the servers count now into the worst of it.
func (f *Office) measure() {
	on, ok := f.current()
	if !ok {
		return
	}
	served := f.served(on.ID)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on != nil && f.on.ID == on.ID {
		f.on.Worst = f.on.Worst.Worst(served)
	}
}

// current returns the rehearsal that takes listeners, if there is one.
func (f *Office) current() (space.Rehearsal, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.on.takes(f.opts.Now()) {
		return space.Rehearsal{}, false
	}
	return f.on.Rehearsal, true
}

// saveRunning keeps what was measured. That it fails is told, and ends nothing: it
// is kept again with the report. Joins do not wait for the disk.
func (f *Office) saveRunning() {
	if _, ok := f.current(); !ok || f.opts.Keep == nil {
		return
	}
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	data, err := f.document()
	f.mu.Unlock()
	if err == nil {
		err = f.opts.Keep.Save(data)
	}
	if err != nil {
		f.log.Warn("the figures of a rehearsal are not kept", "err", err)
	}
}

// Report ends a rehearsal and signs what came of it: what the crowd says, beside
// what the servers counted. The capacity is that of this rehearsal from now on,
// unless it was interrupted: that shows nothing.
//
// Errors: NotFound, Invalid for figures that can't be.
func (f *Office) Report(id space.ID, rehearsal string, crowd space.Crowd) (string, error) {
	now, served := f.opts.Now().UTC().Truncate(time.Second), f.served(rehearsal)
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	on, err := f.find(id, rehearsal)
	if err != nil {
		return "", err
	}
	if now.Sub(on.ExpiresAt) > reportWithin {
		return "", space.Errorf(space.Conflict, "this rehearsal was over at %s, too long ago to sign what came of it; rehearse again", on.ExpiresAt.Format(time.RFC3339))
	}
	if err := plausible(crowd, on.Listeners); err != nil {
		return "", err
	}
	if on.takes(now) {
		on.Worst = on.Worst.Worst(served)
	}
	r := &reported{At: now, Listeners: min(crowd.Together, on.Worst.Hearing), Stand: on.Stand}
	if r.Note, err = f.opts.Signer.SignNote(reportText(on, r, crowd)); err != nil {
		return "", fmt.Errorf("permit: sign a report: %w", err)
	}
	before, last := f.on, f.last
	if f.on = nil; !crowd.Interrupted {
		f.last = r
	}
	if err := f.save(); err != nil {
		f.on, f.last = before, last
		return "", err
	}
	f.log.Info("a rehearsal was reported", "space", id, "rehearsal", rehearsal, "capacity", r.Listeners)
	return r.Note, nil
}
