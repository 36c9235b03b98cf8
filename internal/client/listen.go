package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/reach"
	"hustings/internal/space"
)

// ListenOptions say what is listened to, and for how long. URL is required.
type ListenOptions struct {
	URL string        // a link to the space
	For time.Duration // after the first sound; 0 is until the space or ctx ends
	Out io.Writer     // gets what was heard as Ogg Opus; nil is nowhere
	// Unproven leaves the proofs out: the server is asked for nothing but the sound.
	Unproven bool

	HTTP   *http.Client // nil is http.DefaultClient
	Logger *slog.Logger // nil is silence
}

// Report says what was heard. All times are in seconds.
type Report struct {
	Space   space.ID `json:"space"`
	Seconds float64  `json:"seconds_heard"` // of programme, each moment counted once
	// Gaps are holes in the programme as it was heard: what the listener missed,
	// and what was never spoken while the server was down.
	Gaps       int     `json:"gaps"`
	GapSeconds float64 `json:"gap_seconds"`
	// FirstSound is the time from the request to the first block.
	FirstSound float64 `json:"first_sound_seconds"`
	// Backlog came at once at the beginning, so that a player starts at once.
	Backlog float64 `json:"backlog_seconds"`
	// Latency is the median time from the mixing of a block's last packet on stage
	// to the block's arrival here, by the clocks of both machines; -1 if it is not
	// known. A player adds what it buffers; a speaker's way to the stage is before it.
	Latency    float64 `json:"latency_seconds"`
	Bytes      int64   `json:"bytes"`
	Blocks     int     `json:"blocks"`
	Proven     int     `json:"blocks_proven"` // found in the signed log as they were heard
	Reconnects int     `json:"reconnects"`
	Moves      int     `json:"moves"` // of them, those to another edge
	Ended      bool    `json:"ended"` // the space ended
}

// How long nothing may come before a connection is given up, at least: with another
// edge to go to, a listener loses nothing by being hasty.
const (
	silentFor      = 5 * time.Second
	silentWithMore = 2500 * time.Millisecond
)

// Listen hears a space's programme by its fragmented MP4 until the space, For or
// ctx ends; all three are good ends. If the connection breaks it goes on by itself,
// at another edge if the space has any, from where it was; and if the doors are not
// open yet it waits for them. The report is valid with an error too.
func Listen(ctx context.Context, o ListenOptions) (Report, error) {
	link, err := ParseLink(o.URL)
	if err != nil {
		return Report{}, err
	}
	l := &listening{
		link: link, http: reach.Client(o.HTTP), log: loggerOr(o.Logger), length: o.For,
		heard: newHeard(time.Now()), zero: time.Now(), token: rand.Text(), at: link.Server, edges: reach.NewEdges(link.Server),
	}
	if o.Out != nil {
		l.out = newRecorder(o.Out)
	}
	if !o.Unproven {
		l.prover = newProver(link, l.http)
	}
	err = l.run(ctx)
	report := l.heard.report()
	report.Space = link.Space
	if l.prover != nil {
		report.Proven = l.prover.proven
	}
	return report, err
}

// listening is one Listen.
type listening struct {
	link   Link
	http   *http.Client
	log    *slog.Logger
	length time.Duration
	until  time.Time // when For is over; zero before the first sound

	heard  *heard
	out    *recorder
	prover *prover

	track    *fmp4.Track // of the stream; nil before it began
	newest   uint32      // sequence of the newest block that was heard
	token    string      // names this listener, so that it is counted once however often it connects
	zero     time.Time   // of now
	lookedUp bool
	keys     []string // verifier keys of the server; nil before they were needed
	edges    reach.Edges
	failures reach.Failures
	at       string // the edge of the newest connection; before the first, the server
	begun    bool   // there was a first
}

// errLengthReached says that For is over.
var errLengthReached = errors.New("heard for long enough")

