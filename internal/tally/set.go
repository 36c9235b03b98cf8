package tally

// Most is how many tokens a Set holds one by one.
const Most = 1 << 21

// Set is a set of hashes that knows how many it has been given. Once it is full it
// keeps every second of them only, by their lowest bits, then every fourth and so on
// (adaptive sampling, Wegman 1984), so that its memory is bounded and the number that
// it tells is without bias. Its zero value is empty and holds up to Most.
type Set struct {
	most   int // 0: Most
	level  uint8
	hashes map[uint64]struct{}
}

// NewSet returns a set that holds another number than Most.
func NewSet(most int) *Set { return &Set{most: most} }

// Add adds a hash. It is true if the set keeps it and did not have it.
func (s *Set) Add(hash uint64) (fresh bool) {
	if !s.keeps(hash) {
		return false
	}
	if _, had := s.hashes[hash]; had {
		return false
	}
	if s.hashes == nil {
		s.hashes = make(map[uint64]struct{})
	}
	s.hashes[hash] = struct{}{}
	most := s.most
	if most == 0 {
		most = Most
	}
	for len(s.hashes) > most {
		if s.level == maxLevel { // hashes that were chosen to be so
			delete(s.hashes, hash)
			return false
		}
		s.Raise(s.level + 1)
	}
	return s.keeps(hash)
}

// Level returns how many of their lowest bits are zero in the hashes that are kept.
func (s *Set) Level() uint8 { return s.level }

// Raise brings the set to a level, if it is below it, so that it can take up the
// hashes of another one that is there.
func (s *Set) Raise(level uint8) {
	if level <= s.level || level > maxLevel {
		return
	}
	s.level = level
	for hash := range s.hashes {
		if !s.keeps(hash) {
			delete(s.hashes, hash)
		}
	}
}

// maxLevel leaves some bits of a hash to tell hashes apart by.
const maxLevel = 32

func (s *Set) keeps(hash uint64) bool { return hash&(1<<s.level-1) == 0 }

// Len returns how many different hashes were added.
func (s *Set) Len() int { return len(s.hashes) << s.level }
