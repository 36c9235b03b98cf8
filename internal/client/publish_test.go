package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"hustings/internal/opus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted is a source of n packets, each of which holds its number; it then waits
// for hold, if there is one, before it ends.
type counted struct {
	n, next int
	stall   func(i int) // called before packet i
}

func (c *counted) Next() ([]byte, int, error) {
	if c.next == c.n {
		return nil, 0, io.EOF
	}
	if c.stall != nil {
		c.stall(c.next)
	}
	// TOC 0xFC: one CELT frame of 20 ms; what follows is never decoded here.
	packet := binary.BigEndian.AppendUint32([]byte{0xFC}, uint32(c.next))
	c.next++
	return packet, frameSamples, nil
}

func TestPumpKeepsToTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A source that takes its time, within the bounds: no error may add up.
		p := &publisher{source: &counted{n: 500, stall: func(i int) { time.Sleep(time.Duration(i%19) * time.Millisecond) }}}
		begin := time.Now()
		if err := p.pump(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(begin); got != 10*time.Second {
			t.Errorf("500 packets of 20 ms took %v", got)
		}
		if got := p.spoken.Load(); got != 500*frameSamples {
			t.Errorf("spoken: %d samples", got)
		}
		if got := p.dropped.Load(); got != 500 {
			t.Errorf("dropped %d packets without a connection, want all 500", got)
		}
	})
}

func TestPumpBeginsAnewAfterASourceStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{source: &counted{n: 20, stall: func(i int) {
			if i == 10 {
				time.Sleep(3 * time.Second)
			}
		}}}
		begin := time.Now()
		if err := p.pump(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Nine packets' time had been waited for when the pause began, which is
		// then cut to whole frames; the rest comes at its own pace, not in a burst.
		got := time.Since(begin)
		if want := 180*time.Millisecond + 3*time.Second + 200*time.Millisecond; (got - want).Abs() > 20*time.Millisecond {
			t.Errorf("took %v, want about %v", got, want)
		}
	})
}

func TestPumpCatchesUpWithASharedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		source := &counted{n: 100}
		p := &publisher{source: source, begin: now.Add(-time.Second)}
		if err := p.pump(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(now); got != time.Second {
			t.Errorf("two seconds, the first of which was over, took %v", got)
		}
	})
}

func TestPumpEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 310*time.Millisecond)
		defer cancel()
		p := &publisher{source: &counted{n: 1000}}
		if err := p.pump(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if got := p.dropped.Load(); got != 16 {
			t.Errorf("%d packets within 310 ms, want 16", got)
		}
	})
}

// fakeStage answers WHIP as the stage does.
type fakeStage struct {
	t      *testing.T
	server *httptest.Server
	refuse func() int // a status to refuse with, or 0
	gone   bool       // sessions are not known any more

	phase string

	mu       sync.Mutex
	sessions []*webrtc.PeerConnection
	left     int // DELETEs
	tokens   []string
	heard    chan *rtp.Packet
}

