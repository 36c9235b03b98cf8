package edge

import (
	"cmp"
	"slices"
	"time"

	"hustings/internal/programme"
)

// An edge that was lost is believed again after a while that doubles with each loss,
// so that one whose network comes and goes does not take its listeners along.
const (
	firstProof = 2 * time.Second
	longProof  = 30 * time.Second
	forgiven   = 2 * time.Minute // in the list without a loss
)

// An edge that says it is loaded is given less to do at once, and more again when it
// has been calm for a while.
const (
	busy      = 0.75 // half of its weight
	veryBusy  = 0.90 // a quarter
	calmAfter = 15 * time.Second
)

// members are the edges that the core has heard of. It is a pure state machine: who
// calls it says what time it is, and never calls it twice at once.
type members struct {
	edges map[string]*member
	last  time.Time // of the newest call
}

type member struct {
	beat  Beat
	heard time.Time
	in    bool
	since time.Time     // it is in, or is heard again without a pause
	proof time.Duration // how long it has to be heard before it is in
	share int           // its weight is divided by it: 1, 2 or 4
	calm  time.Time     // since when a smaller share would do
}

// hear takes in what an edge says. It is false for one that has the name of another,
// who is there: were both believed, the list would change with every beat.
func (m *members) hear(b Beat, now time.Time) bool {
	m.pass(now)
	e := m.edges[b.Name]
	switch {
	case e != nil && e.beat.URL != b.URL && now.Sub(e.heard) < silentAfter:
		return false
	case b.Bye:
		delete(m.edges, b.Name)
		return true
	case e == nil && len(m.edges) >= programme.MaxEdges-1:
		return true // and one place for the core
	case e == nil:
		if m.edges == nil {
			m.edges = make(map[string]*member)
		}
		e = &member{in: true, since: now, share: 1}
		m.edges[b.Name] = e
	}
	e.beat, e.heard = b, now
	e.weigh(now)
	if !e.in && now.Sub(e.since) >= e.proof {
		e.in, e.since = true, now
	}
	if e.in && now.Sub(e.since) >= forgiven {
		e.proof = 0
	}
	return true
}

// weigh settles how much of its weight an edge gets.
func (e *member) weigh(now time.Time) {
	share := 1
	switch {
	case e.beat.Load >= veryBusy:
		share = 4
	case e.beat.Load >= busy:
		share = 2
	}
	switch {
	case share > e.share:
		e.share, e.calm = share, time.Time{}
	case share == e.share:
		e.calm = time.Time{}
	case e.calm.IsZero():
		e.calm = now
	case now.Sub(e.calm) >= calmAfter:
		e.share, e.calm = share, time.Time{}
	}
}

// weight is what is left of its weight.
func (e *member) weight() int {
	if e.beat.Weight == 0 {
		return 0
	}
	return max(1, e.beat.Weight/e.share)
}

// pass lets time go by. Edges that were silent for too long are lost. When it was
// ourselves who stood still, nobody was silent.
func (m *members) pass(now time.Time) {
	still := now.Sub(m.last)
	m.last = now
	for name, e := range m.edges {
		if still > beatEvery && !e.heard.IsZero() {
			e.heard = e.heard.Add(still)
		}
		silent := now.Sub(e.heard)
		switch {
		case silent < silentAfter:
		case e.in:
			e.in = false
			e.proof = min(max(2*e.proof, firstProof), longProof)
			e.since = now
		case silent >= forgiven:
			delete(m.edges, name)
		default:
			e.since = now // it has to be heard from here on
		}
	}
}

// list returns the edges that serve, one for each address, heaviest first.
func (m *members) list() []programme.Edge {
	byURL := make(map[string]int)
	for _, e := range m.edges {
		if !e.in {
			continue
		}
		byURL[e.beat.URL] = max(e.weight(), byURL[e.beat.URL])
	}
	list := make([]programme.Edge, 0, len(byURL))
	for url, weight := range byURL {
		list = append(list, programme.Edge{URL: url, Weight: weight})
	}
	slices.SortFunc(list, func(a, b programme.Edge) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.URL, b.URL))
	})
	return list
}

// listeners returns how many the edges serve.
func (m *members) listeners() (n int) {
	for _, e := range m.edges {
		if e.in {
			n += e.beat.Listeners
		}
	}
	return n
}