func (l *listening) run(ctx context.Context) error {
	err := l.connections(ctx)
	if l.out != nil {
		err = errors.Join(err, l.out.close())
	}
	if l.prover != nil && l.heard.blocks > 0 {
		// What was said in the last seconds is under no checkpoint yet. One comes
		// soon; with the connection gone or ctx done it is not waited for.
		wait := ctx.Err() == nil && err == nil
		if perr := l.prover.finish(ctx, wait); perr != nil && err == nil {
			err = perr
		}
		if n := len(l.prover.pending); n > 0 {
			l.log.Warn("not everything that was heard is proven", "blocks", n, "reason", l.prover.failure)
		}
	}
	return err
}

// connections makes one connection after another until there is a reason to stop.
func (l *listening) connections(ctx context.Context) error {
	var wait reach.Backoff
	for {
		before := l.heard.blocks
		err := l.connection(ctx)
		if over, err := l.over(ctx, err); over {
			return err
		}
		if l.heard.blocks > before {
			wait.Reset()
		}
		moving := l.fail(ctx, err)
		switch {
		case tooEarly(err):
			l.log.Info("the doors are not open yet; waiting", "space", l.link.Space)
		case l.heard.blocks == 0 && !moving:
			return err // the first attempt must succeed, wherever it is
		case !moving && !reach.Temporary(err):
			return err
		default:
			l.log.Warn("the connection broke; connecting again", "space", l.link.Space, "at", l.at, "reason", err)
			l.heard.reconnects++
		}
		if !moving && wait.Wait(ctx, err) != nil {
			return nil
		}
	}
}

// fail takes note that the edge failed, and reports whether another one can be tried
// at once.
func (l *listening) fail(ctx context.Context, err error) (moving bool) {
	if tooEarly(err) {
		return false // it is no edge's fault
	}
	l.failures.Add(l.at, l.now())
	l.takeEdges(ctx)
	_, fresh := l.edges.Pick(&l.failures, l.now(), 0)
	return fresh
}

func (l *listening) now() time.Duration { return time.Since(l.zero) }

// over reports whether listening is over, and with what error.
func (l *listening) over(ctx context.Context, err error) (bool, error) {
	switch {
	case ctx.Err() != nil, errors.Is(err, errLengthReached), l.heard.ended:
		return true, nil
	case errors.Is(err, ErrNotAsSigned):
		return true, err
	case l.out != nil && l.out.err != nil:
		return true, l.out.err
	case l.gone(err):
		l.heard.ended = true
		return true, nil
	}
	return l.length > 0 && !l.until.IsZero() && time.Now().After(l.until), nil
}

// gone reports whether err says that the space ended after something was heard.
func (l *listening) gone(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Status == http.StatusGone && l.heard.blocks > 0
}

func tooEarly(err error) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Status == http.StatusTooEarly
}

// connection listens over one connection until it breaks, or For is over.
func (l *listening) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One timer bounds both the silence and the whole: its end cuts the connection.
	alarm := time.AfterFunc(silentFor, cancel)
	defer alarm.Stop()
	if err := l.lookUp(ctx); err != nil {
		return err
	}
	l.begin(ctx)
	alarm.Reset(l.least())
	asked := time.Now()
	resp, err := l.ask(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	l.heard.connected(asked)
	body := &counter{src: resp.Body, n: &l.heard.bytes}
	parts := fmp4.NewReader(body)
	for {
		part, err := parts.Next()
		now := time.Now()
		if l.length > 0 && !l.until.IsZero() && now.After(l.until) {
			return errLengthReached
		}
		if err != nil {
			return l.broken(ctx, err)
		}
		if err := l.part(ctx, part, now); err != nil {
			return err
		}
		alarm.Reset(l.patience(now))
	}
}

// begin picks where to listen.
func (l *listening) begin(ctx context.Context) {
	l.takeEdges(ctx)
	at, _ := l.edges.Pick(&l.failures, l.now(), mathrand.Float64())
	if l.begun && at != l.at {
		l.heard.moves++
	}
	l.at, l.begun = at, true
}

