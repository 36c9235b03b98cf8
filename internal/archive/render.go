package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// Names of the files of one space, in its folder.
const (
	logName  = "blocks.log"
	jsonName = "recording.json" // it is there once the recording is complete
)

func mediaName(ext string) string { return "recording." + ext }

// silencePage is how many packets of silence go into one page of a hole: 1 s.
const silencePage = 50

// renderer makes the recording out of the log, in step with it. It begins anew
// whenever the archive does: what a crash left half written is not worth to be
// trusted, and the log has it all.
type renderer struct {
	id    space.ID
	ogg   *oggFile
	mp4   *mp4File
	story story
	done  int // entries of the log that are rendered
	// oggEnd and mp4End may differ when one of the disks' writes failed: each goes on
	// from where it stands.
	oggEnd, mp4End int64
	quiet          programme.Packets // silence
}

// startRenderer opens the files of a recording in its folder.
func startRenderer(dir string, id space.ID, stereo bool, open func(string) (file, error)) (*renderer, error) {
	channels := 1
	if stereo {
		channels = 2
	}
	r := &renderer{id: id}
	for range silencePage {
		r.quiet = append(r.quiet, opus.Silence(channels))
	}
	of, err := open(filepath.Join(dir, mediaName("ogg")))
	if err != nil {
		return nil, err
	}
	mf, err := open(filepath.Join(dir, mediaName("mp4")))
	if err != nil {
		return nil, errors.Join(err, of.Close())
	}
	if r.ogg, err = startOgg(of, id, channels); err == nil {
		r.mp4, err = startMP4(mf, channels)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("beginning the recording of %s: %w", id, err), of.Close(), mf.Close())
	}
	return r, nil
}

// add renders the next block, after silence up to its beginning. After an error,
// for want of space say, it may be called again with the same block.
func (r *renderer) add(b *programme.Block) error {
	if err := r.addOgg(b); err != nil {
		return fmt.Errorf("recording %s: %w", r.id, err)
	}
	if err := r.addMP4(b); err != nil {
		return fmt.Errorf("recording %s: %w", r.id, err)
	}
	r.story.add(b)
	r.done++
	return nil
}

func (r *renderer) addOgg(b *programme.Block) error {
	for r.oggEnd < b.Start {
		quiet := r.silence(b.Start - r.oggEnd)
		end := r.oggEnd + int64(len(quiet))*programme.PacketSamples
		if err := r.ogg.add(quiet, end); err != nil {
			return err
		}
		r.oggEnd = end
	}
	if r.oggEnd < b.End() {
		if err := r.ogg.add(b.Rungs[programme.Rung48], b.End()); err != nil {
			return err
		}
		r.oggEnd = b.End()
	}
	return nil
}

func (r *renderer) addMP4(b *programme.Block) error {
	for r.mp4End < b.Start {
		quiet := r.silence(b.Start - r.mp4End)
		if err := r.mp4.add(quiet); err != nil {
			return err
		}
		r.mp4End += int64(len(quiet)) * programme.PacketSamples
	}
	if r.mp4End < b.End() {
		if err := r.mp4.add(b.Rungs[programme.Rung48]); err != nil {
			return err
		}
		r.mp4End = b.End()
	}
	return nil
}

// silence returns packets for a part of so many samples, a page of them at most.
func (r *renderer) silence(samples int64) programme.Packets {
	return r.quiet[:min(silencePage, samples/programme.PacketSamples)]
}

// finish completes both files. It may be called again after an error.
func (r *renderer) finish() error {
	if err := r.ogg.finish(); err != nil {
		return fmt.Errorf("finishing the recording of %s: %w", r.id, err)
	}
	if err := r.mp4.finish(); err != nil {
		return fmt.Errorf("finishing the recording of %s: %w", r.id, err)
	}
	return nil
}

// sync brings what was written to the disk. It may run beside add.
func (r *renderer) sync() error { return errors.Join(r.ogg.f.Sync(), r.mp4.f.Sync()) }

func (r *renderer) close() error { return errors.Join(r.ogg.f.Close(), r.mp4.f.Close()) }

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
