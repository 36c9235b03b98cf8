package rehearse

import (
	"context"
	"log/slog"
	"time"

	"hustings/internal/crowd"
	"hustings/internal/hearing"
)

// here is a part of the crowd in this process.
type here struct {
	crowd *crowd.Crowd
	work  Work
}

func newHere(work Work, log *slog.Logger) (*here, error) {
	if err := work.Plan.check(); err != nil {
		return nil, err
	}
	if err := work.Part.check(work.Plan); err != nil {
		return nil, err
	}
	c, err := crowd.New(crowd.Options{
		URL: work.URL, Listeners: work.Part.Size(work.Plan), Permit: work.Permit, Logger: log,
		Shape: func(i, _ int) time.Duration { return work.Plan.At(work.Part.Listener(i)) },
		Hold:  work.Plan.Hold,
	})
	if err != nil {
		return nil, err
	}
	return &here{crowd: c, work: work}, nil
}

// Run waits for the start, which is the same in all processes, and is there until
// the plan or ctx ends.
func (h *here) Run(ctx context.Context) error {
	if !waitUntil(ctx, h.work.Start) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	upset := make(chan struct{})
	go func() {
		defer close(upset)
		h.upset(ctx)
	}()
	err := h.crowd.Run(ctx)
	cancel()
	<-upset
	return err
}

// upset does in mid-hold what the shape of the crowd has then.
func (h *here) upset(ctx context.Context) {
	at, ok := h.work.Plan.Upset()
	if !ok || !waitUntil(ctx, h.work.Start.Add(at)) {
		return
	}
	if h.work.Plan.Shape == Storm {
		h.crowd.Storm(nil)
		return
	}
	h.crowd.Exit(func(i int) bool { return h.work.Plan.Leaves(h.work.Part.Listener(i)) })
}

// waitUntil tells whether the moment came before ctx ended.
func waitUntil(ctx context.Context, moment time.Time) bool {
	timer := time.NewTimer(time.Until(moment))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Figures returns what was counted so far; a part of this process is never lost.
func (h *here) Figures() (f hearing.Figures, dead bool) { return h.crowd.Snapshot(), false }
