package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// Resume returns where the log of a space goes on: behind what is on disk, in a
// new epoch. From then on blocks of older epochs are refused. The stage calls it
// before it begins a programme, or takes it up again.
//
// Errors: Gone, if the recording is complete; and those of reading the log.
func (a *Archive) Resume(id space.ID) (programme.Resume, error) {
	if !validID(id) {
		return programme.Resume{}, notFound(id)
	}
	r := a.recorder(id)
	if r == nil {
		return programme.Resume{}, space.Errorf(space.Gone, "the recording of this space is complete: nothing can be added to it")
	}
	r.settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
		return programme.Resume{}, fmt.Errorf("resuming %s: %w", id, err)
	}
	if r.log.final {
		return programme.Resume{}, space.Errorf(space.Gone, "the programme of this space has ended: nothing can be added to it")
	}
	epoch := uint32(0)
	if r.log.began {
		epoch = r.log.epoch + 1
	}
	r.writing = true
	// A disk that is full must not keep the programme from going on.
	r.reportLocked("log", r.log.fence(epoch))
	return programme.Resume{Epoch: epoch, Seq: r.log.next(), End: r.log.end, Tree: r.log.tree.Clone(), Tally: r.log.tally}, nil
}

// settle waits until the blocks that came by now are in the log, unless that takes
// long.
func (r *recorder) settle() {
	if r.a.isRunning() {
		timeout := time.NewTimer(settleTimeout)
		defer timeout.Stop()
		reached := make(chan struct{})
		select {
		case r.queue <- item{reached: reached}:
		case <-timeout.C:
			return
		}
		select {
		case <-reached:
		case <-r.done:
		case <-timeout.C:
		}
	}
}

const settleTimeout = 5 * time.Second

func (a *Archive) isRunning() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.spawn != nil
}

// Finished returns when the recording of a space that has ended is complete. If no
// stage of this process wrote to it, as after a crash in its last moments, no
// final block will come any more: then what is there is all.
//
// Errors: NotFound, if nothing was ever kept of the space; that of ctx.
func (a *Archive) Finished(ctx context.Context, id space.ID) error {
	if !validID(id) || !exists(a.path(id, logName)) && a.known(id) == nil {
		return notFound(id)
	}
	r := a.recorder(id)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	r.over = r.over || !r.writing
	over := r.over
	r.mu.Unlock()
	if over {
		r.settle() // wakes it
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the recording of %s is not complete: %w", id, errors.Join(ctx.Err(), a.Health()))
	}
}

// Content is one file of a recording.
type Content struct {
	io.ReadSeekCloser
	Size    int64 // in bytes
	ModTime time.Time
	Type    string // media type
}

// contentTypes are the files of a recording by their names' ends.
func contentType(ext string) (string, bool) {
	switch ext {
	case "ogg":
		return "audio/ogg; codecs=opus", true
	case "mp4":
		return `audio/mp4; codecs="opus"`, true
	case "json":
		return "application/json", true
	}
	return "", false
}

// Open opens a file of a complete recording: "ogg", "mp4" or "json". ctx bounds
// the reading too.
//
// Errors: TooEarly while the space is on the air, NotFound.
func (a *Archive) Open(ctx context.Context, id space.ID, ext string) (Content, error) {
	kind, ok := contentType(ext)
	if !ok || !validID(id) {
		return Content{}, notFound(id)
	}
	if !a.isComplete(id) {
		if exists(a.path(id, logName)) {
			return Content{}, space.Errorf(space.TooEarly, "the recording is up when the space has ended; until then listen to it live")
		}
		return a.openBlob(ctx, id, ext, kind)
	}
	f, err := os.Open(a.path(id, mediaName(ext)))
	if errors.Is(err, fs.ErrNotExist) {
		return a.openBlob(ctx, id, ext, kind)
	}
	if err != nil {
		return Content{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return Content{}, errors.Join(err, f.Close())
	}
	return Content{ReadSeekCloser: f, Size: info.Size(), ModTime: info.ModTime(), Type: kind}, nil
}

func (a *Archive) openBlob(ctx context.Context, id space.ID, ext, kind string) (Content, error) {
	if a.opts.Blob == nil {
		return Content{}, notFound(id)
	}
	r, err := a.opts.Blob.Open(ctx, blobName(id, ext))
	if errors.Is(err, fs.ErrNotExist) {
		return Content{}, notFound(id)
	}
	if err != nil {
		return Content{}, err
	}
	return Content{ReadSeekCloser: r, Size: r.Size(), ModTime: r.ModTime(), Type: kind}, nil
}

func notFound(id space.ID) error {
	return space.Errorf(space.NotFound, "there is no recording of %.64q", string(id))
}

// Info tells of a complete recording.
//
// Errors: as Open.
func (a *Archive) Info(ctx context.Context, id space.ID) (Recording, error) {
	c, err := a.Open(ctx, id, "json")
	if err != nil {
		return Recording{}, err
	}
	defer c.Close()
	var rec Recording
	if err := json.NewDecoder(c).Decode(&rec); err != nil {
		return Recording{}, fmt.Errorf("reading what is known of the recording of %s: %w", id, err)
	}
	return rec, nil
}
