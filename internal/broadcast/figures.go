package broadcast

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/elastic"
)

// figures are what is counted, over all spaces.
type figures struct {
	listeners  atomic.Int64
	joins      atomic.Int64
	deliveries atomic.Int64
	skips      skips
	stalled    atomic.Int64
	blocks     atomic.Int64
	refused    atomic.Int64
	doubted    atomic.Int64
	fetched    atomic.Int64
	missed     atomic.Int64
	paces      *prometheus.CounterVec // by cause
}

// paceChanges makes the counter of them, with every cause from the start.
func paceChanges() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hustings_broadcast_pace_changes_total", Help: "Changes of depth, interval or rung, by what made them.",
	}, []string{"cause"})
	for _, cause := range elastic.Causes {
		c.WithLabelValues(string(cause))
	}
	return c
}

// skips counts what listeners were not sent because they were too slow for it.
type skips struct {
	times  atomic.Int64
	blocks atomic.Int64
}

func (s *skips) add(blocks uint64) {
	s.times.Add(1)
	s.blocks.Add(int64(blocks))
}

// register shows the figures to Prometheus.
func (f *figures) register(to prometheus.Registerer, b *Broadcast) error {
	all := []error{to.Register(f.paces)}
	for _, g := range []struct {
		name, help string
		value      func() float64
	}{
		{"listeners", "Listeners attached now.", read(&f.listeners)},
		{"interval_seconds", "Most time between two deliveries to one listener, as planned.", func() float64 { return b.Pace().Interval.Seconds() }},
		{"depth_seconds", "How far behind the newest block pages are told to play.", func() float64 { return b.Pace().Depth.Seconds() }},
		{"rung", "Best rung that is sent: 0 is the best there is.", func() float64 { return float64(b.Pace().Rung) }},
		{"busy_ratio", "Share of its time that the busiest delivery loop worked, over the last second.", func() float64 { return b.opts.Delivery.Load().Busy }},
		{"late_seconds", "How late the latest turn of the last second was.", func() float64 { return b.opts.Delivery.Load().Late.Seconds() }},
	} {
		all = append(all, to.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hustings_broadcast_" + g.name, Help: g.help}, g.value)))
	}
	for _, c := range []struct {
		name, help string
		value      func() float64
	}{
		{"joins_total", "Listeners attached since the start.", read(&f.joins)},
		{"deliveries_total", "Times that a listener was sent something.", read(&f.deliveries)},
		{"bytes_total", "Bytes that went out to listeners.", func() float64 { return float64(b.opts.Delivery.Load().Bytes) }},
		{"skips_total", "Times that a slow listener was moved to the live edge.", read(&f.skips.times)},
		{"skipped_blocks_total", "Blocks that slow listeners were not sent.", read(&f.skips.blocks)},
		{"skipped_seconds_total", "Seconds of sound that slow listeners were not sent.", func() float64 { return float64(f.skips.blocks.Load()) * blockTime.Seconds() }},
		{"stalled_total", "Listeners closed because they took nothing for too long.", read(&f.stalled)},
		{"stalls_total", "Turns at which a listener had taken nothing since the one before.", func() float64 { return float64(b.opts.Delivery.Load().Stalls) }},
		{"blocks_total", "Blocks taken into feeds.", read(&f.blocks)},
		{"refused_total", "Messages on the bus that were no blocks.", read(&f.refused)},
		{"doubted_total", "Blocks that were not to be believed.", read(&f.doubted)},
		{"fetched_blocks_total", "Blocks that were missing and fetched.", read(&f.fetched)},
		{"missed_blocks_total", "Blocks that were missing and could not be had.", read(&f.missed)},
	} {
		all = append(all, to.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "hustings_broadcast_" + c.name, Help: c.help}, c.value)))
	}
	return errors.Join(all...)
}

func read(v *atomic.Int64) func() float64 {
	return func() float64 { return float64(v.Load()) }
}
