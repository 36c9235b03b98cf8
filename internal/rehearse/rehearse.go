// Package rehearse puts a crowd on a deployment and says what it heard.
//
//	r, err := rehearse.New(rehearse.Options{URL: ..., Token: ..., Plan: ...})
//	summary, err := r.Run(ctx)
//
// It asks the server for a permit, starts the crowd (the room crowd: real clients,
// which speak the public protocol and nothing else), samples it each second beside
// what the servers count themselves, and at the end has the server sign the report.
//
//	plan.go    who comes when: the shapes of arrival
//	team.go    the crowd, in this process or in several; worker.go is their protocol
//	count.go   what is counted, second by second
//	words.go   what came of it, in words that a host understands
//	view.go    the live view of a terminal, and plain lines elsewhere
//	page.go    the page that a host can publish; plot.go draws
package rehearse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"hustings/internal/client"
	"hustings/internal/crowd"
	"hustings/internal/space"
)

// Options say which crowd comes to which space. URL, Token and Plan are required.
type Options struct {
	URL   string // a link to the space
	Token string // the owner's
	Plan  Plan
	// Workers is how many processes the crowd runs in; 0: as many as it takes. With
	// one it is this process.
	Workers int
	// Program is the command that runs RunWorker on its standard streams; needed for
	// more than one.
	Program []string
	Stderr  io.Writer // gets what workers log; nil: nothing does

	Viewer Viewer       // is shown each second; nil: nobody looks
	Logger *slog.Logger // nil: discard
}

// Viewer looks at a rehearsal while it runs. Its methods return at once.
type Viewer interface {
	Begin(Scene)
	Show(Sample)
	End()
}

// Scene is what a rehearsal is about.
type Scene struct {
	Space   client.Space
	Server  string
	Plan    Plan
	Workers int
	Began   time.Time
}

const (
	sampleEvery = time.Second
	// grace is how long after its plan a crowd may take to leave before it is ended,
	// and how much longer than the plan its permit is asked for.
	grace = 15 * time.Second
	// reportWithin bounds how long the last calls to the server take.
	reportWithin = 30 * time.Second
)

// Rehearsal is one. Make it with New, and run it once.
type Rehearsal struct {
	opts    Options
	log     *slog.Logger
	owner   client.Owner
	workers int

	mu     sync.Mutex    // guards served
	served *space.Served // as the server said last; nil when it does not say
}

