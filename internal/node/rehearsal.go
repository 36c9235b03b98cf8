package node

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hustings/internal/permit"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// startRehearsals lets the owner put a crowd on this deployment, and measures it.
func (w *wiring) startRehearsals(ctx context.Context) (err error) {
	nodes := permit.NewNodes(w.bus, nil, w.logger("permit"))
	w.office, err = permit.New(permit.Options{
		Signer: w.keys.log, Keep: permit.File(w.dir.file("rehearsal.json")), Nodes: nodes, Measure: w.served,
		Version: w.node.opts.Version, Settings: w.settings, Machine: machine(), Edges: w.edgeURLs,
		MaxListeners: w.node.opts.RehearsalMax, MaxTime: w.node.opts.RehearsalTime, Logger: w.logger("permit"),
	})
	if err != nil {
		return err
	}
	w.crew.start(ctx, "counts of rehearsals", nodes.Run)
	w.crew.start(ctx, "permits", w.office.Run)
	w.tellOfRehearsals(ctx, w.office.Verifier())
	return nil
}

// tellOfRehearsals has this node say what it counts of the crowds that come to it.
func (w *wiring) tellOfRehearsals(ctx context.Context, came *permit.Verifier) {
	teller := &permit.Teller{Node: w.name, Bus: w.bus, Verifier: came, Logger: w.logger("permit")}
	w.crew.start(ctx, "count of rehearsals", teller.Run)
}

// served is what this node counts of a crowd.
func (w *wiring) served(id space.ID) space.Served {
	crowd, plan := w.broadcast.Rehearsing(id), w.broadcast.Pace()
	return space.Served{
		Joined: uint64(crowd.Total), Hearing: crowd.Now, Skips: uint64(crowd.Skips), Audience: w.broadcast.Here(id).Now,
		Processor: w.processor.share(), Late: w.delivery.Load().Late.Seconds(), Interval: plan.Interval.Seconds(), Depth: plan.Depth.Seconds(),
		Rung: rungRates()[plan.Rung],
	}
}

// settings are those that matter for how many listeners this deployment can carry.
func (w *wiring) settings() []permit.Setting {
	o := w.node.opts
	return []permit.Setting{
		{Name: "https", Value: strconv.FormatBool(w.door.secure)},
		{Name: "backlog", Value: o.Backlog.String()},
		{Name: "pin-interval", Value: o.Pace.Interval.String()},
		{Name: "pin-rung", Value: strconv.Itoa(o.Pace.Rung)},
		{Name: "max-depth", Value: o.Pace.MaxDepth.String()},
		{Name: "max-egress", Value: fmt.Sprint(o.Pace.Egress)},
		{Name: "open-depth", Value: o.Pace.OpenDepth.String()},
		{Name: "weight", Value: strconv.Itoa(o.Weight)},
		{Name: "descriptors", Value: strconv.FormatUint(descriptors(), 10)},
	}
}

// edgeURLs are the addresses of those who serve listeners beside this server.
func (w *wiring) edgeURLs() (urls []string) {
	if w.edges == nil {
		return nil
	}
	list, err := programme.OpenEdges(w.edges.Edges(), w.keys.log.Verifier())
	if err != nil {
		return nil // there is none
	}
	own := w.addresses().Public
	for _, e := range list.List {
		if e.URL != own {
			urls = append(urls, e.URL)
		}
	}
	return urls
}

// descriptors is how many files and sockets this process may open.
func descriptors() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

func machine() permit.Machine {
	m := permit.Machine{Processors: runtime.GOMAXPROCS(0)}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = uint64(info.Totalram) * uint64(info.Unit)
	}
	return m
}

// processor measures which share of the processors this process uses.
type processor struct {
	mu   sync.Mutex // guards what follows
	at   time.Time
	used time.Duration
	last float64
}

// share returns the share, 0 to 1, over the time since the last look, which is at
// least half a second ago.
func (p *processor) share() float64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	now, used := time.Now(), time.Duration(usage.Utime.Nano()+usage.Stime.Nano())
	p.mu.Lock()
	defer p.mu.Unlock()
	passed := now.Sub(p.at)
	if passed < 500*time.Millisecond {
		return p.last
	}
	if !p.at.IsZero() {
		p.last = min(1, (used-p.used).Seconds()/passed.Seconds()/float64(runtime.GOMAXPROCS(0)))
	}
	p.at, p.used = now, used
	return p.last
}