// patience is how long the next part of the stream may take.
func (l *listening) patience(now time.Time) time.Duration {
	quiet := l.heard.quiet(l.least())
	if l.length > 0 && !l.until.IsZero() {
		quiet = min(quiet, l.until.Sub(now))
	}
	return quiet
}

func (l *listening) least() time.Duration {
	if l.edges.Others(l.at, &l.failures, l.now()) {
		return silentWithMore
	}
	return silentFor
}

// takeEdges opens the newest list of edges that came. What can't be believed is
// passed over: the list from before is still good, or the server itself.
func (l *listening) takeEdges(ctx context.Context) {
	signed := l.heard.edges
	if signed == nil {
		return
	}
	if l.keys == nil && *signed != "" {
		keys, err := reach.Keys(ctx, l.http, l.link)
		if err != nil {
			l.log.Warn("the server's keys can't be had, so its list of edges is left for later", "reason", err)
			return
		}
		l.keys = keys
	}
	l.heard.edges = nil
	edges, err := l.edges.Open(*signed, l.keys)
	if err != nil {
		l.log.Warn("the list of edges is not signed by the server: passed over", "reason", err)
	}
	l.edges = edges
}

// broken says why a stream ended.
func (l *listening) broken(ctx context.Context, err error) error {
	switch {
	case err == io.EOF && l.heard.ended:
		return nil
	case err == io.EOF:
		return errors.New("the stream ended before the programme did")
	case ctx.Err() != nil:
		return errors.New("nothing came any more")
	}
	return fmt.Errorf("the stream broke: %w", err)
}

// part takes in the next part of the stream.
func (l *listening) part(ctx context.Context, part fmp4.Part, now time.Time) error {
	switch {
	case part.Init != nil:
		l.track = part.Init
		if l.out != nil {
			return l.out.init(*part.Init)
		}
	case part.Event != nil:
		l.heard.event(part.Event)
	case part.Fragment != nil:
		return l.fragment(ctx, part.Fragment, now)
	}
	return nil
}

func (l *listening) fragment(ctx context.Context, f *fmp4.Fragment, now time.Time) error {
	if l.until.IsZero() {
		l.until = now.Add(l.length)
	}
	for _, missed := range l.missed(ctx, f) {
		if err := l.take(ctx, missed, now); err != nil {
			return err
		}
	}
	return l.take(ctx, f, now)
}

// take takes in a block.
func (l *listening) take(ctx context.Context, f *fmp4.Fragment, now time.Time) error {
	if !l.heard.add(f, now) {
		return nil // it came again, after a reconnect
	}
	l.newest = f.Sequence
	if l.out != nil {
		if err := l.out.write(f); err != nil {
			return err
		}
	}
	if l.prover != nil {
		l.prover.add(f)
		return l.prover.some(ctx)
	}
	return nil
}

// lookUp asks for the space itself, until that was answered once. When the doors
// are still closed, it has no zero of its clock yet.
func (l *listening) lookUp(ctx context.Context) error {
	if l.lookedUp && !l.heard.opened.IsZero() {
		return nil
	}
	about, err := reach.LookUp(ctx, l.http, l.link)
	if err != nil {
		if l.heard.blocks > 0 {
			return nil // the sound may be had elsewhere
		}
		return err
	}
	if about.OpenedAt != nil {
		l.heard.opened = about.OpenedAt.Add(-about.Ahead)
	}
	if !l.lookedUp || about.Edges != "" {
		l.heard.edges = &about.Edges
	}
	l.lookedUp = true
	return nil
}

// ask asks the edge for the stream.
func (l *listening) ask(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.at+"/live/"+string(l.link.Space)+".mp4?listener="+l.token, nil)
	if err != nil {
		return nil, err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, reach.Unreachable(l.at, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, reach.Problem(resp)
	}
	return resp, nil
}

// counter counts what is read.
type counter struct {
	src io.Reader
	n   *int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	*c.n += int64(n)
	return n, err
}
