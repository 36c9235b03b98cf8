package web

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"hustings/internal/archive"
	"hustings/internal/guard"
	"hustings/internal/live"
	"hustings/internal/space"
)

// completeWithin is how long a request waits that comes between the end of a space
// and its complete recording, which takes a second.
const completeWithin = 3 * time.Second

// recording answers with a file of a recording, or a part of it.
func (w *Web) recording(rw http.ResponseWriter, r *http.Request) {
	guard.OpenToAll(rw.Header())
	id, ext := live.SplitName(r.PathValue("file"))
	sp, err := w.Desk.Get(r.Context(), id)
	switch {
	case err != nil:
		w.fail(rw, r, err)
		return
	case ext != "ogg" && ext != "mp4" && ext != "json":
		live.NoFormat(ext, "/recordings/"+string(id)).Write(rw, r)
		return
	case sp.Phase != space.Ended:
		w.noRecording(rw, r, sp)
		return
	}
	file, err := w.openRecording(r.Context(), id, ext)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	defer file.Close()
	header := rw.Header()
	header.Set("Content-Type", file.Type)
	// A complete recording never changes, but the file that it is in does: it moves
	// from this disk to the recordings' store. So its marks are the space's.
	header.Set("ETag", fmt.Sprintf(`"%x-%x"`, sp.EndedAt.UnixMicro(), file.Size))
	header.Set("Cache-Control", "public, max-age=3600")
	told := w.guard.InForm(rw, r, func(status int) string {
		if status == http.StatusPreconditionFailed {
			return "the recording is not the one that your request names; ask again without its conditions"
		}
		return fmt.Sprintf("the recording has %d bytes; ask for a range within them, such as bytes=0-99, or for all of it", file.Size)
	})
	http.ServeContent(told, r, "", *sp.EndedAt, file)
}

func (w *Web) openRecording(ctx context.Context, id space.ID, ext string) (archive.Content, error) {
	soon, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	err := w.Archive.Finished(soon, id)
	switch {
	case err == nil:
		return w.Archive.Open(ctx, id, ext)
	case space.KindOf(err) == space.NotFound:
		// Not kept on this machine any more, or never: the archive knows.
		return w.Archive.Open(ctx, id, ext)
	case soon.Err() != nil && ctx.Err() == nil:
		w.log.Warn("a recording is not complete", "space", id, "err", err)
		return archive.Content{}, space.Errorf(space.TooEarly, "the recording is being completed; ask again in a second")
	default:
		return archive.Content{}, err
	}
}

// noRecording answers for a space that has none, by its phase.
func (w *Web) noRecording(rw http.ResponseWriter, r *http.Request, sp space.Space) {
	if sp.Phase.OnAir() {
		p := newProblem(space.Errorf(space.TooEarly, "the recording is up when the space has ended; until then listen at /live/%s.ogg", sp.ID))
		p.Header.Set("Retry-After", "60")
		p.Write(rw, r)
		return
	}
	live.OffAir(sp, visitOf(r.Context()).base).Write(rw, r)
}
