package mix

// Bus sums the audible seats of one tick, and takes any one of them out again
// (mix-minus), so that a person never hears an echo of oneself. It is for one
// goroutine.
type Bus struct {
	sum  []float32
	own  [MaxSeats][]float32 // copies of what was added, each valid where in is set
	in   [MaxSeats]bool
	live int
}

// NewBus returns a bus for frames of 1 or 2 channels.
func NewBus(channels int) *Bus {
	b := &Bus{sum: make([]float32, FrameSamples*channels)}
	for i := range b.own {
		b.own[i] = make([]float32, FrameSamples*channels)
	}
	return b
}

// Begin starts a tick: nobody is in the mix.
func (b *Bus) Begin() {
	clear(b.sum)
	b.in = [MaxSeats]bool{}
	b.live = 0
}

// Add puts a seat's frame (0 <= seat < MaxSeats) into the mix; the bus keeps no
// reference to it. Adding to a seat twice in one tick sums both.
func (b *Bus) Add(seat int, frame []float32) {
	for i, v := range frame[:len(b.sum)] {
		b.sum[i] += v
	}
	own := b.own[seat]
	if !b.in[seat] {
		b.in[seat] = true
		b.live++
		copy(own, frame)
		return
	}
	for i, v := range frame[:len(own)] {
		own[i] += v
	}
}

// Sum writes the mix of all to out.
func (b *Bus) Sum(out []float32) { copy(out, b.sum) }

// Minus writes the mix of all but one seat to out: what that seat hears.
func (b *Bus) Minus(seat int, out []float32) {
	if !b.in[seat] {
		copy(out, b.sum)
		return
	}
	if b.live == 1 { // exactly nothing, not what rounding leaves of it
		clear(out[:len(b.sum)])
		return
	}
	own := b.own[seat]
	for i, v := range b.sum {
		out[i] = v - own[i]
	}
}

// In reports whether the seat was added in this tick.
func (b *Bus) In(seat int) bool { return b.in[seat] }
