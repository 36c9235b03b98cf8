package stage

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"hustings/internal/ear"
	"hustings/internal/mix"
	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// TestMain holds every test to it that nothing runs on when Run has returned.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inRealTime leaves out of -short what has to wait for sound as long as it lasts.
func inRealTime(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes its time")
	}
}

// rig is Stages at work on 127.0.0.1, and all that they published.
type rig struct {
	*Stages
	log *blockLog
}

func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	r := &rig{log: newBlockLog()}
	o := Options{UDP: "127.0.0.1:0", Publish: r.log.publish}
	if os.Getenv("STAGE_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&o)
	}
	stages, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Stages = stages
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- stages.Run(ctx) }()
	<-stages.ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// blockLog keeps the blocks that were published.
type blockLog struct {
	mu     sync.Mutex // guards blocks and more
	blocks []*programme.Block
	more   chan struct{} // closed and made anew with each block
}

func newBlockLog() *blockLog { return &blockLog{more: make(chan struct{})} }

func (l *blockLog) publish(subject string, data []byte) error {
	b, err := programme.UnmarshalBlock(data)
	if err != nil {
		return err
	}
	if want := "hustings.block." + string(b.Space); subject != want {
		return errWrongSubject{subject, want}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks = append(l.blocks, b)
	close(l.more)
	l.more = make(chan struct{})
	return nil
}

type errWrongSubject [2]string

func (e errWrongSubject) Error() string { return "published on " + e[0] + ", not " + e[1] }

func (l *blockLog) all() []*programme.Block {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*programme.Block(nil), l.blocks...)
}

// wait returns the blocks once there are n.
func (l *blockLog) wait(t *testing.T, n int) []*programme.Block {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		have, more := len(l.blocks), l.more
		l.mu.Unlock()
		if have >= n {
			return l.all()
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%d blocks, want %d", have, n)
		}
	}
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(8 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func liveSpace(id space.ID) space.Space {
	now := time.Now()
	return space.Space{ID: id, Title: "A debate", Phase: space.Live, OpenedAt: &now, StartedAt: &now}
}

func openSpace(id space.ID) space.Space {
	now := time.Now()
	return space.Space{ID: id, Title: "A debate", Phase: space.Open, OpenedAt: &now}
}

func invite(id space.ID, seat space.SeatID, role space.Role) space.Invite {
	return space.Invite{Space: id, Seat: seat, Role: role, Name: strings.ToUpper(string(seat))}
}

func kindIs(t *testing.T, err error, want space.Kind) {
	t.Helper()
	if got := space.KindOf(err); got != want {
		t.Errorf("error %v is %q, want %q", err, got, want)
	}
}

// power returns how much of a tone is in mono samples: the amplitude of a sine of
// that frequency (Goertzel).
func power(pcm []float32, hertz float64) float64 {
	w := 2 * math.Pi * hertz / 48000
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)+2*math.Cos(w)*s1-s2, s1
	}
	return 2 * math.Sqrt(max(0, s1*s1+s2*s2-2*math.Cos(w)*s1*s2)) / float64(len(pcm))
}

// tone makes frames of a sine.
type tone struct {
	hertz float64
	level float64
	at    int
}

func (s *tone) next(frame []float32, channels int) {
	for i := 0; i < len(frame); i += channels {
		v := float32(s.level * math.Sin(2*math.Pi*s.hertz*float64(s.at)/48000))
		for c := range channels {
			frame[i+c] = v
		}
		s.at++
	}
}

// Pull makes a tone a source for the loop.
func (s *tone) Pull(frame []float32) bool {
	s.next(frame, len(frame)/mix.FrameSamples)
	return true
}

func (s *tone) Stats() ear.Stats { return ear.Stats{} }

// decodeRung decodes one rung of the blocks to mono.
func decodeRung(t *testing.T, blocks []*programme.Block, rung programme.Rung) []float32 {
	t.Helper()
	dec, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	var pcm []float32
	frame := make([]float32, opus.MaxSamples)
	for _, b := range blocks {
		for _, p := range b.Rungs[rung] {
			n, err := dec.Decode(p, frame)
			if err != nil {
				t.Fatal(err)
			}
			pcm = append(pcm, frame[:n]...)
		}
	}
	return pcm
}

// caller is a person's browser: a pion client with one seat.
type caller struct {
	t   testing.TB
	pc  *webrtc.PeerConnection
	ses Session

	track *webrtc.TrackLocalStaticRTP
	stop  chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex  // guards pcm
	pcm  []float32   // heard, mono
	loud []time.Time // when packets with a click came, one for each click
}

