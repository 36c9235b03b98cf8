package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"hustings/internal/fmp4"
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
	Ended      bool    `json:"ended"` // the space ended
}

// silentFor is how long nothing may come before the connection is given up: a
// block is due every half second, in a calm space as in a loud one.
const silentFor = 5 * time.Second

// Listen hears a space's programme by its fragmented MP4 until the space, For or
// ctx ends; all three are good ends. If the connection breaks it comes back by
// itself, and if the doors are not open yet it waits for them. The report is
// valid with an error too.
func Listen(ctx context.Context, o ListenOptions) (Report, error) {
	link, err := ParseLink(o.URL)
	if err != nil {
		return Report{}, err
	}
	l := &listening{
		link: link, http: httpOr(o.HTTP), log: loggerOr(o.Logger), length: o.For,
		heard: newHeard(time.Now()),
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
	var wait backoff
	for {
		before := l.heard.blocks
		err := l.connection(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errLengthReached), l.heard.ended:
			return nil
		case errors.Is(err, ErrNotAsSigned):
			return err
		case l.out != nil && l.out.err != nil:
			return l.out.err
		case l.over(err):
			l.heard.ended = true
			return nil
		case l.heard.blocks == 0 && !tooEarly(err):
			return err // the first attempt must succeed
		case !temporary(err):
			return err
		case l.length > 0 && !l.until.IsZero() && time.Now().After(l.until):
			return nil
		}
		if l.heard.blocks > before {
			wait.reset()
		}
		if tooEarly(err) {
			l.log.Info("the doors are not open yet; waiting", "space", l.link.Space)
		} else {
			l.log.Warn("the connection broke; connecting again", "space", l.link.Space, "reason", err)
			l.heard.reconnects++
		}
		if wait.wait(ctx, err) != nil {
			return nil
		}
	}
}

// over reports whether err says that the space ended after something was heard.
func (l *listening) over(err error) bool {
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
	if l.heard.opened.IsZero() {
		if err := l.lookUp(ctx); err != nil {
			return err
		}
	}
	asked := time.Now()
	resp, err := l.get(ctx, l.link.Server+"/live/"+string(l.link.Space)+".mp4")
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
		quiet := silentFor
		if l.length > 0 && !l.until.IsZero() {
			quiet = min(quiet, l.until.Sub(now))
		}
		alarm.Reset(quiet)
	}
}

// broken says why a stream ended.
func (l *listening) broken(ctx context.Context, err error) error {
	switch {
	case err == io.EOF && l.heard.ended:
		return nil
	case err == io.EOF:
		return errors.New("the stream ended before the programme did")
	case ctx.Err() != nil:
		return fmt.Errorf("nothing came for %v", silentFor)
	}
	return fmt.Errorf("the stream broke: %w", err)
}

// part takes in the next part of the stream.
func (l *listening) part(ctx context.Context, part fmp4.Part, now time.Time) error {
	switch {
	case part.Init != nil && l.out != nil:
		return l.out.init(*part.Init)
	case part.Event != nil:
		l.heard.pulse(part.Event)
	case part.Fragment != nil:
		return l.fragment(ctx, part.Fragment, now)
	}
	return nil
}

func (l *listening) fragment(ctx context.Context, f *fmp4.Fragment, now time.Time) error {
	if l.until.IsZero() {
		l.until = now.Add(l.length)
	}
	if !l.heard.add(f, now) {
		return nil // it came again, after a reconnect
	}
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

// lookUp asks for the space itself: its opening is the zero of the programme's
// clock, and the answer's Date tells how far the two machines' clocks are apart.
func (l *listening) lookUp(ctx context.Context) error {
	asked := time.Now()
	resp, err := l.get(ctx, l.link.api(""))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var s struct {
		OpenedAt *time.Time `json:"opened_at"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&s); err != nil {
		return fmt.Errorf("what the server says of the space is not understood: %w", err)
	}
	if s.OpenedAt != nil {
		l.heard.opened = s.OpenedAt.Add(-clockOffset(resp.Header.Get("Date"), asked))
	}
	return nil
}

// clockOffset returns how far the server's clock is ahead of ours. Date counts
// whole seconds, so clocks that agree within that are taken to be the same.
func clockOffset(date string, asked time.Time) time.Duration {
	t, err := http.ParseTime(date)
	if err != nil {
		return 0
	}
	offset := t.Add(500 * time.Millisecond).Sub(asked)
	if offset.Abs() < 1500*time.Millisecond {
		return 0
	}
	return offset
}

func (l *listening) get(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, unreachable(l.link.Server, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, problem(resp)
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
