package stage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/ear"
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
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "hustings", Subsystem: "stage", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	m := &metrics{
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hustings_stage_tick_lateness_seconds", Help: "How long after its deadline each 20 ms tick began.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5},
		}),
		caughtUp: counter("ticks_caught_up_total", "Ticks that began a whole tick late or more and were mixed all the same."),
		skips:    counter("ticks_skipped_total", "Ticks that went by as silence after a long pause of the process."),
		blocks:   counter("blocks_total", "Blocks written."),
		lost:     counter("blocks_lost_total", "Blocks that could not be written."),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("sessions",
			"WebRTC sessions by direction (whip, whep).")), []string{"direction"}),
		audio: prometheus.NewCounterVec(prometheus.CounterOpts(opts("packets_total",
			"Packets from speakers by what became of them: received, corrupt, lost, concealed, fec, red.")), []string{"fate"}),
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

func (m *metrics) packets(earlier, now ear.Stats) {
	add := func(fate string, earlier, now uint64) {
		if now > earlier {
			m.audio.WithLabelValues(fate).Add(float64(now - earlier))
		}
	}
	add("received", earlier.Received, now.Received)
	add("corrupt", earlier.Corrupt, now.Corrupt)
	add("lost", earlier.Lost, now.Lost)
	add("concealed", earlier.Concealed, now.Concealed)
	add("fec", earlier.FEC, now.FEC)
	add("red", earlier.RED, now.RED)
}
