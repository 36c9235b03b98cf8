package tally

import "time"

const (
	// mostNodes bounds the nodes that a sum knows one by one.
	mostNodes = 1024
	// overdue is the silence of a node after which its listeners may be counted through
	// another one too. Nodes tell something each second.
	overdue = 1500 * time.Millisecond
	// survivors is how long after a Sum goes on from another one nodes may turn up that
	// were a part of that.
	survivors = 30 * time.Second
)

// Sum adds up what all nodes tell of a space. Its zero value is ready; it is for one
// goroutine.
type Sum struct {
	nodes     map[string]word
	tokens    Set
	anonymous int       // without a token, that ever heard
	earlier   int       // in total, before the first message
	began     time.Time // when the first message came
	peak      int
}

// word is the last that a node said.
type word struct {
	Message
	at time.Time
}

// GoOn begins with what was counted before, by another Sum: its peak and its total
// still count. Those who listened then are counted again when they come back; those
// without a token, on nodes that were there before, are not.
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
		s.nodes, s.began = make(map[string]word), now
	}
	last, known := s.nodes[m.Node]
	if !known && len(s.nodes) >= mostNodes {
		s.forget(now)
	}
	s.anonymous += s.came(m, last, known, now)
	s.nodes[m.Node] = word{m, now}
	if !s.unsure(now) {
		s.peak = max(s.peak, s.At(now).Now)
	}
}

// came returns how many without a token have come since a node's last word.
func (s *Sum) came(m Message, last word, known bool, now time.Time) int {
	switch {
	case !known && s.earlier > 0 && now.Sub(s.began) < survivors:
		return 0 // whoever it has counted was told to the Sum before this one
	case m.Anonymous < last.Anonymous:
		return m.Anonymous // it has begun anew
	}
	return m.Anonymous - last.Anonymous
}

// unsure reports whether a node that has listeners is silent and not yet given up. If
// it is dead, they are counted twice as they come back through others, which must not
// stay as a peak.
func (s *Sum) unsure(now time.Time) bool {
	for _, w := range s.nodes {
		if age := now.Sub(w.at); w.Now > 0 && age >= overdue && age < Silence {
			return true
		}
	}
	return false
}

// forget makes room: nodes that are silent may be gone for good.
func (s *Sum) forget(now time.Time) {
	for name, w := range s.nodes {
		if now.Sub(w.at) >= Silence {
			delete(s.nodes, name)
		}
	}
}

// At returns the tally at a time. Who listened through a node stays in the total when
// the node is gone.
func (s *Sum) At(now time.Time) Tally {
	t := Tally{Peak: s.peak, Total: s.earlier + s.anonymous + s.tokens.Len()}
	for _, w := range s.nodes {
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