func newFakeStage(t *testing.T) *fakeStage {
	f := &fakeStage{t: t, heard: make(chan *rtp.Packet, 1000)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/spaces/talk/whip", f.join)
	mux.HandleFunc("DELETE /session", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.left++
		if f.gone {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	mux.HandleFunc("GET /api/v1/spaces/talk", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"phase":"`+f.phase+`"}`)
	})
	f.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.server.Close()
		f.server.Client().CloseIdleConnections()
		f.hangUp()
	})
	return f
}

func (f *fakeStage) link() string { return f.server.URL + "/studio/talk#token=secret" }

func (f *fakeStage) join(w http.ResponseWriter, r *http.Request) {
	if f.refuse != nil {
		if status := f.refuse(); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	offer, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/sdp" {
		f.t.Errorf("offer of type %q: %v", r.Header.Get("Content-Type"), err)
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICETimeouts(time.Second, 2*time.Second, 200*time.Millisecond)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		f.t.Error(err)
		return
	}
	f.mu.Lock()
	f.sessions = append(f.sessions, pc)
	f.tokens = append(f.tokens, r.Header.Get("Authorization"))
	f.mu.Unlock()
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			f.heard <- p
		}
	})
	gathered := webrtc.GatheringCompletePromise(pc)
	answer, err := f.answer(pc, string(offer))
	if err != nil {
		f.t.Error(err)
		return
	}
	<-gathered
	w.Header().Set("Location", "/session")
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer())
}

func (f *fakeStage) answer(pc *webrtc.PeerConnection, offer string) (func() string, error) {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return nil, err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return nil, err
	}
	return func() string { return pc.LocalDescription().SDP }, pc.SetLocalDescription(answer)
}

// hangUp ends all sessions, as a server does that goes down in good order.
func (f *fakeStage) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pc := range f.sessions {
		pc.Close()
	}
	f.sessions = nil
}

// packet returns the next packet that reached the stage.
func (f *fakeStage) packet() *rtp.Packet {
	f.t.Helper()
	select {
	case p := <-f.heard:
		return p
	case <-time.After(10 * time.Second):
		f.t.Fatal("nothing reaches the stage")
		return nil
	}
}

func TestPublishSpeaksEveryPacketAndLeaves(t *testing.T) {
	t.Parallel()
	stage := newFakeStage(t)
	report, err := Publish(t.Context(), PublishOptions{URL: stage.link(), Source: &counted{n: 10}, HTTP: stage.server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if report.Packets != 10 || report.Dropped != 0 || report.Reconnects != 0 || report.Spoken != 200*time.Millisecond {
		t.Errorf("report: %+v", report)
	}
	first := stage.packet()
	for i := uint32(1); i < 10; i++ {
		p := stage.packet()
		if n := binary.BigEndian.Uint32(p.Payload[1:]); n != i || p.Timestamp-first.Timestamp != i*frameSamples || p.SequenceNumber-first.SequenceNumber != uint16(i) {
			t.Errorf("packet %d: number %d, timestamp +%d, sequence +%d", i, n, p.Timestamp-first.Timestamp, p.SequenceNumber-first.SequenceNumber)
		}
	}
	if stage.left != 1 || stage.tokens[0] != "Bearer secret" {
		t.Errorf("left %d times, tokens %q", stage.left, stage.tokens)
	}
}

func TestPublishComesBackByItself(t *testing.T) {
	t.Parallel()
	stage := newFakeStage(t)
	var refused int
	stage.refuse = func() int {
		if len(stage.tokens) == 1 && refused < 2 { // a restart: first a proxy's answer, then the draining server's
			refused++
			return http.StatusBadGateway + refused - 1
		}
		return 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	var report Published
	done := make(chan error)
	go func() {
		var err error
		report, err = Publish(ctx, PublishOptions{URL: stage.link(), Source: &counted{n: 1 << 30}, HTTP: stage.server.Client()})
		done <- err
	}()
	before := stage.packet()
	stage.hangUp()
	for len(stage.heard) > 0 {
		<-stage.heard
	}
	after := stage.packet()
	if after.SSRC == before.SSRC {
		t.Error("what is heard after the loss came over the old connection")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if report.Reconnects != 1 || report.Dropped == 0 || refused != 2 {
		t.Errorf("report %+v after %d refusals", report, refused)
	}
}

func TestPublishLetsTheSeatGo(t *testing.T) {
	t.Parallel()
	for phase, want := range map[string]string{"live": ErrReplaced.Error(), "ended": "the space is ended"} {
		stage := newFakeStage(t)
		stage.phase = phase
		done := make(chan error)
		go func() {
			_, err := Publish(t.Context(), PublishOptions{URL: stage.link(), Source: &counted{n: 1 << 30}, HTTP: stage.server.Client()})
			done <- err
		}()
		stage.packet()
		stage.mu.Lock()
		stage.gone = true
		stage.mu.Unlock()
		stage.hangUp()
		if err := <-done; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %q", phase, err, want)
		}
	}
}

func TestPublishGivesUpWhenTheInviteOpensNothing(t *testing.T) {
	t.Parallel()
	stage := newFakeStage(t)
	for _, status := range []int{401, 403, 404, 410, 503} {
		stage.refuse = func() int { return status }
		_, err := Publish(t.Context(), PublishOptions{URL: stage.link(), Source: &counted{n: 1}, HTTP: stage.server.Client()})
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != status {
			t.Errorf("refused with %d: %v", status, err)
		}
	}
	_, err := Publish(t.Context(), PublishOptions{URL: stage.server.URL + "/s/talk", Source: &counted{n: 1}})
	if err == nil || !strings.Contains(err.Error(), "token is required") {
		t.Errorf("without a token: %v", err)
	}
	stage.server.Close()
	_, err = Publish(t.Context(), PublishOptions{URL: stage.link(), Source: &counted{n: 1}, HTTP: stage.server.Client()})
	if err == nil || !strings.Contains(err.Error(), "cannot reach http://127.0.0.1") {
		t.Errorf("without a server: %v", err)
	}
}

func TestDecodingFillsHolesAndLeavesOutWhatIsLate(t *testing.T) {
	var heard int
	d, err := newDecoding(func(pcm []float32, _ time.Time) { heard += len(pcm) })
	if err != nil {
		t.Fatal(err)
	}
	packet := func(frame uint32) {
		d.packet(&rtp.Packet{Header: rtp.Header{Timestamp: 4294960000 + frame*frameSamples}, Payload: opus.Silence(1)}, time.Time{})
	}
	for _, c := range []struct {
		frame uint32
		want  int // frames heard up to then
		why   string
	}{
		{0, 1, "the first"}, {1, 2, "in order"}, {4, 5, "two lost"}, {3, 5, "late"}, {4, 5, "twice"},
		{5, 6, "in order"}, {100, 7, "a pause is not filled"}, {101, 8, "and after it"},
	} {
		packet(c.frame)
		if heard != c.want*frameSamples {
			t.Errorf("%s: %d samples heard, want %d frames", c.why, heard, c.want)
		}
	}
	d.packet(&rtp.Packet{}, time.Time{})
	if heard != 8*frameSamples {
		t.Error("padding was heard")
	}
}
