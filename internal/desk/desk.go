// Package desk is the control desk: who may do what, and what happens then.
//
// Whatever a person asks for comes here as a Who and a verb. The desk looks up
// whether they may, lets the rules of space decide what the space becomes, keeps
// that in store, and tells the stage:
//
//	who, err := d.Identify(ctx, token)
//	sp, err := d.Start(ctx, who, "debate", false)
//
// Order: changes to one space are made and told to the stage one after the other,
// under a lock of that space, so the stage never hears of a start after the end.
// The lock is for this process; between processes on one database the row's own
// lock keeps any change from being lost (see store.Update). What is in the
// database is the truth: a stage that was not told of something, because the
// program was killed in between, is told by Recover.
package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"hustings/internal/space"
	"hustings/internal/stage"
	"hustings/internal/store"
	"hustings/internal/token"
)

// Stage is what the desk needs of the stage.
type Stage interface {
	// Put tells a space as it is now. For one that is over it returns once the
	// final block was published.
	Put(space.Space) error
	// Stage returns who is there.
	Stage(space.ID) stage.State
	// Mute mutes a seat for someone, or unmutes it for its owner.
	Mute(id space.ID, by space.Invite, seat space.SeatID, muted bool) error
	// Remove takes a seat off the stage.
	Remove(id space.ID, by space.Invite, seat space.SeatID) error
}

// Archive is what the desk needs of the archive.
type Archive interface {
	// Finished returns when the recording of a space that has ended is complete.
	Finished(ctx context.Context, id space.ID) error
}

// Options say what the desk works with.
type Options struct {
	Store      *store.Store
	Stage      Stage
	Archive    Archive // nil: nothing is recorded
	Tokens     *token.Minter
	OwnerToken string // opens everything
	// Changed is told each space that was announced or changed, one space's changes in
	// order; nil: nobody is. It must not wait.
	Changed func(space.Space)
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: discard
}

// Desk is safe for use by many goroutines.
type Desk struct {
	store  *store.Store
	stage  Stage
	files  Archive
	tokens *token.Minter
	owner  string
	now    func() time.Time
	log    *slog.Logger
	shelf  *shelf
	lines  lines
	told   func(space.Space)
}

// New makes a desk. Call Recover before letting anyone in.
func New(o Options) (*Desk, error) {
	if o.Store == nil || o.Stage == nil || o.Tokens == nil {
		return nil, errors.New("desk: a store, a stage and a minter of tokens are needed")
	}
	if o.OwnerToken == "" {
		return nil, errors.New("desk: the owner's token is empty: everybody would hold it")
	}
	d := &Desk{store: o.Store, stage: o.Stage, files: o.Archive, tokens: o.Tokens, owner: o.OwnerToken, now: o.Now, log: o.Logger}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.told = o.Changed; d.told == nil {
		d.told = func(space.Space) {}
	}
	d.shelf = newShelf(d.now)
	return d, nil
}

