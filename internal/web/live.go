package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/guard"
	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	// firstBlockWithin is how long a listener waits who comes between the doors'
	// opening, or a restart, and the first block.
	firstBlockWithin = 2 * time.Second
	firstBlockPoll   = 50 * time.Millisecond
	// Those who come before the doors open ask again in between 5 and 60 s.
	earliest = 5 * time.Second
	latest   = time.Minute
	// refuseTime is how long a taken connection may take to be told no.
	refuseTime = 5 * time.Second
)

// mediaTypes are those of the streams.
var mediaTypes = map[broadcast.Format]string{
	broadcast.Ogg: "audio/ogg",
	broadcast.MP4: "audio/mp4",
}

// elsewhere are formats that the contract knows and this build does not make.
var elsewhere = map[string]bool{"mp3": true, "m3u8": true}

func (w *Web) routeProgramme(mux *http.ServeMux) {
	mux.HandleFunc("GET /live/{file}", w.live)
	mux.HandleFunc("GET /live/{id}/pulse", w.pulse)
	mux.HandleFunc("GET /live/{id}/b/{file}", w.block)
	mux.HandleFunc("GET /recordings/{file}", w.recording)
}

// splitName splits the name of a file at its last dot.
func splitName(file string) (id space.ID, ext string) {
	i := strings.LastIndexByte(file, '.')
	if i < 0 {
		return space.ID(file), ""
	}
	return space.ID(file[:i]), file[i+1:]
}

// live takes over the connection of a listener and hands it to broadcast.
func (w *Web) live(rw http.ResponseWriter, r *http.Request) {
	guard.OpenToAll(rw.Header())
	id, ext := splitName(r.PathValue("file"))
	format := broadcast.Format(ext)
	sp, err := w.Desk.Get(r.Context(), id)
	switch {
	case err != nil:
		w.fail(rw, r, err)
		return
	case mediaTypes[format] == "":
		unavailable(rw, r, ext, "/live/"+string(id))
		return
	}
	rung, err := rungOf(r.URL.Query().Get("rung"))
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	if !sp.Phase.OnAir() {
		w.offAir(rw, r, sp)
		return
	}
	if r.Method == http.MethodHead {
		setStreamHeader(rw.Header(), format)
		return
	}
	w.takeOver(rw, r, broadcast.Listener{Space: id, Format: format, Rung: rung})
}

// unavailable answers for a format that is not made here: 406 for those of the
// contract, 404 for what never was one.
func unavailable(rw http.ResponseWriter, r *http.Request, ext, path string) {
	if elsewhere[ext] {
		problemf(http.StatusNotAcceptable, "."+ext+" is not available on this server; use "+path+".ogg or "+path+".mp4").write(rw, r)
		return
	}
	problemf(http.StatusNotFound, "there is no such format; use "+path+".ogg or "+path+".mp4").write(rw, r)
}

func rungOf(text string) (programme.Rung, error) {
	switch text {
	case "", "48", "96":
		return programme.Rung48, nil
	case "24":
		return programme.Rung24, nil
	case "16":
		return programme.Rung16, nil
	}
	return 0, space.Errorf(space.Invalid, "there is no rung %q; use 48, 24 or 16", text)
}

// offAir answers for a space that is not on the air, by its phase.
func (w *Web) offAir(rw http.ResponseWriter, r *http.Request, sp space.Space) {
	p := newProblem(notOnAir(sp))
	switch sp.Phase {
	case space.Scheduled:
		wait := latest
		if sp.StartsAt != nil {
			wait = min(max(time.Until(*sp.StartsAt), earliest), latest)
		}
		p.header.Set("Retry-After", seconds(wait))
	case space.Ended:
		path := visitOf(r.Context()).base + "/recordings/" + string(sp.ID)
		p.header.Add("Link", "<"+path+`.ogg>; rel="alternate"; type="audio/ogg"`)
		p.header.Add("Link", "<"+path+`.mp4>; rel="alternate"; type="audio/mp4"`)
		p.Detail += ": " + path + ".ogg"
	}
	p.write(rw, r)
}

func notOnAir(sp space.Space) error {
	switch sp.Phase {
	case space.Scheduled:
		if sp.StartsAt != nil {
			return space.Errorf(space.TooEarly, "the doors are not open yet; it is announced for %s", sp.StartsAt.Format(time.RFC1123))
		}
		return space.Errorf(space.TooEarly, "the doors are not open yet; come back when the host opens them")
	case space.Ended:
		return space.Errorf(space.Gone, "the space has ended; its recording is here")
	default:
		return space.Errorf(space.Gone, "the space was cancelled; ask its host what comes instead")
	}
}

