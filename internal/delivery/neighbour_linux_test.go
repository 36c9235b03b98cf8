package delivery_test

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"hustings/internal/delivery"
)

// BenchmarkNeighbours measures what loops that are never done leave to the rest of the
// process: how late a loop of 20 ms like the stage's is, and how long a packet waits
// for whoever reads it, in a process whose loops have more to deliver than they can.
// One op is one tick.
func BenchmarkNeighbours(b *testing.B) {
	for _, busy := range []bool{false, true} {
		b.Run(map[bool]string{false: "idle", true: "saturated"}[busy], func(b *testing.B) {
			const n = 2000
			c := newCrowd(b, n)
			defer c.close(b)
			d, stop := run(b, delivery.Options{})
			defer stop()
			var turns atomic.Int64
			var idle atomic.Bool
			idle.Store(!busy)
			turns.Store(1 << 40)
			for _, conn := range c.conns {
				s := &steady{pieces: blocksIn(time.Second / 2), every: time.Millisecond, at: time.Now(), turns: &turns, idle: &idle}
				if !busy {
					s.every = time.Second
				}
				if err := d.Take(conn, nil, s); err != nil {
					b.Fatal(err)
				}
			}
			c.conns = nil
			ctx, cancel := context.WithCancel(context.Background())
			waited := make(chan []time.Duration)
			go func() { waited <- packets(b, ctx) }()
			var late []time.Duration
			b.ResetTimer()
			due := time.Now()
			for range b.N {
				due = due.Add(20 * time.Millisecond)
				time.Sleep(time.Until(due))
				late = append(late, time.Since(due))
			}
			b.StopTimer()
			cancel()
			report(b, "tick", late)
			report(b, "packet", <-waited)
			b.ReportMetric(d.Load().Busy, "busy")
		})
	}
}

func report(b *testing.B, name string, times []time.Duration) {
	slices.Sort(times)
	for _, p := range []struct {
		name string
		at   int
	}{{"p50", 50}, {"p99", 99}} {
		b.ReportMetric(float64(times[(len(times)-1)*p.at/100].Microseconds())/1000, name+"-"+p.name+"-ms")
	}
	b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, name+"-max-ms")
}

// packets sends itself a packet every 5 ms, and returns how long each was on its way.
func packets(b *testing.B, ctx context.Context) []time.Duration {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Error(err)
		return nil
	}
	defer conn.Close()
	sent := make(chan time.Time, 1000)
	go func() {
		for ctx.Err() == nil {
			sent <- time.Now()
			_, _ = conn.WriteTo([]byte("packet"), conn.LocalAddr())
			time.Sleep(5 * time.Millisecond)
		}
		close(sent)
	}()
	var waits []time.Duration
	for at := range sent {
		if _, _, err := conn.ReadFrom(make([]byte, 100)); err != nil {
			b.Error(err)
		}
		waits = append(waits, time.Since(at))
	}
	return waits
}
