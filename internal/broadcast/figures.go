package broadcast

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// figures are what is counted, over all spaces.
type figures struct {
	listeners atomic.Int64
	joins     atomic.Int64
	skips     atomic.Int64
	stalled   atomic.Int64
	bytes     atomic.Int64
	blocks    atomic.Int64
	refused   atomic.Int64
}

// register shows the figures to Prometheus.
func (f *figures) register(to prometheus.Registerer) error {
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hustings_broadcast_listeners", Help: "Listeners attached now.",
	}, read(&f.listeners))
	all := []error{to.Register(gauge)}
	for _, c := range []struct {
		name, help string
		value      *atomic.Int64
	}{
		{"joins_total", "Listeners attached since the start.", &f.joins},
		{"skips_total", "Times that a slow listener was moved to the live edge.", &f.skips},
		{"stalled_total", "Listeners closed because they took nothing for too long.", &f.stalled},
		{"bytes_total", "Bytes that listeners took.", &f.bytes},
		{"blocks_total", "Blocks heard on the bus.", &f.blocks},
		{"refused_total", "Messages on the bus that were no blocks.", &f.refused},
	} {
		opts := prometheus.CounterOpts{Name: "hustings_broadcast_" + c.name, Help: c.help}
		all = append(all, to.Register(prometheus.NewCounterFunc(opts, read(c.value))))
	}
	return errors.Join(all...)
}

func read(v *atomic.Int64) func() float64 {
	return func() float64 { return float64(v.Load()) }
}
