package hearing

import "time"

// Meter measures the process of a crowd, second by second. The zero value is ready.
type Meter struct {
	from   time.Duration // of this second
	worked time.Duration // in it
	late   time.Duration // the worst of it
	behind time.Duration // the worst of it
	bytes  int64         // that had come before it
	rate   float64
	g      Generator
}

// Overdue takes note of how much later than planned a listener set out.
func (m *Meter) Overdue(by time.Duration) { m.behind = max(m.behind, by) }

// Round takes note of a round of the loop: how long it worked, and how much later it
// began than it was meant to. What comes meanwhile waits for the sum.
func (m *Meter) Round(worked, late time.Duration) {
	m.worked += worked
	m.late = max(m.late, worked+late)
}

// Second closes a second; bytes are all that have come so far.
func (m *Meter) Second(now time.Duration, bytes int64) {
	length := (now - m.from).Seconds()
	if length <= 0 {
		return
	}
	m.rate = float64(bytes-m.bytes) / length
	m.g.Late, m.g.Busy, m.g.Behind = m.late.Seconds(), min(m.worked.Seconds()/length, 1), m.behind.Seconds()
	m.g.WorstLate, m.g.MostBusy = max(m.g.WorstLate, m.g.Late), max(m.g.MostBusy, m.g.Busy)
	m.g.WorstBehind = max(m.g.WorstBehind, m.g.Behind)
	m.from, m.worked, m.late, m.behind, m.bytes = now, 0, 0, 0, bytes
}

// Rate returns the bytes a second of the newest second.
func (m *Meter) Rate() float64 { return m.rate }

// Generator returns how the process fares, which has taken so much processor time.
func (m *Meter) Generator(cpu float64) Generator {
	g := m.g
	g.CPU, g.Processes = cpu, 1
	g.WorstLate, g.WorstBehind = max(g.WorstLate, m.late.Seconds()), max(g.WorstBehind, m.behind.Seconds())
	return g
}
