package archive

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	blocks *prometheus.CounterVec // by what became of them
	faults prometheus.Gauge
	sync   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		blocks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hustings_archive_blocks_total",
			Help: "Blocks by what became of them: written, duplicate, refused, dropped (too far behind) or lost (never came).",
		}, []string{"result"}),
		faults: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hustings_archive_faults",
			Help: "Things that the archive can't do at the moment: 0 is well.",
		}),
		sync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hustings_archive_sync_seconds",
			Help:    "Time that fsync of a block log takes.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.blocks, m.faults, m.sync} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
