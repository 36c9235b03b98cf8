package rehearse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"hustings/internal/hearing"
)

// part is a share of the crowd, in this process or in another one.
type part interface {
	// Run is there until the plan or ctx ends.
	Run(ctx context.Context) error
	// Figures returns what was counted so far, and whether the part is lost.
	Figures() (f hearing.Figures, dead bool)
}

// team is the whole crowd.
type team struct {
	parts []part
	sizes []int // listeners of each
	plan  Plan
}

// perProcess is the most listeners that one process is given, however many its
// descriptors allow: one thread reads what they all get.
const perProcess = 15000

// newTeam spreads the work over so many processes. One is this one itself.
func newTeam(work Work, workers int, program []string, stderr io.Writer, log *slog.Logger) (*team, error) {
	t := &team{plan: work.Plan}
	if workers == 1 {
		work.Part = Part{Index: 0, Of: 1}
		here, err := newHere(work, log)
		if err != nil {
			return nil, err
		}
		t.parts, t.sizes = []part{here}, []int{work.Plan.Listeners}
		return t, nil
	}
	if len(program) == 0 {
		return nil, errors.New("rehearse: no program to run as a worker")
	}
	for i := range workers {
		work.Part = Part{Index: i, Of: workers}
		t.parts = append(t.parts, &worker{work: work, program: program, stderr: stderr, log: log, patience: endWithin})
		t.sizes = append(t.sizes, work.Part.Size(work.Plan))
	}
	return t, nil
}

// Run runs all parts until the last one has ended.
func (t *team) Run(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(t.parts))
	for i, p := range t.parts {
		all.Go(func() { errs[i] = p.Run(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// count adds up what all parts have counted.
func (t *team) count() count {
	var c count
	for i, p := range t.parts {
		figures, dead := p.Figures()
		c.add(figures, dead, t.sizes[i])
	}
	c.Asked = int64(t.plan.Listeners)
	return c
}

// workersFor returns how many processes a crowd runs in, if each holds so many.
func workersFor(listeners, asked, each int) (int, error) {
	if each < 1 {
		return 0, errors.New("this process may not open enough connections for a single listener: raise its limit of open files (ulimit -n)")
	}
	needed := (listeners + each - 1) / each
	switch {
	case asked == 0:
		return needed, nil
	case asked < 0 || asked > maxWorkers || asked > listeners:
		return 0, fmt.Errorf("--workers %d: use 1 to %d, and no more than there are listeners", asked, maxWorkers)
	case asked < needed:
		return 0, fmt.Errorf("--workers %d: one process holds %d listeners, so that %d of them need %d; leave it out, and as many as it takes are started", asked, each, listeners, needed)
	}
	return asked, nil
}

const (
	maxWorkers = 1000
	// endWithin is how long a worker has to tell its last figures.
	endWithin = 15 * time.Second
)

// startIn is how long before the first arrival workers are started, so that all of
// them are there by then.
func startIn(workers int) time.Duration {
	if workers == 1 {
		return 0
	}
	return min(500*time.Millisecond+time.Duration(workers)*100*time.Millisecond, 20*time.Second)
}
