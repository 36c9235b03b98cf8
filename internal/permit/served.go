package permit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"hustings/internal/space"
)

// servedSubject is followed by the name of a node.
const servedSubject = "hustings.served."

const (
	tellEvery = time.Second
	// silence is after how long a node that says nothing serves nobody.
	silence = 5 * time.Second
	// mostNodes bounds what is remembered of one rehearsal.
	mostNodes = 4096
)

// Bus carries what the nodes say.
type Bus interface {
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	Publish(subject string, data []byte) error
}

// word is what a node says of a crowd that is with it, once a second.
type word struct {
	Node      string       `json:"node"`
	Rehearsal string       `json:"rehearsal"`
	Served    space.Served `json:"served"`
}

var errWord = errors.New("not the word of a node on a rehearsal")

func parseWord(subject string, data []byte) (word, error) {
	var w word
	if err := json.Unmarshal(data, &w); err != nil {
		return word{}, fmt.Errorf("%w: %w", errWord, err)
	}
	s := w.Served
	if w.Node == "" || len(w.Node) > 256 || strings.TrimPrefix(subject, servedSubject) != w.Node || len(w.Rehearsal) > 64 {
		return word{}, fmt.Errorf("%w: %.80q of node %.80q", errWord, subject, w.Node)
	}
	const many = 1 << 40 // more than there are people, and far from overflowing a sum
	if min(s.Hearing, s.Nodes, s.Audience, s.Rung) < 0 || max(s.Hearing, s.Nodes, s.Audience, s.Rung) > many || max(s.Joined, s.Skips) > many {
		return word{}, fmt.Errorf("%w: a count that can't be, of node %.80q", errWord, w.Node)
	}
	for _, v := range []float64{s.Processor, s.Late, s.Interval, s.Depth} {
		if v < 0 || v > math.MaxInt32 || math.IsNaN(v) {
			return word{}, fmt.Errorf("%w: a figure that can't be, of node %.80q", errWord, w.Node)
		}
	}
	return w, nil
}

// Teller says on the bus what this node counts of the crowds that are with it.
type Teller struct {
	Node     string // its name among all
	Bus      Bus
	Verifier *Verifier // knows which crowds came
	Logger   *slog.Logger
}

// Run says it once a second, while there is a crowd, until ctx is done.
func (t *Teller) Run(ctx context.Context) error {
	log := t.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	each := time.NewTicker(tellEvery)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-each.C:
		}
		for _, g := range t.Verifier.guests(t.Verifier.opts.Now()) {
			if err := t.tell(g); err != nil {
				log.Warn("what this node counts of a rehearsal is not told", "rehearsal", g.ID, "err", err)
			}
		}
	}
}

func (t *Teller) tell(g guest) error {
	served := t.Verifier.measure(g.Space)
	served.Nodes = 1
	served.Joined -= min(served.Joined, g.before.Joined)
	served.Skips -= min(served.Skips, g.before.Skips)
	// A subject's words end at each dot, and names of hosts have some.
	name := strings.ReplaceAll(t.Node, ".", "-")
	data, err := json.Marshal(word{Node: name, Rehearsal: g.ID, Served: served})
	if err != nil {
		return err
	}
	return t.Bus.Publish(servedSubject+name, data)
}

// Nodes add up what all nodes say of a rehearsal. Its methods may be called by any
// goroutine.
type Nodes struct {
	bus Bus
	now func() time.Time
	log *slog.Logger

	mu    sync.Mutex                      // guards words
	words map[string]map[string]heardWord // by rehearsal, then by node
}

type heardWord struct {
	space.Served
	at time.Time
}

// NewNodes makes it; now may be nil for time.Now, and log for silence.
func NewNodes(bus Bus, now func() time.Time, log *slog.Logger) *Nodes {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Nodes{bus: bus, now: now, log: log, words: make(map[string]map[string]heardWord)}
}

// Run hears the nodes until ctx is done.
func (n *Nodes) Run(ctx context.Context) error {
	stop, err := n.bus.Subscribe(servedSubject+"*", n.hear)
	if err != nil {
		return fmt.Errorf("permit: %w", err)
	}
	defer stop()
	<-ctx.Done()
	return nil
}

func (n *Nodes) hear(subject string, data []byte) {
	w, err := parseWord(subject, data)
	if err != nil {
		n.log.Warn("a message on the bus is ignored", "err", err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.words[w.Rehearsal]
	if of == nil {
		if len(n.words) >= most { // one is on at a time: the others are long over
			clear(n.words)
		}
		of = make(map[string]heardWord)
		n.words[w.Rehearsal] = of
	}
	if _, known := of[w.Node]; known || len(of) < mostNodes {
		of[w.Node] = heardWord{w.Served, n.now()}
	}
}

// Served returns what all nodes count of a rehearsal now. Who joined and who was
// skipped through a node that is silent since stays counted.
func (n *Nodes) Served(rehearsal string) space.Served {
	n.mu.Lock()
	defer n.mu.Unlock()
	var sum space.Served
	now := n.now()
	for _, w := range n.words[rehearsal] {
		joined, skips := sum.Joined+w.Joined, sum.Skips+w.Skips
		if now.Sub(w.at) < silence {
			hearing, nodes, audience := sum.Hearing+w.Hearing, sum.Nodes+1, sum.Audience+w.Audience
			sum = sum.Worst(w.Served)
			sum.Hearing, sum.Nodes, sum.Audience = hearing, nodes, audience
		}
		sum.Joined, sum.Skips = joined, skips
	}
	return sum
}
