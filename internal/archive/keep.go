package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"hustings/internal/programme"
)

// offer queues a block. It never waits.
func (r *recorder) offer(data []byte) {
	select {
	case r.queue <- item{data: data}:
	default:
		r.a.metrics.blocks.WithLabelValues("dropped").Inc()
		r.a.log.Error("archive is too far behind: a block was dropped", "space", r.id, "waiting", len(r.queue))
	}
}

// run keeps the space until its recording is complete or ctx is done.
func (r *recorder) run(ctx context.Context) {
	var syncing sync.WaitGroup
	syncing.Go(r.syncLoop)
	defer r.closeFiles()
	defer syncing.Wait()
	defer close(r.dirty)

	for {
		more, err := r.catchUp()
		if more && err == nil {
			select {
			case it := <-r.queue:
				r.take(ctx, it)
			case <-ctx.Done():
				r.drain(ctx)
				return
			default: // go on rendering
			}
			continue
		}
		if r.complete() {
			return
		}
		var again <-chan time.Time
		if err != nil {
			again = time.After(retryAfter)
		}
		select {
		case it := <-r.queue:
			r.take(ctx, it)
		case <-again:
		case <-ctx.Done():
			r.drain(ctx)
			return
		}
	}
}

// drain writes what has come in by now.
func (r *recorder) drain(ctx context.Context) {
	for {
		select {
		case it := <-r.queue:
			r.take(ctx, it)
		default:
			return
		}
	}
}

func (r *recorder) complete() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *recorder) take(ctx context.Context, it item) {
	if it.reached != nil {
		close(it.reached)
		return
	}
	b, err := programme.UnmarshalBlock(it.data)
	if err == nil {
		err = r.refusal(b)
	}
	if err != nil {
		r.refuse(b, err)
		return
	}
	r.fetchMissing(ctx, b)
	r.keep(ctx, b, it.data)
}

func (r *recorder) refusal(b *programme.Block) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
		return err
	}
	return r.log.refuses(b)
}

func (r *recorder) refuse(b *programme.Block, err error) {
	if errors.Is(err, errDuplicate) {
		r.a.metrics.blocks.WithLabelValues("duplicate").Inc()
		return
	}
	r.a.metrics.blocks.WithLabelValues("refused").Inc()
	args := []any{"space", r.id, "err", err}
	if b != nil {
		args = append(args, "epoch", b.Epoch, "seq", b.Seq)
	}
	r.a.log.Error("archive refuses a block", args...)
}

// keep writes a block to the log, however often it takes. Meanwhile those after it
// wait in the queue.
func (r *recorder) keep(ctx context.Context, b *programme.Block, data []byte) {
	for {
		err := r.append(b, data)
		var refused refusal
		if errors.As(err, &refused) { // a new epoch began while the block waited, say
			r.refuse(b, err)
			return
		}
		r.report("log", err)
		if err == nil {
			r.a.metrics.blocks.WithLabelValues("written").Inc()
			select {
			case r.dirty <- struct{}{}:
			default: // the token is there already
			}
			return
		}
		select {
		case <-ctx.Done():
			r.a.log.Error("archive ends without having written a block", "space", r.id, "seq", b.Seq, "err", err)
			return
		case <-time.After(retryAfter):
		}
	}
}

func (r *recorder) append(b *programme.Block, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = true
	if err := r.log.refuses(b); err != nil {
		return err
	}
	if err := r.log.append(b, data); err != nil {
		return err
	}
	r.takeNote(b)
	return nil
}

// fetchMissing asks the bus for the blocks between the log and b, and keeps those
// that someone has. What nobody has is a hole.
func (r *recorder) fetchMissing(ctx context.Context, b *programme.Block) {
	for {
		r.mu.Lock()
		next := r.log.next()
		r.mu.Unlock()
		if next >= b.Seq {
			return
		}
		got := r.a.fetch(ctx, r.id, programme.Range{From: next, To: b.Seq})
		kept := false
		for _, data := range got {
			old, err := programme.UnmarshalBlock(data)
			if err == nil && old.Seq < b.Seq && r.refusal(old) == nil {
				r.keep(ctx, old, data)
				kept = true
			}
		}
		if !kept {
			r.a.metrics.blocks.WithLabelValues("lost").Add(float64(b.Seq - next))
			r.a.log.Error("blocks did not reach the archive and nobody has them: silence takes their place in the recording",
				"space", r.id, "from", next, "to", b.Seq-1)
			return
		}
	}
}

