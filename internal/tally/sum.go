package tally

import "time"

// mostNodes bounds the nodes that a sum knows one by one.
const mostNodes = 1024

// Sum adds up what all nodes tell of a space. Its zero value is ready; it is for one
// goroutine.
type Sum struct {
	nodes   map[string]word
	tokens  Set
	earlier int // in total, before the first message
	peak    int
}

// word is the last that a node said.
type word struct {
	Message
	at time.Time
}

// GoOn begins with what was counted before, by another Sum: its peak and its total
// still count. Those who listened then are counted again when they come back.
func (s *Sum) GoOn(earlier Tally) {
	s.earlier += earlier.Total
	s.peak = max(s.peak, earlier.Peak)
}

// Add takes a message.
func (s *Sum) Add(m Message, now time.Time) {
	s.tokens.Raise(m.Level)
	for _, hash := range m.Fresh {
		s.tokens.Add(hash)
	}
	m.Fresh = nil
	if s.nodes == nil {
		s.nodes = make(map[string]word)
	}
	if _, known := s.nodes[m.Node]; !known && len(s.nodes) >= mostNodes {
		s.forget(now)
	}
	s.nodes[m.Node] = word{m, now}
	s.peak = max(s.peak, s.At(now).Now)
}

// forget folds the nodes that are silent into what was counted before.
func (s *Sum) forget(now time.Time) {
	for name, w := range s.nodes {
		if now.Sub(w.at) >= Silence {
			s.earlier += w.Anonymous
			delete(s.nodes, name)
		}
	}
}

// At returns the tally at a time. Who listened through a node stays in the total when
// the node is gone.
func (s *Sum) At(now time.Time) Tally {
	t := Tally{Peak: s.peak, Total: s.earlier + s.tokens.Len()}
	for _, w := range s.nodes {
		t.Total += w.Anonymous
		if now.Sub(w.at) < Silence {
			t.Now += w.Now
		}
	}
	return t
}

// Rehearsing returns how many rehearse, over all nodes.
func (s *Sum) Rehearsing(now time.Time) (n int) {
	for _, w := range s.nodes {
		if now.Sub(w.at) < Silence {
			n += w.Message.Rehearsing
		}
	}
	return n
}
