package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	passEvery    = 250 * time.Millisecond
	listEvery    = 30 * time.Second        // the list is published anew
	settledAfter = 1500 * time.Millisecond // of a start: by then each edge was heard
	pulseEdges   = 16                      // in the pulse, which has to be small
	pageBytes    = 512 << 10               // of an answer, at which it takes no more; a message of the bus takes 1 MiB
	pageSpaces   = 16                      // read at once: 0.5 MB at the most, with all that JSON escapes
	readWithin   = 5 * time.Second
)

// CoreBus is what the core needs of the bus.
type CoreBus interface {
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	Handle(subject string, answer func(subject string, request []byte) ([]byte, error)) (stop func(), err error)
	Publish(subject string, data []byte) error
}

// Spaces are what the core tells edges of.
type Spaces interface {
	// List returns spaces page by page; next is what to give as after for the next
	// page, "" at the end.
	List(ctx context.Context, after space.ID, limit int) (page []space.Space, next space.ID, err error)
}

// CoreOptions configure a Core. Bus, Signer and Spaces are required.
type CoreOptions struct {
	Bus    CoreBus // connected by the time of Run
	Signer *programme.Signer
	Spaces Spaces
	// URL is where people reach the core: scheme and host. "": it does not know, and
	// is not in the list.
	URL     string
	Weight  int // its own share of the listeners; 0: it serves them only when there is no edge
	Version string
	Load    func() (load float64, listeners int) // as that of an edge; nil: none
	Logger  *slog.Logger                         // nil: discard
	Metrics prometheus.Registerer                // nil: none
}

// Core is the server's side of its edges. Its methods may be called by any goroutine.
type Core struct {
	opts  CoreOptions
	log   *slog.Logger
	ready chan struct{}
	lists atomic.Pointer[lists] // nil until the edges there are have been heard
	// settled is how long after the start that is.
	settled time.Duration

	mu      sync.Mutex // guards what follows
	members members
	own     member // ourselves, who are never silent
}

// lists are the signed lists as they are now; both are empty where there is no edge.
type lists struct {
	edges  []programme.Edge // and, where there is any, ourselves behind them
	signed time.Time
	all    string
	pulse  string // the heaviest; signed anew only when the edges change
}

// NewCore checks the options.
func NewCore(o CoreOptions) (*Core, error) {
	if o.Bus == nil || o.Signer == nil || o.Spaces == nil {
		return nil, errors.New("the core of edges needs a bus, a signer and the spaces")
	}
	if own := (programme.Edge{URL: o.URL, Weight: o.Weight}); o.URL != "" && !own.Valid() {
		return nil, fmt.Errorf("the core can't be in a list of edges: %q with weight %d", o.URL, o.Weight)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Load == nil {
		o.Load = func() (float64, int) { return 0, 0 }
	}
	c := &Core{own: member{beat: Beat{URL: o.URL, Weight: o.Weight}, share: 1}, opts: o, log: o.Logger, ready: make(chan struct{}), settled: settledAfter}
	if o.Metrics != nil {
		if err := c.register(o.Metrics); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Core) register(to prometheus.Registerer) error {
	count := func(name, help string, of func(*members) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(of(&c.members))
		})
	}
	return errors.Join(
		to.Register(count("hustings_edges", "Edges that serve listeners.", func(m *members) int { return len(m.list()) })),
		to.Register(count("hustings_edges_listeners", "Listeners that edges say they serve.", (*members).listeners)),
	)
}

// Ready is closed when edges are heard and answered.
func (c *Core) Ready() <-chan struct{} { return c.ready }

// Edges returns the signed list of all who serve listeners (programme.OpenEdges);
// "" if that is this server alone.
func (c *Core) Edges() string {
	if l := c.lists.Load(); l != nil {
		return l.all
	}
	return ""
}

// PulseEdges is Edges for the pulse: of a long list the heaviest, and the same text
// for as long as they are the same.
func (c *Core) PulseEdges() string {
	if l := c.lists.Load(); l != nil {
		return l.pulse
	}
	return ""
}

// Changed tells the edges a space as it is now.
func (c *Core) Changed(sp space.Space) {
	data, err := json.Marshal(tell(sp))
	if err == nil {
		err = c.opts.Bus.Publish(spaceSubject+string(sp.ID), data)
	}
	if err != nil {
		c.log.Error("edges are not told of a change; they ask for all spaces within minutes", "space", sp.ID, "err", err)
	}
}

// Run hears and answers edges until ctx is done.
func (c *Core) Run(ctx context.Context) error {
	began := time.Now()
	stopBeats, err := c.opts.Bus.Subscribe(beatSubject+"*", c.hear)
	if err != nil {
		return err
	}
	defer stopBeats()
	for subject, answer := range map[string]func(string, []byte) ([]byte, error){
		coreSubject: c.onCore, spacesSubject: c.onSpaces(ctx),
	} {
		stop, err := c.opts.Bus.Handle(subject, answer)
		if err != nil {
			return err
		}
		defer stop()
	}
	close(c.ready)
	each := time.NewTicker(passEvery)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-each.C:
			if now.Sub(began) >= c.settled {
				c.pass(now)
			}
		}
	}
}