type callerOptions struct {
	red, tcp bool
	video    bool
	ip6      bool
	roams    *roamer
	loss     *loss
	hertz    float64
	clicks   chan<- time.Time // instead of a tone: when each click was said
}

func newCaller(t testing.TB, o callerOptions) *caller {
	t.Helper()
	var engine webrtc.SettingEngine
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	if o.ip6 { // pion's own gathering passes ::1 over
		conn, err := net.ListenPacket("udp6", "[::1]:0")
		if err != nil {
			t.Skipf("no IPv6 here: %v", err)
		}
		mux := webrtc.NewICEUDPMux(silentLogs{}.NewLogger(""), conn)
		t.Cleanup(func() { mux.Close() })
		engine.SetICEUDPMux(mux)
		engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6})
	} else if o.roams != nil {
		engine.SetICEUDPMux(o.roams)
		engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	} else if o.tcp {
		engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	} else {
		engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	engine.LoggerFactory = silentLogs{}
	var media webrtc.MediaEngine
	opusCodec := webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;usedtx=1",
		RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}}}, PayloadType: 109}
	redCodec := webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: "audio/red", ClockRate: 48000, Channels: 2, SDPFmtpLine: "109/109"}, PayloadType: 61}
	if err := media.RegisterCodec(opusCodec, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	if o.red {
		if err := media.RegisterCodec(redCodec, webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	if o.video {
		vp8 := webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, PayloadType: 96}
		if err := media.RegisterCodec(vp8, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	var registry interceptor.Registry
	if o.loss != nil {
		o.loss.enter(t, &engine, &registry)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(&media), webrtc.WithInterceptorRegistry(&registry))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, pc: pc, stop: make(chan struct{})}
	t.Cleanup(c.close)
	return c
}

func (c *caller) close() {
	select {
	case <-c.stop:
		return
	default:
	}
	close(c.stop)
	if err := c.pc.GracefulClose(); err != nil {
		c.t.Errorf("closing a client: %v", err)
	}
	c.done.Wait()
}

// offer returns a complete offer.
func (c *caller) offer() string {
	c.t.Helper()
	return c.offerWith(nil)
}

func (c *caller) offerWith(o *webrtc.OfferOptions) string {
	c.t.Helper()
	offer, err := c.pc.CreateOffer(o)
	if err != nil {
		c.t.Fatal(err)
	}
	gathered := make(chan struct{})
	var once sync.Once
	c.pc.OnICECandidate(func(cand *webrtc.ICECandidate) {
		if cand == nil {
			once.Do(func() { close(gathered) })
		}
	})
	if err := c.pc.SetLocalDescription(offer); err != nil {
		c.t.Fatal(err)
	}
	<-gathered
	return c.pc.LocalDescription().SDP
}

func (c *caller) accept(answer string) {
	c.t.Helper()
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		c.t.Fatal(err)
	}
}

// speak sends a tone by WHIP.
func (r *rig) speak(t testing.TB, inv space.Invite, o callerOptions) *caller {
	t.Helper()
	c := newCaller(t, o)
	mime := webrtc.MimeTypeOpus
	if o.red {
		mime = "audio/red"
	}
	var err error
	if c.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 48000, Channels: 2}, "mic", "mic"); err != nil {
		t.Fatal(err)
	}
	transceiver, err := c.pc.AddTransceiverFromTrack(c.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		t.Fatal(err)
	}
	c.done.Go(func() { // what comes back is acted on while it is read
		for buffer := make([]byte, 1500); ; {
			if _, _, err := transceiver.Sender().Read(buffer); err != nil {
				return
			}
		}
	})
	if c.ses, err = r.Publish(t.Context(), inv, c.offer()); err != nil {
		t.Fatal(err)
	}
	c.accept(c.ses.Answer)
	c.done.Go(func() { c.send(o) })
	return c
}