// New checks the options and starts nothing.
func New(o Options) (*Rehearsal, error) {
	link, err := client.ParseLink(o.URL)
	if err != nil {
		return nil, err
	}
	if _, err := ParseShape(string(o.Plan.Shape)); err != nil {
		return nil, err
	}
	if err := o.Plan.check(); err != nil {
		return nil, err
	}
	most, _ := crowd.Most(strings.HasPrefix(link.Server, "https:"))
	workers, err := workersFor(o.Plan.Listeners, o.Workers, min(most, perProcess))
	if err != nil {
		return nil, err
	}
	if o.Token == "" {
		return nil, errors.New("a rehearsal needs the owner's token, by --token or HUSTINGS_OWNER_TOKEN: it is in the file owner.token of the server's data folder")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	return &Rehearsal{opts: o, log: o.Logger, owner: client.Owner{Link: link, Token: o.Token}, workers: workers}, nil
}

// Run is the rehearsal, from the permit to the signed report. When ctx ends before,
// the crowd leaves, and what was heard until then is reported.
func (r *Rehearsal) Run(ctx context.Context) (*Result, error) {
	sp, err := r.owner.Space(ctx)
	if err != nil {
		return nil, err
	}
	permit, err := r.owner.Rehearse(ctx, r.opts.Plan.Listeners, startIn(r.workers)+r.opts.Plan.Length()+2*grace)
	if err != nil {
		return nil, r.refused(err)
	}
	result, err := r.hold(ctx, sp, permit)
	// However it went: the permit is not needed any more, and ctx may be done.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportWithin)
	defer cancel()
	if err != nil {
		return nil, errors.Join(err, r.owner.EndRehearsal(after, permit.ID))
	}
	r.report(after, permit.ID, result)
	return result, nil
}

// report has the server sign what came of it. If it does not, the rehearsal is still on
// there, and in the way of the next one.
func (r *Rehearsal) report(ctx context.Context, rehearsal string, result *Result) {
	result.Note, result.ReportErr = r.owner.ReportRehearsal(ctx, rehearsal, result.Crowd)
	if result.ReportErr == nil {
		return
	}
	if err := r.owner.EndRehearsal(ctx, rehearsal); err != nil {
		r.log.Debug("the permit could not be given back, or it was over", "err", err)
	}
}

// refused says what to do about a permit that was not given.
func (r *Rehearsal) refused(err error) error {
	e, answered := errors.AsType[*client.StatusError](err)
	switch {
	case answered && e.Status == 401:
		return fmt.Errorf("the server does not take this token for its owner's: it is in the file owner.token of its data folder (%w)", err)
	case answered && e.Status == 404:
		return fmt.Errorf("%s does not know rehearsals, or not this space: %w", r.owner.Link.Server, err)
	case answered:
		return fmt.Errorf("the server permits no rehearsal: %w", err)
	}
	return err
}

// hold is the rehearsal while its permit holds.
func (r *Rehearsal) hold(ctx context.Context, sp client.Space, permit space.Permit) (*Result, error) {
	began := time.Now().Add(startIn(r.workers))
	work := Work{URL: r.opts.URL, Permit: permit.Permit, Plan: r.opts.Plan, Start: began}
	team, err := newTeam(work, r.workers, r.opts.Program, r.opts.Stderr, r.log)
	if err != nil {
		return nil, err
	}
	scene := Scene{Space: sp, Server: r.owner.Link.Server, Plan: r.opts.Plan, Workers: r.workers, Began: began}
	if v := r.opts.Viewer; v != nil {
		v.Begin(scene)
		defer v.End()
	}
	// What the plan leaves behind is ended by force, well before the permit is.
	ctx, cancel := context.WithDeadline(ctx, began.Add(r.opts.Plan.Length()+grace))
	defer cancel()
	course, err := r.watch(ctx, team, permit.ID, began)
	if err != nil {
		return nil, err
	}
	interrupted := course.last().At < r.opts.Plan.Length()-sampleEvery && ctx.Err() != nil
	return newResult(scene, permit, course, interrupted), nil
}

// watch runs the crowd and takes a sample each second.
func (r *Rehearsal) watch(ctx context.Context, team *team, rehearsal string, began time.Time) (*course, error) {
	asking, stop := context.WithCancel(context.WithoutCancel(ctx))
	var asks sync.WaitGroup
	asks.Go(func() { r.follow(asking, rehearsal) })
	defer asks.Wait()
	defer stop()

	done := make(chan error, 1)
	go func() { done <- team.Run(ctx) }()
	c := &course{}
	each := time.NewTicker(sampleEvery)
	defer each.Stop()
	for {
		select {
		case err := <-done:
			if c.add(r.sample(team, c, time.Since(began))); c.last().Arrived == 0 && err != nil {
				return nil, fmt.Errorf("the crowd could not set out: %w", err)
			} else if err != nil {
				r.log.Error("a part of the crowd failed", "err", err)
			}
			return c, nil
		case now := <-each.C:
			if now.Before(began) {
				continue // workers are starting
			}
			c.add(r.sample(team, c, now.Sub(began)))
			if v := r.opts.Viewer; v != nil {
				v.Show(c.last())
			}
		}
	}
}

func (r *Rehearsal) sample(team *team, c *course, at time.Duration) Sample {
	s := Sample{At: max(at, 0), count: team.count()}
	before := c.last()
	if elapsed := (s.At - before.At).Seconds(); elapsed > 0.1 {
		took := s.Figures.Generator.CPU - before.Figures.Generator.CPU
		s.Generator = min(1, max(0, took/elapsed/float64(runtime.NumCPU())))
	} else {
		s.Generator = before.Generator
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.served != nil {
		served := *r.served
		s.Served = &served
	}
	return s
}

// follow asks the server each second for its own count. A server under load may
// answer late or not at all: that is no fault of the crowd, and shows as a hole.
func (r *Rehearsal) follow(ctx context.Context, rehearsal string) {
	each := time.NewTicker(sampleEvery)
	defer each.Stop()
	for {
		within, cancel := context.WithTimeout(ctx, 3*sampleEvery)
		standing, err := r.owner.Rehearsal(within, rehearsal)
		cancel()
		r.mu.Lock()
		if r.served = &standing.Now; err != nil || standing.Now.Nodes == 0 {
			r.served = nil // no node has said anything yet, or any more
		}
		r.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			r.log.Debug("the server does not tell its count", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-each.C:
		}
	}
}
