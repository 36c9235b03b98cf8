package e2e

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"hustings/internal/client"
	"hustings/internal/ogg"
	"hustings/internal/opus"
)

// clickPackets are the packets from click to click: 1.5 s to 2 s, so that clicks
// fall anywhere in a block and none can be taken for another.
const clickPackets = 75

// clicks speaks silence with a click now and then. It notes which packets hold one.
type clicks struct {
	silent, click [][]byte // click: the packet with it, then one that lets the codec settle
	queue         [][]byte
	sent, next    int
	mu            sync.Mutex
	at            []int // guarded by mu
}

func newClicks(t testing.TB) *clicks {
	t.Helper()
	encoder, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: 64000})
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]float32, opus.FrameSamples)
	encode := func() []byte {
		out := make([]byte, opus.MaxBytes)
		n, err := encoder.Encode(frame, out)
		if err != nil {
			t.Fatal(err)
		}
		return out[:n]
	}
	c := &clicks{next: 50}
	for range 3 {
		c.silent = append(c.silent, encode())
	}
	for i := range 240 { // 5 ms of 2 kHz at the very start of the frame
		frame[i] = float32(0.5 * math.Sin(2*math.Pi*2000*float64(i)/sampleRate))
	}
	c.click = append(c.click, encode())
	clear(frame)
	c.click = append(c.click, encode(), encode())
	return c
}

// Next returns the next 20 ms.
func (c *clicks) Next() ([]byte, int, error) {
	if len(c.queue) == 0 && c.sent == c.next {
		c.queue = c.click
		c.next += clickPackets + rand.IntN(clickPackets/3)
		c.mu.Lock()
		c.at = append(c.at, c.sent)
		c.mu.Unlock()
	}
	c.sent++
	if len(c.queue) > 0 {
		packet := c.queue[0]
		c.queue = c.queue[1:]
		return packet, opus.FrameSamples, nil
	}
	return c.silent[len(c.silent)-1], opus.FrameSamples, nil
}

// since returns the time from the newest click's first sample at the mouth to
// when; the packet that holds it is due 20 ms after that sample was spoken.
func (c *clicks) since(begin, when time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	best := time.Duration(-1)
	for _, packet := range c.at {
		spoken := begin.Add(time.Duration(packet-1) * 20 * time.Millisecond)
		if d := when.Sub(spoken); d > 0 && (best < 0 || d < best) {
			best = d
		}
	}
	return best
}

// onsets finds clicks in sound: the first loud sample after a quiet while.
type onsets struct{ quiet int }

func (o *onsets) find(pcm []float32) (at int, found bool) {
	for i, x := range pcm {
		if x > 0.03 || x < -0.03 {
			if o.quiet > sampleRate/4 {
				at, found = i, true
			}
			o.quiet = 0
		} else {
			o.quiet++
		}
	}
	return at, found
}

// BenchmarkMouthToEar sends clicks into a live stage by WHIP and finds them in what
// another seat hears by WHEP, and in /live/{id}.ogg. Latencies are from the sample
// at the mouth to its arrival as something that can be played; one click is one
// iteration.
func BenchmarkMouthToEar(b *testing.B) {
	s := serve(b)
	id := s.announce(b, "Clicks")
	s.step(b, id, "start")
	speaker, hearer := s.invite(b, id, "speaker", "Clicker"), s.invite(b, id, "speaker", "Hearer")

	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	source, begin := newClicks(b), time.Now().Add(time.Second)
	stage, stream := make(chan time.Duration, 1000), make(chan time.Duration, 1000)

	running.Go(func() {
		var find onsets
		err := client.Hear(ctx, client.HearOptions{URL: s.url + "/s/" + id, Token: hearer.Token, Sound: func(pcm []float32, arrived time.Time) {
			if at, found := find.find(pcm); found {
				stage <- source.since(begin, arrived.Add(time.Duration(at)*time.Second/sampleRate))
			}
		}})
		if err != nil {
			b.Errorf("hearing the stage: %v", err)
		}
	})
	running.Go(func() {
		_, err := client.Publish(ctx, client.PublishOptions{URL: s.url + "/s/" + id, Token: speaker.Token, Source: source, Begin: begin})
		if err != nil && ctx.Err() == nil {
			b.Errorf("speaking: %v", err)
		}
	})
	running.Go(func() { followOgg(ctx, b, s.url+"/live/"+id+".ogg", source, begin, stream) })

	b.ResetTimer()
	var onStage, inStream []time.Duration
	for len(onStage) < b.N || len(inStream) < b.N {
		select {
		case d := <-stage:
			onStage = append(onStage, d)
		case d := <-stream:
			inStream = append(inStream, d)
		case <-time.After(15 * time.Second):
			b.Fatalf("no click for 15 s; %d heard on stage, %d in the stream", len(onStage), len(inStream))
		}
	}
	b.ReportMetric(0, "ns/op")
	for name, all := range map[string][]time.Duration{"stage": onStage, "ogg": inStream} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Milliseconds()), name+"-p50-ms")
		b.ReportMetric(float64(all[len(all)*95/100].Milliseconds()), name+"-p95-ms")
	}
}

// followOgg finds clicks in the Ogg stream as it arrives.
func followOgg(ctx context.Context, b *testing.B, url string, source *clicks, begin time.Time, found chan<- time.Duration) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		b.Error(err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Error(err)
		return
	}
	defer response.Body.Close()
	decoder, err := opus.NewDecoder(1)
	if err != nil {
		b.Error(err)
		return
	}
	reader := ogg.NewReader(response.Body)
	var find onsets
	pcm := make([]float32, opus.MaxSamples)
	for {
		packet, err := reader.Next()
		if err != nil {
			if ctx.Err() == nil {
				b.Errorf("the stream: %v", err)
			}
			return
		}
		n, err := decoder.Decode(packet.Data, pcm)
		if err != nil {
			b.Error(err)
			return
		}
		if _, hit := find.find(pcm[:n]); hit {
			if since := source.since(begin, time.Now()); since >= 0 {
				found <- since
			}
		}
	}
}
