// Package archive keeps the programme: every block as it comes, and out of the
// blocks the recording, which is there as soon as the space has ended.
//
// For each space there is a folder. Its block log is the only truth: a block is
// written to it with one write(2) when it comes off the bus, and is on the disk
// half a second later. The recording, as Ogg and as MP4, is written in step with
// the log, so that at the end only an end-of-stream page, a table and a JSON file
// are left to write, however long the event was.
//
//	{dir}/{space}/blocks.log       all blocks with all rungs and pulses
//	{dir}/{space}/recording.ogg    the top rung
//	{dir}/{space}/recording.mp4    the same packets
//	{dir}/{space}/recording.json   what Info returns; where it is, the others are complete
//
// After a crash the log is cut to its last whole record, and the recording is made
// again out of it, beside what comes in new. A disk that is full stops nothing:
// blocks wait in memory, Health tells, and the archive goes on when there is room.
//
// With a blob store the finished recording moves there; the block log stays, for
// it is what proofs are made of.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/space"
)

// Bus is what the archive needs of the bus.
type Bus interface {
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	Handle(subject string, answer func(subject string, request []byte) ([]byte, error)) (stop func(), err error)
	Request(ctx context.Context, subject string, request []byte) ([]byte, error)
}

// Blobs keep finished recordings, each under a name of its own.
type Blobs interface {
	// Put stores the file at path, which is not written to any more. Its error wraps
	// fs.ErrNotExist if there is no such file.
	Put(ctx context.Context, name, path, contentType string) error
	// Open opens what was stored. Its error wraps fs.ErrNotExist if nothing was.
	Open(ctx context.Context, name string) (Blob, error)
}

// Blob is a stored file, to be read from anywhere in it.
type Blob interface {
	io.ReadSeekCloser
	Size() int64 // in bytes
	ModTime() time.Time
}

// Options configure an Archive. Dir and Bus are required.
type Options struct {
	Dir      string                // where spaces are kept; made if it is not there
	Bus      Bus                   // connected by the time of Run
	Blob     Blobs                 // where finished recordings go; nil: they stay in Dir
	Verifier string                // key that checkpoints are checked by; "": none is kept
	Logger   *slog.Logger          // nil: discard
	Metrics  prometheus.Registerer // nil: none
}

// Archive keeps the spaces. Its methods may be called by any goroutine.
type Archive struct {
	opts     Options
	log      *slog.Logger
	metrics  *metrics
	ready    chan struct{}
	uploads  chan space.ID                   // finished recordings; full: the next start finds them
	openFile func(path string) (file, error) // tests put in a disk that is full

	mu        sync.Mutex // guards what follows
	recorders map[space.ID]*recorder
	spawn     func(*recorder) // starts a recorder's goroutine; nil unless running

	coldMu sync.Mutex // guards cold, and lets one log be read at a time
	cold   []*coldLog // logs of finished spaces, for proofs
}

// New checks the options and makes the folder. It reads nothing yet.
func New(o Options) (*Archive, error) {
	if o.Dir == "" || o.Bus == nil {
		return nil, errors.New("the archive needs a folder and a bus")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("the archive's folder: %w", err)
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	return &Archive{
		opts: o, log: o.Logger, metrics: m,
		ready:     make(chan struct{}),
		uploads:   make(chan space.ID, 256),
		openFile:  openFile,
		recorders: make(map[space.ID]*recorder),
	}, nil
}

// Ready is closed when blocks that are published are kept.
func (a *Archive) Ready() <-chan struct{} { return a.ready }

// Run takes blocks off the bus and keeps them, until ctx is done; blocks that came
// by then are still written. It goes on with spaces that an earlier run left.
func (a *Archive) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer a.closeCold()
	defer running.Wait()
	// Recorders end after the subscription has, so that none misses what came before.
	keeping, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	a.start(func(r *recorder) { running.Go(func() { r.run(keeping) }) })
	defer a.start(nil)

	left, err := a.unfinished()
	if err != nil {
		return fmt.Errorf("the archive's folder: %w", err)
	}
	for _, id := range left {
		a.recorder(id)
	}
	stopBlocks, err := a.opts.Bus.Subscribe(blockSubject+"*", a.onBlock)
	if err != nil {
		return err
	}
	defer stopBlocks()
	for subject, answer := range map[string]func(string, []byte) ([]byte, error){
		rangeSubject: a.onRange, snapshotSubject: a.onSnapshot,
	} {
		stop, err := a.opts.Bus.Handle(subject+"*", answer)
		if err != nil {
			return err
		}
		defer stop()
	}
	close(a.ready)
	if a.opts.Blob != nil {
		running.Go(func() { a.upload(ctx) })
	}
	<-ctx.Done()
	return nil
}

