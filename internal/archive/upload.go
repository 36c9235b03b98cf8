package archive

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"hustings/internal/space"
)

const uploadAgain = 30 * time.Second

func blobName(id space.ID, ext string) string { return string(id) + "." + ext }

// upload moves finished recordings to the blob store, one after the other. Until
// one is there whole, its local files serve.
func (a *Archive) upload(ctx context.Context) {
	for {
		select {
		case id := <-a.uploads:
			for !a.uploadOne(ctx, id) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(uploadAgain):
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// uploadOne reports whether there is nothing left to do.
func (a *Archive) uploadOne(ctx context.Context, id space.ID) bool {
	for _, ext := range []string{"ogg", "mp4", "json"} {
		kind, _ := contentType(ext)
		err := a.opts.Blob.Put(ctx, blobName(id, ext), a.path(id, mediaName(ext)), kind)
		if errors.Is(err, fs.ErrNotExist) {
			return true // moved before, or of a space without a block
		}
		if err != nil {
			a.log.Error("a recording can't be moved to the store; it is served from here, and tried again",
				"space", id, "file", ext, "err", err, "after", uploadAgain)
			return false
		}
	}
	for _, ext := range []string{"ogg", "mp4"} {
		if err := os.Remove(a.path(id, mediaName(ext))); err != nil {
			a.log.Error("a recording was moved to the store but its local file stays", "space", id, "err", err)
		}
	}
	a.log.Info("recording moved to the store", "space", id)
	return true
}
