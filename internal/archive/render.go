package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hustings/internal/programme"
	"hustings/internal/reel"
	"hustings/internal/space"
)

// Names of the files of one space, in its folder.
const (
	logName  = "blocks.log"
	jsonName = "recording.json" // it is there once the recording is complete
)

func mediaName(ext string) string { return "recording." + ext }

// renderer makes the recording out of the log, in step with it. It begins anew
// whenever the archive does: what a crash left half written is not worth to be
// trusted, and the log has it all.
type renderer struct {
	id    space.ID
	reel  *reel.Reel
	story story
	done  int // entries of the log that are rendered
}

// startRenderer opens the files of a recording in its folder.
func startRenderer(dir string, id space.ID, stereo bool, open func(string) (file, error)) (*renderer, error) {
	of, err := open(filepath.Join(dir, mediaName("ogg")))
	if err != nil {
		return nil, err
	}
	mf, err := open(filepath.Join(dir, mediaName("mp4")))
	if err != nil {
		return nil, errors.Join(err, of.Close())
	}
	files, err := reel.New(reel.Options{Ogg: of, MP4: mf, Name: string(id), Stereo: stereo})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("beginning the recording of %s: %w", id, err), of.Close(), mf.Close())
	}
	return &renderer{id: id, reel: files}, nil
}

// add renders the next block, after silence up to its beginning. After an error,
// for want of space say, it may be called again with the same block.
func (r *renderer) add(b *programme.Block) error {
	if err := r.reel.Add(b.Rungs[programme.Rung48], b.Start); err != nil {
		return fmt.Errorf("recording %s: %w", r.id, err)
	}
	r.story.add(b)
	r.done++
	return nil
}

// finish completes both files. It may be called again after an error.
func (r *renderer) finish() error {
	if err := r.reel.Finish(); err != nil {
		return fmt.Errorf("finishing the recording of %s: %w", r.id, err)
	}
	return nil
}

// sync brings what was written to the disk. It may run beside add.
func (r *renderer) sync() error { return r.reel.Sync() }

func (r *renderer) close() error { return r.reel.Close() }

// writeFile puts a file in place at once and for good.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names of new files durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