// catchUp renders what the log has and the recording has not, a step at a time,
// and completes the recording when the log is at its end.
func (r *recorder) catchUp() (more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open() != nil {
		return false, nil // it was reported, and won't change
	}
	more, err = r.renderSome()
	if err == nil && !more && (r.log.final || r.over) {
		err = r.finish()
	}
	r.reportLocked("recording", err)
	return more, err
}

func (r *recorder) renderSome() (more bool, err error) {
	for range renderStep {
		if r.rendered() == len(r.log.entries) {
			return false, nil
		}
		b, err := r.log.block(r.rendered())
		if err != nil {
			return false, err
		}
		if r.render == nil {
			if r.render, err = startRenderer(r.dir, r.id, b.Stereo, r.a.openFile); err != nil {
				return false, err
			}
		}
		if err := r.render.add(b); err != nil {
			return false, err
		}
	}
	return r.rendered() < len(r.log.entries), nil
}

func (r *recorder) rendered() int {
	if r.render == nil {
		return 0
	}
	return r.render.done
}

// finish completes the recording. The JSON file comes last: where it is, the
// others are complete and on the disk.
func (r *recorder) finish() error {
	if r.complete() {
		return nil
	}
	began := time.Now()
	var told story
	if r.render != nil {
		if err := errors.Join(r.render.finish(), r.render.sync()); err != nil {
			return err
		}
		told = r.render.story
	}
	data, err := json.Marshal(told.recording(r.id, r.note))
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(r.dir, jsonName), data); err != nil {
		return fmt.Errorf("finishing the recording of %s: %w", r.id, err)
	}
	r.a.log.Info("recording complete", "space", r.id, "blocks", r.log.next(),
		"seconds", seconds(r.log.end), "took", time.Since(began))
	close(r.done)
	r.a.completed(r)
	return nil
}

// syncLoop brings what was written to the disk, out of the way of writing.
func (r *recorder) syncLoop() {
	for range r.dirty {
		r.mu.Lock()
		log, render, media := r.log, r.render, time.Since(r.synced) >= mediaSync
		if media {
			r.synced = time.Now()
		}
		r.mu.Unlock()
		began := time.Now()
		err := log.f.Sync()
		r.a.metrics.sync.Observe(time.Since(began).Seconds())
		r.report("disk", err)
		if media && render != nil {
			r.report("disk", render.sync())
		}
	}
}

func (r *recorder) closeFiles() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		return
	}
	err := errors.Join(r.log.f.Sync(), r.log.f.Close())
	if r.render != nil {
		err = errors.Join(err, r.render.close())
	}
	if err != nil {
		r.a.log.Error("closing the files of a space", "space", r.id, "err", err)
	}
	r.log, r.render, r.opened, r.broken = nil, nil, true, errClosed
	r.a.metrics.faults.Sub(float64(len(r.faults)))
	clear(r.faults)
}

// errClosed says that a space is not kept any more.
var errClosed = errors.New("the archive has closed its files")

// report notes whether something that was to be done went well, and says so in
// the log when that changes.
func (r *recorder) report(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reportLocked(what, err)
}

func (r *recorder) reportLocked(what string, err error) {
	was := r.faults[what]
	switch {
	case err == nil && was == nil:
	case err == nil:
		delete(r.faults, what)
		r.a.metrics.faults.Dec()
		r.a.log.Info("archive writes again", "space", r.id, "what", what)
	case was == nil:
		r.faults[what] = err
		r.a.metrics.faults.Inc()
		r.a.log.Error("archive can't write: the programme goes on, and the archive tries again until it can",
			"space", r.id, "what", what, "err", err, "waiting", len(r.queue))
	default:
		r.faults[what] = err
	}
}
