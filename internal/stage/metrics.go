package stage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the figures of all stages of this process. They are made whether or
// not anybody collects them, so that nothing has to ask.
type metrics struct {
	late     prometheus.Histogram
	caughtUp prometheus.Counter
	skips    prometheus.Counter
	blocks   prometheus.Counter
	lost     prometheus.Counter
	sessions *prometheus.GaugeVec
	audio    *prometheus.CounterVec
}

// newMetrics registers the figures with registry, which may be nil.
//
// Errors: those of the registry, such as figures of the same name.
func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hustings_stage_tick_lateness_seconds",
			Help:    "How long after its deadline each 20 ms tick began.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5},
		}),
		caughtUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hustings_stage_ticks_caught_up_total",
			Help: "Ticks that began a whole tick late or more and were mixed all the same.",
		}),
		skips: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hustings_stage_ticks_skipped_total",
			Help: "Ticks that went by as silence after a long pause of the process.",
		}),
		blocks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hustings_stage_blocks_total", Help: "Blocks written.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hustings_stage_blocks_lost_total", Help: "Blocks that could not be written.",
		}),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hustings_stage_sessions", Help: "WebRTC sessions by direction (whip, whep).",
		}, []string{"direction"}),
		audio: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hustings_stage_packets_total",
			Help: "Packets from speakers by what became of them: received, corrupt, lost, concealed, fec, red.",
		}, []string{"fate"}),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.late, m.caughtUp, m.skips, m.blocks, m.lost, m.sessions, m.audio} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) tick(late time.Duration) {
	m.late.Observe(late.Seconds())
	if late >= tickTime && late <= catchUp {
		m.caughtUp.Inc()
	}
}

func (m *metrics) skipped()   { m.skips.Inc() }
func (m *metrics) block()     { m.blocks.Inc() }
func (m *metrics) lostBlock() { m.lost.Inc() }

func (m *metrics) packets(earlier, now earStats) {
	for _, f := range []struct {
		fate         string
		earlier, now uint64
	}{
		{"received", earlier.received, now.received},
		{"corrupt", earlier.corrupt, now.corrupt},
		{"lost", earlier.lost, now.lost},
		{"concealed", earlier.concealed, now.concealed},
		{"fec", earlier.fec, now.fec},
		{"red", earlier.red, now.red},
	} {
		if f.now > f.earlier {
			m.audio.WithLabelValues(f.fate).Add(float64(f.now - f.earlier))
		}
	}
}