// Recover tells the stage every space that is not over, after a restart: those
// that were on the air go on where they stood. The recording of one that was
// ended just when the program was killed is completed. The stage and the archive
// must run by then.
func (d *Desk) Recover(ctx context.Context) error {
	list, err := d.store.Unsettled(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	var failed []error
	for _, sp := range list {
		if err := d.recover(ctx, sp.ID); err != nil {
			failed = append(failed, fmt.Errorf("recover space %s: %w", sp.ID, err))
		}
	}
	return errors.Join(failed...)
}

func (d *Desk) recover(ctx context.Context, id space.ID) error {
	defer d.lines.lock(id)()
	sp, err := d.store.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := d.stage.Put(sp); err != nil {
		return err
	}
	if sp.Phase != space.Scheduled {
		d.log.Info("space recovered", "space", id, "phase", sp.Phase)
	}
	if err := d.complete(ctx, sp); err != nil {
		return err
	}
	return d.settle(ctx, sp)
}

// completeWithin bounds how long a start waits for one recording.
const completeWithin = 5 * time.Second

// complete sees to the recording of a space whose final block never came: it has
// no stage any more that could write one.
func (d *Desk) complete(ctx context.Context, sp space.Space) error {
	if d.files == nil || !sp.Phase.Over() || sp.OpenedAt == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	err := d.files.Finished(ctx, sp.ID)
	if space.KindOf(err) == space.NotFound {
		return nil // killed before the first block: there is nothing to keep
	}
	return err
}

// Create announces a space.
//
// Errors: Forbidden for anyone but the owner, and those of space.New.
func (d *Desk) Create(ctx context.Context, who Who, draft space.Draft) (space.Space, error) {
	if err := who.mayCreate(); err != nil {
		return space.Space{}, err
	}
	sp, err := d.add(ctx, draft)
	if err != nil {
		return space.Space{}, err
	}
	d.log.Info("space announced", "space", sp.ID, "starts_at", sp.StartsAt)
	return sp, nil
}

// add keeps a new space under a name that nobody has. Names are random, so a
// second try is enough for a lifetime.
func (d *Desk) add(ctx context.Context, draft space.Draft) (space.Space, error) {
	for try := 0; ; try++ {
		id := space.ID(token.Name(idLength))
		sp, err := space.New(id, draft, d.now().Truncate(time.Microsecond))
		if err != nil {
			return space.Space{}, err
		}
		unlock := d.lines.lock(id)
		err = d.store.Add(ctx, sp)
		if err == nil {
			d.changed(sp)
			d.tell(sp)
		}
		unlock()
		if space.KindOf(err) != space.Conflict || try == tries {
			return sp, err
		}
	}
}

// Edit renames or reschedules.
//
// Errors: Forbidden, NotFound, and those of space.Edit.
func (d *Desk) Edit(ctx context.Context, who Who, id space.ID, c space.Change) (space.Space, error) {
	return d.change(ctx, who, edit, id, func(sp space.Space) (space.Space, error) { return sp.Edit(c) })
}

// Open opens the doors.
//
// Errors: Forbidden, NotFound, and those of space.Open.
func (d *Desk) Open(ctx context.Context, who Who, id space.ID) (space.Space, error) {
	return d.change(ctx, who, open, id, func(sp space.Space) (space.Space, error) { return sp.Open(d.now()) })
}

// Start puts the stage on air. Unless anyway, that waits for the checklist.
//
// Errors: Forbidden, NotFound, those of space.Start, and *NotReady (a Conflict).
func (d *Desk) Start(ctx context.Context, who Who, id space.ID, anyway bool) (space.Space, error) {
	points := checklist(d.stage.Stage(id))
	return d.change(ctx, who, start, id, func(sp space.Space) (space.Space, error) {
		after, err := sp.Start(d.now())
		if err == nil && !anyway && len(points) > 0 {
			return sp, &NotReady{Points: points}
		}
		return after, err
	})
}

// End ends the programme. It returns when the final block was published, and
// waits for nothing else: the recording is complete within a second after.
//
// Errors: Forbidden, NotFound, and those of space.End.
func (d *Desk) End(ctx context.Context, who Who, id space.ID) (space.Space, error) {
	return d.change(ctx, who, end, id, func(sp space.Space) (space.Space, error) { return sp.End(d.now()) })
}

// Cancel calls the space off.
//
// Errors: Forbidden, NotFound, and those of space.Cancel.
func (d *Desk) Cancel(ctx context.Context, who Who, id space.ID) (space.Space, error) {
	return d.change(ctx, who, cancel, id, func(sp space.Space) (space.Space, error) { return sp.Cancel(d.now()) })
}

// Get returns a space. It is made for a crowd that comes in one minute: what was
// read is good for another second, and a change made here shows at once.
//
// Errors: NotFound.
func (d *Desk) Get(ctx context.Context, id space.ID) (space.Space, error) {
	if sp, ok := d.shelf.get(id); ok {
		return sp, nil
	}
	turn := d.shelf.turn()
	sp, err := d.store.Get(ctx, id)
	if err == nil {
		d.shelf.fill(sp, turn)
	}
	return sp, err
}

// List returns spaces as store.List does.
func (d *Desk) List(ctx context.Context, after space.ID, limit int) (page []space.Space, next space.ID, err error) {
	return d.store.List(ctx, after, limit)
}

// change applies a rule to a space, if who may, and tells the stage.
func (d *Desk) change(ctx context.Context, who Who, do action, id space.ID, rule func(space.Space) (space.Space, error)) (space.Space, error) {
	if err := who.may(do, id); err != nil {
		return space.Space{}, err
	}
	defer d.lines.lock(id)()
	before, after, err := d.store.Update(ctx, id, rule)
	if err != nil {
		return space.Space{}, err
	}
	d.changed(after)
	d.log.Info("space changed", "space", id, "by", who.String(), "do", do, "phase", after.Phase)
	if before.Phase.Over() {
		return after, nil // only its texts changed, and the stage is gone
	}
	// From here on a caller who hangs up changes nothing.
	ctx = context.WithoutCancel(ctx)
	if before.Phase == after.Phase {
		d.tell(after)
		return after, nil
	}
	err = d.stage.Put(after)
	if err != nil && after.Phase.Over() {
		err = d.stage.Put(after) // the last block was late: there is no way back, so wait once more
	}
	if err != nil {
		return space.Space{}, d.stuck(ctx, before, after, err)
	}
	if err := d.settle(ctx, after); err != nil {
		d.log.Error("space is over but not settled; the next start sees to it", "space", id, "err", err)
	}
	return after, nil
}

// changed makes a change be seen at once, here and elsewhere. The caller holds the
// space's line.
func (d *Desk) changed(sp space.Space) {
	d.shelf.put(sp)
	d.told(sp)
}

// tell tells the stage what does not change the phase. That it fails is no
// reason to refuse: whatever the stage is told next says this too.
func (d *Desk) tell(sp space.Space) {
	if err := d.stage.Put(sp); err != nil {
		d.log.Warn("the stage was not told; the next change says it too", "space", sp.ID, "err", err)
	}
}

// stuck is for a stage that did not follow into a new phase. What is over stays
// over. Anything else is taken back, so that to try again is possible.
func (d *Desk) stuck(ctx context.Context, before, after space.Space, cause error) error {
	d.log.Error("the stage did not follow", "space", after.ID, "phase", after.Phase, "err", cause)
	if after.Phase.Over() {
		return &space.Error{Kind: space.Internal, Err: cause,
			Detail: "the space is over, but its last moment could not be written; the recording is completed when the server starts again"}
	}
	_, restored, err := d.store.Update(ctx, after.ID, func(sp space.Space) (space.Space, error) {
		if !reflect.DeepEqual(sp, after) {
			return sp, errors.New("it was changed elsewhere meanwhile")
		}
		return before, nil
	})
	if err != nil {
		d.log.Error("a change could not be taken back", "space", after.ID, "err", err)
		return fmt.Errorf("space %s is %s but not on its stage: %w", after.ID, after.Phase, errors.Join(cause, err))
	}
	d.changed(restored)
	if kind := space.KindOf(cause); kind != space.Internal {
		return cause
	}
	return &space.Error{Kind: space.Internal, Err: cause,
		Detail: "the stage could not follow, so nothing was changed; try again, and look into the server's log if it stays so"}
}

// settle records that a space that is over is done with.
func (d *Desk) settle(ctx context.Context, sp space.Space) error {
	if !sp.Phase.Over() {
		return nil
	}
	return d.store.Settle(ctx, sp.ID)
}