// hear takes the word of an edge.
func (c *Core) hear(subject string, data []byte) {
	b, err := ParseBeat(subject, data)
	if err != nil {
		c.log.Warn("an edge says what can't be understood", "err", err)
		return
	}
	if err := reachable(b.URL, c.opts.URL); err != nil {
		c.log.Warn("an edge is not listed: give it a --public-url of its own, where people reach it", "edge", b.Name, "url", b.URL, "err", err)
		return
	}
	now := time.Now()
	c.mu.Lock()
	taken := c.members.hear(b, now)
	c.mu.Unlock()
	switch {
	case !taken:
		c.log.Warn("two edges have one name: the second is not listed; delete edge.name in its data folder, if that is a copy", "edge", b.Name, "url", b.URL)
	case b.Bye && c.lists.Load() != nil: // its listeners are about to look for another
		c.pass(now)
	}
}

// reachable says why those who come to the core's pages can't go on to an edge at an
// address that is one by its form.
func reachable(edge, core string) error {
	at, err := url.Parse(edge)
	if err != nil {
		return err
	}
	from, err := url.Parse(core)
	switch {
	case err != nil:
		return err
	case edge == core:
		return errors.New("this server itself is there")
	case core == "" || ownMachine(from.Hostname()): // people are on one machine with us
		return nil
	case ownMachine(at.Hostname()):
		return errors.New("on each listener's machine that is the machine itself")
	case from.Scheme == "https" && at.Scheme == "http":
		return errors.New("from a page that came by HTTPS, browsers ask nobody by HTTP")
	}
	return nil
}

// ownMachine reports whether a host is, wherever it is asked for, the machine that asks.
func ownMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip.IsLoopback() || ip.IsUnspecified()
}

// pass makes the list anew when it has changed, and from time to time.
func (c *Core) pass(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members.pass(now)
	edges := c.members.list()
	c.own.beat.Load, _ = c.opts.Load()
	c.own.weigh(now)
	n := len(edges)
	if n > 0 && c.opts.URL != "" {
		edges = append(edges, programme.Edge{URL: c.opts.URL, Weight: c.own.weight()})
	}
	was := c.lists.Load()
	same := was != nil && slices.Equal(was.edges, edges)
	if same && now.Sub(was.signed) < listEvery {
		return
	}
	next, err := c.sign(edges, now)
	if err != nil {
		c.log.Error("the list of edges can't be signed; the one before stays", "err", err)
		return
	}
	if same {
		next.pulse = was.pulse
	} else if was != nil || len(edges) > 0 {
		c.log.Info("edges", "now", n, "listeners", c.members.listeners())
	}
	c.lists.Store(next)
	if err := c.opts.Bus.Publish(listSubject, []byte(next.all)); err != nil {
		c.log.Warn("the list of edges is not published; it will be in half a minute", "err", err)
	}
}

// sign makes the lists of some edges, of whom the last is to be in both.
func (c *Core) sign(edges []programme.Edge, now time.Time) (*lists, error) {
	l := &lists{edges: edges, signed: now}
	if len(edges) == 0 {
		return l, nil
	}
	var err error
	if l.all, err = c.opts.Signer.SignEdges(programme.Edges{At: now, List: edges}); err != nil {
		return nil, err
	}
	l.pulse = l.all
	if last := len(edges) - 1; last >= pulseEdges {
		most := append(slices.Clone(edges[:pulseEdges-1]), edges[last])
		l.pulse, err = c.opts.Signer.SignEdges(programme.Edges{At: now, List: most})
	}
	return l, err
}

// onCore answers whose programme it is.
func (c *Core) onCore(string, []byte) ([]byte, error) {
	return json.Marshal(identity{Key: c.opts.Signer.Verifier(), URL: c.opts.URL, Version: c.opts.Version})
}

// onSpaces answers with a page of spaces, as many as fit.
func (c *Core) onSpaces(ctx context.Context) func(string, []byte) ([]byte, error) {
	return func(_ string, request []byte) ([]byte, error) {
		var want spacesRequest
		if err := json.Unmarshal(request, &want); err != nil || want.After != "" && !want.After.Valid() {
			return nil, errors.New("a request for spaces must be a JSON object with after")
		}
		ctx, cancel := context.WithTimeout(ctx, readWithin)
		defer cancel()
		answer := spacesAnswer{Spaces: []json.RawMessage{}, Next: want.After}
		for size := 0; size < pageBytes; {
			page, next, err := c.opts.Spaces.List(ctx, answer.Next, pageSpaces)
			if err != nil {
				c.log.Error("edges are not told of the spaces", "err", err)
				return nil, errors.New("the spaces can't be read right now; ask again")
			}
			for _, sp := range page {
				data, err := json.Marshal(tell(sp))
				if err != nil {
					return nil, err
				}
				size += len(data) + 1
				answer.Spaces = append(answer.Spaces, data)
			}
			if answer.Next = next; next == "" {
				break
			}
		}
		return json.Marshal(answer)
	}
}
