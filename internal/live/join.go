package live

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/problem"
	"hustings/internal/space"
)

const (
	// firstBlockWithin is how long a listener waits who comes between the doors'
	// opening, or a restart, and the first block.
	firstBlockWithin = 2 * time.Second
	firstBlockPoll   = 50 * time.Millisecond
	// refuseTime is how long a taken connection may take to be told no.
	refuseTime = 5 * time.Second
)

// stream takes over the connection of a listener and hands it to broadcast.
func (l *Live) stream(rw http.ResponseWriter, r *http.Request) {
	openToAll(rw.Header())
	id, ext := SplitName(r.PathValue("file"))
	format := broadcast.Format(ext)
	sp, err := l.opts.Spaces.Get(r.Context(), id)
	switch {
	case err != nil:
		l.fail(rw, r, err)
		return
	case format != broadcast.Ogg && format != broadcast.MP4 && ext != "m3u8":
		NoFormat(ext, "/live/"+string(id)).Write(rw, r)
		return
	}
	asked, err := l.query(r, id)
	if err != nil {
		l.fail(rw, r, err)
		return
	}
	if !sp.Phase.OnAir() {
		l.offAir(rw, r, sp)
		return
	}
	if ext == "m3u8" {
		l.multivariant(rw, r, sp, asked)
		return
	}
	if r.Method == http.MethodHead {
		setStreamHeader(rw.Header(), format)
		return
	}
	l.takeOver(rw, r, broadcast.Listener{
		Space: id, Format: format, Rung: asked.rung,
		Name: asked.listener, Follows: asked.follows, Depth: asked.depth, Rehearsal: asked.rehearsal, Relay: asked.relay,
	})
}

func (l *Live) offAir(rw http.ResponseWriter, r *http.Request, sp space.Space) {
	base, _ := Base(r, l.opts.BaseURL)
	OffAir(sp, base).Write(rw, r)
}

// takeOver hands the connection to broadcast. Between two looks at whether there
// is something to hear yet it is still ours, so that the answer can be no.
func (l *Live) takeOver(rw http.ResponseWriter, r *http.Request, who broadcast.Listener) {
	if !l.awaitFirstBlock(r.Context(), who.Space) {
		l.fail(rw, r, space.Errorf(space.TooEarly, "the programme is just about to begin; connect again in a second"))
		return
	}
	var err error
	// What a client sent behind its request is left unread in the reader: the
	// answer says Connection: close, so nothing else is answered here.
	if who.Conn, _, err = http.NewResponseController(rw).Hijack(); err != nil {
		l.fail(rw, r, err)
		return
	}
	who.Head = l.head(r, who.Format)
	if err := l.opts.Programme.Attach(who); err != nil {
		l.refuse(who.Conn, r, err)
	}
}

// first is the wait for a first block, which all share who come before it: a crowd
// at an opening door costs one look each 50 ms.
type first struct {
	ended chan struct{}
	came  bool // once it has ended
}

// awaitFirstBlock reports whether there is something to hear.
func (l *Live) awaitFirstBlock(ctx context.Context, id space.ID) bool {
	if l.opts.Programme.Ready(id) {
		return true
	}
	l.mu.Lock()
	wait := l.awaiting[id]
	if wait == nil {
		wait = &first{ended: make(chan struct{})}
		l.awaiting[id] = wait
		go l.look(id, wait)
	}
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		return false
	case <-wait.ended:
		return wait.came
	}
}

// look looks for the first block for all who wait for it; it ends by itself soon.
func (l *Live) look(id space.ID, wait *first) {
	deadline := time.NewTimer(firstBlockWithin)
	defer deadline.Stop()
	poll := time.NewTicker(firstBlockPoll)
	defer poll.Stop()
	for late := false; !late && !wait.came; {
		select {
		case <-deadline.C:
			late = true
		case <-poll.C:
		}
		wait.came = l.opts.Programme.Ready(id)
	}
	l.mu.Lock()
	delete(l.awaiting, id)
	l.mu.Unlock()
	close(wait.ended)
}

// heads are the heads of the endless answers that begin in one second: by version
// of HTTP and by format. They are shared and never changed.
type heads struct {
	second int64
	bytes  [2][2][]byte
}

// head returns the head of an endless answer. It has no length and is not chunked:
// the body is what comes until the connection closes, which players of all ages
// understand. An old client gets its own version of HTTP.
func (l *Live) head(r *http.Request, format broadcast.Format) []byte {
	now := time.Now()
	h := l.heads.Load()
	if h == nil || h.second != now.Unix() {
		h = renderHeads(now)
		l.heads.Store(h) // whoever else renders this second's has the same
	}
	version, kind := 1, 0
	if !r.ProtoAtLeast(1, 1) {
		version = 0
	}
	if format == broadcast.MP4 {
		kind = 1
	}
	return h.bytes[version][kind]
}

func renderHeads(now time.Time) *heads {
	h := &heads{second: now.Unix()}
	for version, protocol := range []string{"HTTP/1.0", "HTTP/1.1"} {
		for kind, format := range []broadcast.Format{broadcast.Ogg, broadcast.MP4} {
			header := http.Header{}
			openToAll(header)
			setStreamHeader(header, format)
			header.Set("Date", now.UTC().Format(http.TimeFormat))
			header.Set("X-Content-Type-Options", "nosniff")
			h.bytes[version][kind] = renderHead(protocol+" 200 OK", header, nil)
		}
	}
	return h
}

// refuse answers on a connection that was taken over for nothing.
func (l *Live) refuse(conn net.Conn, r *http.Request, err error) {
	defer conn.Close()
	problem.Blame(r.Context(), l.log, err)
	p := problem.Of(err)
	body := p.JSON()
	p.Header.Set("Content-Type", "application/problem+json")
	p.Header.Set("Content-Length", strconv.Itoa(len(body)))
	p.Header.Set("Connection", "close")
	openToAll(p.Header)
	protocol := "HTTP/1.1"
	if !r.ProtoAtLeast(1, 1) {
		protocol = "HTTP/1.0"
	}
	text := renderHead(protocol+" "+strconv.Itoa(p.Status)+" "+p.Title, p.Header, body)
	if conn.SetWriteDeadline(time.Now().Add(refuseTime)) == nil {
		_, _ = conn.Write(text) // whoever went away needs no answer
	}
}

// renderHead puts an answer together that is written past net/http.
func renderHead(status string, header http.Header, body []byte) []byte {
	var out bytes.Buffer
	out.WriteString(status + "\r\n")
	_ = header.Write(&out) // to memory
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}
