package stage

import (
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
	dto "github.com/prometheus/client_model/go"

	"hustings/internal/space"
)

// mediaLines returns the m= lines of a description and what follows each.
func mediaLines(text string) []string {
	var sections []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "m=") {
			sections = append(sections, "")
		}
		if len(sections) > 0 {
			sections[len(sections)-1] += line
		}
	}
	return sections
}

func TestAnswerTakesREDFirstAndAsksForFEC(t *testing.T) {
	inRealTime(t)
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("red")); err != nil {
		t.Fatal(err)
	}
	c := r.speak(t, invite("red", "ann", space.Host), callerOptions{red: true, hertz: 440})
	sections := mediaLines(c.ses.Answer)
	if len(sections) != 1 || !strings.HasPrefix(sections[0], "m=audio 9 UDP/TLS/RTP/SAVPF 61 109\r\n") {
		t.Fatalf("the answer does not prefer RED:\n%s", c.ses.Answer)
	}
	for _, want := range []string{"a=recvonly", "useinbandfec=1", "usedtx=1", "a=fmtp:61 109/109", "a=rtcp-fb:109 nack", "a=candidate:", "a=end-of-candidates"} {
		if !strings.Contains(sections[0], want) {
			t.Errorf("the answer has no %q:\n%s", want, c.ses.Answer)
		}
	}
	until(t, "lost packets that came back by RED", func() bool {
		var red dto.Metric
		if err := r.own.metrics.audio.WithLabelValues("red").Write(&red); err != nil {
			t.Fatal(err)
		}
		return red.Counter.GetValue() >= 5
	})
}

// TestABroadcastToolsOfferHasVideoToo is how OBS offers: the sound is taken, the
// picture refused.
func TestABroadcastToolsOfferHasVideoToo(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("obs")); err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, callerOptions{video: true})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv}
		if _, err := c.pc.AddTransceiverFromKind(kind, init); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.Publish(t.Context(), invite("obs", "ann", space.Host), c.offer())
	if err != nil {
		t.Fatal(err)
	}
	sections := mediaLines(got.Answer)
	if len(sections) != 2 || !strings.HasPrefix(sections[0], "m=video 0 ") || !strings.Contains(sections[1], "a=recvonly") {
		t.Fatalf("the answer is\n%s", got.Answer)
	}
}

func TestAListenerWhoOffersBothDirectionsOnlyListens(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("both")); err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, callerOptions{})
	if _, err := c.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv}); err != nil {
		t.Fatal(err)
	}
	got, err := r.Subscribe(t.Context(), invite("both", "ann", space.Host), c.offer())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.Answer, "a=sendonly") {
		t.Errorf("the answer is\n%s", got.Answer)
	}
}
