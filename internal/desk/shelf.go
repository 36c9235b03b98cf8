package desk

import (
	"sync"
	"time"

	"hustings/internal/space"
)

const (
	shelfTime = time.Second // how old what another node changed may look
	shelfSize = 1024        // spaces; a full shelf is emptied
)

// shelf holds spaces that were just read, so that a crowd asks the database once
// a second and not 3,000 times. What this process changes is put here at once.
type shelf struct {
	now func() time.Time

	mu    sync.Mutex // guards all below
	items map[space.ID]item
	puts  uint64 // how many changes were put
}

type item struct {
	space space.Space
	read  time.Time
}

func newShelf(now func() time.Time) *shelf {
	return &shelf{now: now, items: make(map[space.ID]item)}
}

func (s *shelf) get(id space.ID) (space.Space, bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.items[id]
	if !ok || now.Sub(it.read) >= shelfTime {
		return space.Space{}, false
	}
	return it.space, true
}

// put takes in a change that was made here.
func (s *shelf) put(sp space.Space) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	s.set(sp)
}

// turn is to be taken before reading what is then given to fill.
func (s *shelf) turn() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts
}

// fill takes in what was read, unless something changed since the turn: then it
// may be from before the change.
func (s *shelf) fill(sp space.Space, turn uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn == s.puts {
		s.set(sp)
	}
}

func (s *shelf) set(sp space.Space) {
	if len(s.items) >= shelfSize {
		clear(s.items)
	}
	s.items[sp.ID] = item{space: sp, read: s.now()}
}

// lines keeps changes to one space in order: a lock for each space that someone
// works on, forgotten when nobody does.
type lines struct {
	mu    sync.Mutex // guards queue
	queue map[space.ID]*line
}

type line struct {
	sync.Mutex
	waiting int // guarded by lines.mu
}

// lock waits for one's turn at the space and returns how to give it on.
func (l *lines) lock(id space.ID) (unlock func()) {
	l.mu.Lock()
	if l.queue == nil {
		l.queue = make(map[space.ID]*line)
	}
	own := l.queue[id]
	if own == nil {
		own = new(line)
		l.queue[id] = own
	}
	own.waiting++
	l.mu.Unlock()
	own.Lock()
	return func() {
		own.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if own.waiting--; own.waiting == 0 {
			delete(l.queue, id)
		}
	}
}
