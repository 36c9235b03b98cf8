package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	queueBlocks = 1200                   // waiting to be written: 10 min, 13 MB, while the disk is full
	retryAfter  = 500 * time.Millisecond // after a write that failed
	renderStep  = 64                     // blocks rendered before looking at the queue again
	mediaSync   = 10 * time.Second       // so that little is left to bring to the disk at the end
)

// item is a block in the queue, or a sign that all before it were taken.
type item struct {
	data    []byte
	reached chan struct{} // closed when this item comes up
}

// recorder keeps one space. Its goroutine takes blocks from the queue, writes each
// to the log, then renders as far as the log goes.
type recorder struct {
	id    space.ID
	dir   string
	a     *Archive
	queue chan item     // full: the block is dropped, and fetched or lost later
	dirty chan struct{} // one token: the log has bytes that are not synced
	done  chan struct{} // closed when the recording is complete, or there is none to make

	mu      sync.Mutex // guards what follows
	opened  bool
	broken  error // opening failed: why
	log     *blockLog
	render  *renderer        // nil until the first block
	note    string           // newest signed checkpoint that agrees with the log
	signed  uint64           // size of the tree that it signs
	writing bool             // a stage of this process has asked where to go on, or a block came
	over    bool             // no stage will write any more, even if no final block came
	faults  map[string]error // what is wrong at the moment, by what was to be done
	synced  time.Time        // of the media files
}

func newRecorder(a *Archive, id space.ID) *recorder {
	return &recorder{
		id: id, a: a, dir: filepath.Join(a.opts.Dir, string(id)),
		queue:  make(chan item, queueBlocks),
		dirty:  make(chan struct{}, 1),
		done:   make(chan struct{}),
		faults: make(map[string]error),
	}
}

// open reads the log from disk, once. The caller holds mu.
func (r *recorder) open() error {
	if r.opened {
		return r.broken
	}
	r.opened = true
	r.broken = r.openFiles()
	if r.broken != nil {
		r.a.log.Error("archive can't keep a space", "space", r.id, "err", r.broken)
	}
	return r.broken
}

func (r *recorder) openFiles() error {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	f, err := r.a.openFile(filepath.Join(r.dir, logName))
	if err != nil {
		return err
	}
	began := time.Now()
	l, torn, err := openLog(f, r.id)
	if err == nil {
		err = r.cut(f, l, torn)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.log = l
	if n := len(l.entries); n > 0 {
		r.a.log.Info("archive found a log", "space", r.id, "blocks", n, "epoch", l.epoch,
			"torn_bytes", max(torn, 0), "took", time.Since(began))
		r.findNote()
	}
	return errors.Join(syncFolder(r.dir), syncFolder(r.a.opts.Dir))
}

// cut takes off what follows the last whole record. A crash leaves less than one
// record there; more says that the disk changed what was written, so that is kept
// beside the log for someone to look at.
func (r *recorder) cut(f file, l *blockLog, torn int64) error {
	if torn <= 0 {
		return nil
	}
	if torn > recordHead+maxRecord {
		name := filepath.Join(r.dir, "damaged-"+time.Now().UTC().Format("20060102T150405.000")+".log")
		if err := copyOut(name, f, l.size, torn); err != nil {
			return fmt.Errorf("saving the damaged part of the block log of %s: %w", r.id, err)
		}
		r.a.log.Error("a block log is damaged; what follows the damage was saved and is left out",
			"space", r.id, "bytes", torn, "file", name)
	}
	return f.Truncate(l.size)
}

func copyOut(name string, f io.ReaderAt, at, n int64) error {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.NewSectionReader(f, at, n))
	return errors.Join(err, out.Sync(), out.Close())
}

// findNote looks for the newest checkpoint in a log that was just read.
func (r *recorder) findNote() {
	for i := len(r.log.entries) - 1; i >= 0 && i > len(r.log.entries)-4*programme.CheckpointEvery; i-- {
		b, err := r.log.block(i)
		if err != nil {
			return
		}
		if r.takeNote(b); r.note != "" {
			return
		}
	}
}

// takeNote keeps the checkpoint of a block if it is signed and agrees with the log.
func (r *recorder) takeNote(b *programme.Block) {
	if b.Checkpoint == "" || r.a.opts.Verifier == "" {
		return
	}
	c, err := programme.OpenCheckpoint([]byte(b.Checkpoint), r.a.opts.Verifier)
	if err == nil && (c.Origin != programme.Origin(r.id, b.Epoch) || c.Size != b.Seq+1) {
		err = fmt.Errorf("it is one of %s at %d", c.Origin, c.Size)
	}
	if err == nil {
		root, rootErr := r.log.tree.RootAt(c.Size)
		if rootErr != nil || root != c.Root {
			err = errors.New("it signs other blocks than those in the log")
		}
	}
	if err != nil {
		r.a.log.Error("archive can't use a checkpoint; what follows can't be proven until the next one",
			"space", r.id, "epoch", b.Epoch, "seq", b.Seq, "err", err)
		return
	}
	r.note, r.signed = b.Checkpoint, c.Size
}