func setStreamHeader(header http.Header, format broadcast.Format) {
	guard.OpenToAll(header)
	header.Set("Content-Type", mediaTypes[format])
	header.Set("Connection", "close")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // proxies of the nginx kind pass it on as it comes
}

// takeOver hands the connection to broadcast. Between two looks at whether there
// is something to hear yet it is still ours, so that the answer can be no.
func (w *Web) takeOver(rw http.ResponseWriter, r *http.Request, l broadcast.Listener) {
	if !w.awaitFirstBlock(r.Context(), l.Space) {
		w.fail(rw, r, space.Errorf(space.TooEarly, "the programme is just about to begin; connect again in a second"))
		return
	}
	var err error
	// What a client sent behind its request is left unread in the reader: the
	// answer says Connection: close, so nothing else is answered here.
	if l.Conn, _, err = http.NewResponseController(rw).Hijack(); err != nil {
		w.fail(rw, r, err)
		return
	}
	l.Head = streamHead(r, l.Format)
	if err := w.Programme.Attach(l); err != nil {
		w.refuse(l.Conn, r, err)
	}
}

// awaitFirstBlock reports whether there is something to hear.
func (w *Web) awaitFirstBlock(ctx context.Context, id space.ID) bool {
	if w.Programme.Ready(id) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, firstBlockWithin)
	defer cancel()
	poll := time.NewTicker(firstBlockPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-poll.C:
			if w.Programme.Ready(id) {
				return true
			}
		}
	}
}

// streamHead is the head of the endless answer. It has no length and is not
// chunked: the body is what comes until the connection closes, which players of
// all ages understand.
func streamHead(r *http.Request, format broadcast.Format) []byte {
	header := http.Header{}
	setStreamHeader(header, format)
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("X-Content-Type-Options", "nosniff")
	var head bytes.Buffer
	head.WriteString(protocol(r) + " 200 OK\r\n")
	_ = header.Write(&head) // to memory
	head.WriteString("\r\n")
	return head.Bytes()
}

// protocol is that of the answer: an old client gets its own.
func protocol(r *http.Request) string {
	if r.ProtoAtLeast(1, 1) {
		return "HTTP/1.1"
	}
	return "HTTP/1.0"
}

// refuse answers on a connection that was taken over for nothing.
func (w *Web) refuse(conn net.Conn, r *http.Request, err error) {
	defer conn.Close()
	w.blame(r.Context(), err)
	p := newProblem(err)
	body, _ := json.Marshal(&p.ErrorModel) // a plain struct: it can't fail
	var text bytes.Buffer
	p.header.Set("Content-Type", "application/problem+json")
	p.header.Set("Content-Length", strconv.Itoa(len(body)))
	p.header.Set("Connection", "close")
	guard.OpenToAll(p.header)
	text.WriteString(protocol(r) + " " + strconv.Itoa(p.Status) + " " + p.Title + "\r\n")
	_ = p.header.Write(&text)
	text.WriteString("\r\n")
	text.Write(body)
	if conn.SetWriteDeadline(time.Now().Add(refuseTime)) == nil {
		_, _ = io.Copy(conn, &text) // whoever went away needs no answer
	}
}

// pulse answers with the newest state that rides in the stream.
func (w *Web) pulse(rw http.ResponseWriter, r *http.Request) {
	guard.OpenToAll(rw.Header())
	id := space.ID(r.PathValue("id"))
	sp, err := w.Desk.Get(r.Context(), id)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	pulse, ok := w.Programme.Pulse(id)
	if !ok && sp.Phase.OnAir() {
		w.fail(rw, r, space.Errorf(space.TooEarly, "the programme is just about to begin; ask again in a second"))
		return
	}
	if !ok {
		w.offAir(rw, r, sp)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "public, max-age=1")
	_, _ = rw.Write(pulse)
}

// block answers with one block as a fragment of MP4. It never changes, so any
// cache on the way may keep it for good.
func (w *Web) block(rw http.ResponseWriter, r *http.Request) {
	guard.OpenToAll(rw.Header())
	number, ok := strings.CutSuffix(r.PathValue("file"), ".m4s")
	seq, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || strconv.FormatUint(seq, 10) != number {
		problemf(http.StatusNotFound, "a block is named by its number: /live/ID/b/0.m4s").write(rw, r)
		return
	}
	data, ok := w.Programme.Block(space.ID(r.PathValue("id")), seq)
	if !ok {
		problemf(http.StatusNotFound, "this block is not here (any more); the newest minute is, and the whole programme is in the recording").write(rw, r)
		return
	}
	rw.Header().Set("Content-Type", "audio/mp4")
	rw.Header().Set("Content-Length", strconv.Itoa(len(data)))
	rw.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = rw.Write(data)
}