// start sets how recorders run, and starts those that are there.
func (a *Archive) start(spawn func(*recorder)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spawn = spawn
	if spawn != nil {
		for _, r := range a.recorders {
			spawn(r)
		}
	}
}

// recorder returns the recorder of a space, which it makes if there is none; nil
// if the space's recording is complete.
func (a *Archive) recorder(id space.ID) *recorder {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.recorders[id]; r != nil {
		return r
	}
	if a.isComplete(id) {
		return nil
	}
	r := newRecorder(a, id)
	a.recorders[id] = r
	if a.spawn != nil {
		a.spawn(r)
	}
	return r
}

// known returns the recorder of a space that is being kept, else nil.
func (a *Archive) known(id space.ID) *recorder {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.recorders[id]
}

// completed lets go of a recorder whose recording is complete. Called by it, with
// its lock held.
func (a *Archive) completed(r *recorder) {
	a.mu.Lock()
	delete(a.recorders, r.id)
	a.mu.Unlock()
	select {
	case a.uploads <- r.id:
	default:
	}
}

// onBlock hands a block to its space's recorder. It runs on the bus' goroutine and
// reads nothing from the disk.
func (a *Archive) onBlock(subject string, data []byte) {
	id := space.ID(strings.TrimPrefix(subject, blockSubject))
	if !validID(id) {
		a.log.Error("archive refuses a block of a space with a bad id", "subject", subject)
		return
	}
	if r := a.recorder(id); r != nil {
		r.offer(data)
		return
	}
	a.metrics.blocks.WithLabelValues("refused").Inc()
	a.log.Error("archive refuses a block: the recording is complete", "space", id)
}

// Health returns what keeps the archive from keeping blocks at the moment, nil if
// nothing does.
func (a *Archive) Health() error {
	a.mu.Lock()
	all := make([]*recorder, 0, len(a.recorders))
	for _, r := range a.recorders {
		all = append(all, r)
	}
	a.mu.Unlock()
	var errs []error
	for _, r := range all {
		r.mu.Lock()
		for _, err := range r.faults {
			errs = append(errs, err)
		}
		if r.broken != nil && !errors.Is(r.broken, errClosed) {
			errs = append(errs, r.broken)
		}
		r.mu.Unlock()
	}
	return errors.Join(errs...)
}

// unfinished returns the spaces in the folder whose recordings are not complete,
// and notes those that are for the upload.
func (a *Archive) unfinished() ([]space.ID, error) {
	entries, err := os.ReadDir(a.opts.Dir)
	if err != nil {
		return nil, err
	}
	var ids []space.ID
	for _, e := range entries {
		id := space.ID(e.Name())
		if !e.IsDir() || !validID(id) {
			continue
		}
		if !a.isComplete(id) {
			ids = append(ids, id)
		} else if a.opts.Blob != nil && exists(a.path(id, mediaName("ogg"))) {
			select {
			case a.uploads <- id:
			default:
			}
		}
	}
	return ids, nil
}

func (a *Archive) path(id space.ID, name string) string {
	return filepath.Join(a.opts.Dir, string(id), name)
}

func (a *Archive) isComplete(id space.ID) bool { return exists(a.path(id, jsonName)) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// validID keeps what is not an id from becoming a path.
func validID(id space.ID) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	return !strings.ContainsFunc(string(id), func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}
