package reach

import (
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"hustings/internal/programme"
)

// Edges say where a programme is to be had. A value never changes; it knows no
// network and no clock, and whoever listens keeps its own Failures beside it.
type Edges struct {
	origin string // the server of the page
	at     time.Time
	list   []programme.Edge // empty: the origin alone
}

// NewEdges returns those of a page that names none: its own server.
func NewEdges(origin string) Edges { return Edges{origin: origin} }

// Open returns what a signed list says, if one of the keys has signed it and it is
// not older than what is known. An empty list is the origin alone. With an error
// the edges are those from before.
//
// Errors: those of programme.OpenEdges.
func (e Edges) Open(signed string, keys []string) (Edges, error) {
	if signed == "" {
		return Edges{origin: e.origin}, nil
	}
	err := errors.New("the server has no keys that its list of edges could be signed with")
	for _, key := range keys {
		var opened programme.Edges
		if opened, err = programme.OpenEdges(signed, key); err != nil {
			continue
		}
		if opened.At.Before(e.at) {
			return e, nil // a copy on the way was slower than what we have
		}
		return Edges{origin: e.origin, at: opened.At, list: opened.List}, nil
	}
	return e, err
}

// List returns the addresses of all edges, or that of the origin if there are none.
func (e Edges) List() []string {
	if len(e.list) == 0 {
		return []string{e.origin}
	}
	all := make([]string, len(e.list))
	for i, edge := range e.list {
		all[i] = edge.URL
	}
	return all
}

// Pick returns an edge to listen at: one by weight that has not failed lately; draw
// is a random number in [0, 1). With none left it is the page's own server, also
// where that is not meant to carry listeners; and if that has failed too, the one
// whose failure is longest ago. Then fresh is false: no hurry.
func (e Edges) Pick(failures *Failures, now time.Duration, draw float64) (address string, fresh bool) {
	total := 0
	for _, edge := range e.list {
		if !failures.Recent(edge.URL, now) {
			total += edge.Weight
		}
	}
	if total == 0 {
		return e.lastResort(failures, now)
	}
	at := min(int(draw*float64(total)), total-1)
	for _, edge := range e.list {
		if failures.Recent(edge.URL, now) {
			continue
		}
		if at -= edge.Weight; at < 0 {
			return edge.URL, true
		}
	}
	return e.lastResort(failures, now) // not reached: at was below the sum of the weights
}

func (e Edges) lastResort(failures *Failures, now time.Duration) (address string, fresh bool) {
	address, longest := e.origin, failures.since(e.origin, now)
	if longest >= failedFor {
		return address, true
	}
	for _, edge := range e.list {
		if since := failures.since(edge.URL, now); edge.Weight > 0 && since > longest {
			address, longest = edge.URL, since
		}
	}
	return address, false
}

// Others reports whether there is a server besides the given one that has not failed
// lately.
func (e Edges) Others(than string, failures *Failures, now time.Duration) bool {
	if e.origin != than && !failures.Recent(e.origin, now) {
		return true
	}
	return slices.ContainsFunc(e.list, func(edge programme.Edge) bool {
		return edge.Weight > 0 && edge.URL != than && !failures.Recent(edge.URL, now)
	})
}

// failedFor is how long an edge that failed is passed over.
const failedFor = 30 * time.Second

// Failures remember which edges failed a listener lately: the last four of them, in
// 32 bytes, since a crowd has one for each listener. Times count from any fixed
// moment. The zero value remembers nothing.
type Failures struct {
	last [4]struct {
		edge uint32 // hash of its address
		at   uint32 // in ms, and one more: 0 is none
	}
}

func edgeHash(address string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(address)) // never fails
	return h.Sum32()
}

// Add remembers that an edge failed.
func (f *Failures) Add(address string, now time.Duration) {
	hash, oldest := edgeHash(address), 0
	for i, failure := range f.last {
		if failure.at > 0 && failure.edge == hash {
			oldest = i
			break
		}
		if failure.at < f.last[oldest].at {
			oldest = i
		}
	}
	f.last[oldest].edge, f.last[oldest].at = hash, uint32(now.Milliseconds())+1
}

// Forget takes back what was remembered of an edge: it serves.
func (f *Failures) Forget(address string) {
	for i, hash := 0, edgeHash(address); i < len(f.last); i++ {
		if f.last[i].edge == hash {
			f.last[i].at = 0
		}
	}
}

// Recent reports whether an edge failed within the last 30 s.
func (f *Failures) Recent(address string, now time.Duration) bool {
	return f.since(address, now) < failedFor
}

// since returns how long ago an edge failed; very long if that is not known.
func (f *Failures) since(address string, now time.Duration) time.Duration {
	if *f == (Failures{}) {
		return math.MaxInt64
	}
	hash := edgeHash(address)
	for _, failure := range f.last {
		if failure.at > 0 && failure.edge == hash {
			return now - time.Duration(failure.at-1)*time.Millisecond
		}
	}
	return math.MaxInt64
}