// send sends 20 ms packets of a tone in real time.
func (c *caller) send(o callerOptions) {
	enc, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: 32000})
	if err != nil {
		c.t.Error(err)
		return
	}
	src := tone{hertz: o.hertz, level: 0.3}
	frame := make([]float32, mix.FrameSamples)
	packet := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 109}}
	buffer := make([]byte, opus.MaxBytes)
	var earlier []byte
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
		}
		if src.next(frame, 1); o.clicks != nil && int(packet.SequenceNumber)%int(clickEvery/tickTime) == 0 {
			(&tone{hertz: 1500, level: 0.9}).next(frame[:240], 1)
			o.clicks <- time.Now()
		}
		n, err := enc.Encode(frame, buffer)
		if err != nil {
			c.t.Error(err)
			return
		}
		packet.SequenceNumber++
		packet.Timestamp += mix.FrameSamples
		if packet.Payload = buffer[:n]; o.red {
			packet.Payload, earlier = redundant(earlier, buffer[:n]), slices.Clone(buffer[:n])
			if packet.SequenceNumber%5 == 0 {
				continue // lost on the way
			}
		}
		_ = c.track.WriteRTP(&packet)
	}
}

// redundant packs a packet and the one before it as RED (RFC 2198, section 3).
func redundant(earlier, now []byte) []byte {
	if len(earlier) == 0 {
		return append([]byte{109}, now...)
	}
	head := uint32(1)<<31 | 109<<24 | mix.FrameSamples<<10 | uint32(len(earlier))
	red := binary.BigEndian.AppendUint32(nil, head)
	return append(append(append(red, 109), earlier...), now...)
}

// listen hears the stage by WHEP.
func (r *rig) listen(t testing.TB, inv space.Invite, o callerOptions) *caller {
	t.Helper()
	c := newCaller(t, o)
	if _, err := c.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	c.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		c.done.Add(1)
		defer c.done.Done()
		c.hear(track)
	})
	var err error
	if c.ses, err = r.Subscribe(t.Context(), inv, c.offer()); err != nil {
		t.Fatal(err)
	}
	c.accept(c.ses.Answer)
	return c
}

func (c *caller) hear(track *webrtc.TrackRemote) {
	dec, err := opus.NewDecoder(1)
	if err != nil {
		c.t.Error(err)
		return
	}
	frame := make([]float32, opus.MaxSamples)
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		n, err := dec.Decode(packet.Payload, frame)
		if err != nil {
			c.t.Errorf("a packet that can't be decoded: %v", err)
			return
		}
		c.mu.Lock()
		c.pcm = append(c.pcm, frame[:n]...)
		if click(frame[:n]) && (len(c.loud) == 0 || time.Since(c.loud[len(c.loud)-1]) > clickEvery/2) {
			c.loud = append(c.loud, time.Now())
		}
		c.mu.Unlock()
	}
}

// clickEvery is the time between clicks.
const clickEvery = 240 * time.Millisecond

// click reports whether a click begins in the frame.
func click(pcm []float32) bool {
	return slices.ContainsFunc(pcm, func(v float32) bool { return v > 0.1 })
}

// click waits for the next click and returns when it came.
func (c *caller) click(t testing.TB) (at time.Time) {
	until(t, "a click", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.loud) == 0 {
			return false
		}
		at, c.loud = c.loud[0], c.loud[1:]
		return true
	})
	return at
}

// heard returns what came in since the last call.
func (c *caller) heard() []float32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	pcm := c.pcm
	c.pcm, c.loud = nil, nil
	return pcm
}

// hears waits until the caller has heard one tone for a third of a second on end,
// and nothing of the other meanwhile.
func (c *caller) hears(t *testing.T, want, not float64) {
	t.Helper()
	until(t, "the other's tone", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		const window = 16000
		if len(c.pcm) < window {
			return false
		}
		last := c.pcm[len(c.pcm)-window:]
		return power(last, want) > 0.02 && power(last, not) < power(last, want)/100
	})
}

// pulses applies the patches of the blocks and returns the state after each.
func pulses(t *testing.T, blocks []*programme.Block) []space.Pulse {
	t.Helper()
	var state []byte
	var all []space.Pulse
	for i, b := range blocks {
		if i == 0 || b.Epoch != blocks[i-1].Epoch {
			state = nil
		}
		var err error
		if state, err = programme.Apply(state, b.Pulse); err != nil {
			t.Fatal(err)
		}
		var p space.Pulse
		if err := json.Unmarshal(state, &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// silentLogs keeps the test's own clients quiet.
type silentLogs struct{}

func (silentLogs) NewLogger(string) logging.LeveledLogger {
	return logging.NewDefaultLeveledLoggerForScope("client", logging.LogLevelDisabled, io.Discard)
}

// atomicDuration is a duration that two goroutines share.
type atomicDuration struct{ n atomic.Int64 }

func (a *atomicDuration) Store(d time.Duration) { a.n.Store(int64(d)) }
func (a *atomicDuration) Swap(d time.Duration) time.Duration {
	return time.Duration(a.n.Swap(int64(d)))
}
