package stage

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"hustings/internal/programme"
	"hustings/internal/space"
)

func TestTwoSpeakersHearEachOtherAndTheProgrammeHoldsBoth(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("debate")); err != nil {
		t.Fatal(err)
	}
	ann, bob := invite("debate", "ann", space.Host), invite("debate", "bob", space.Speaker)
	const low, high = 440, 1000
	annHears := r.listen(t, ann, callerOptions{})
	bobHears := r.listen(t, bob, callerOptions{})
	r.speak(t, ann, callerOptions{hertz: low})
	r.speak(t, bob, callerOptions{hertz: high})
	annHears.hears(t, high, low)
	bobHears.hears(t, low, high)

	from := len(r.log.all())
	blocks := r.log.wait(t, from+2)[from+1:]
	for rung := range programme.Rungs {
		pcm := decodeRung(t, blocks, programme.Rung(rung))
		if a, b := power(pcm, low), power(pcm, high); a < 0.02 || b < 0.02 {
			t.Errorf("rung %d has %.3f of the one tone and %.3f of the other", rung, a, b)
		}
	}
	end := liveSpace("debate")
	end.Phase = space.Ended
	if err := r.Put(end); err != nil {
		t.Fatal(err)
	}
	last := r.log.all()
	if b := last[len(last)-1]; !b.Final {
		t.Error("the last block after the end is not final")
	}
}

func TestNothingOfTheStageIsInTheProgrammeWhileTheDoorsAreOpen(t *testing.T) {
	inRealTime(t)
	t.Parallel()
	r := newRig(t, func(o *Options) {
		o.Hold = make([]float32, 48000)
		(&tone{hertz: 250, level: 0.2}).next(o.Hold, 1)
	})
	sp := openSpace("doors")
	if err := r.Put(sp); err != nil {
		t.Fatal(err)
	}
	ann, bob := invite("doors", "ann", space.Host), invite("doors", "bob", space.Speaker)
	bobHears := r.listen(t, bob, callerOptions{})
	r.speak(t, ann, callerOptions{hertz: 2000})
	bobHears.hears(t, 2000, 250) // on stage they hear each other, and no hold audio
	n := len(r.log.all())
	blocks := r.log.wait(t, n+2)
	pcm := decodeRung(t, blocks[1:], programme.Rung48)
	if hold, leak := power(pcm, 250), power(pcm, 2000); hold < 0.1 || leak > 1e-4 {
		t.Errorf("the programme has %.3f of hold audio and %.6f of the stage", hold, leak)
	}
	for i, p := range pulses(t, blocks) {
		if len(p.Speaking) > 0 || p.Phase != space.Open {
			t.Errorf("block %d: pulse %+v tells who speaks behind closed doors", i, p)
		}
	}
}

func TestNewestConnectionOfAnInviteHasTheSeatAtOnce(t *testing.T) {
	inRealTime(t)
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("seat")); err != nil {
		t.Fatal(err)
	}
	ann, bob := invite("seat", "ann", space.Host), invite("seat", "bob", space.Speaker)
	old, err := r.Watch("seat", "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	bobHears := r.listen(t, bob, callerOptions{})
	first := r.speak(t, ann, callerOptions{hertz: 440})
	bobHears.hears(t, 440, 1000)

	page, err := r.Watch("seat", "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	second := r.speak(t, ann, callerOptions{hertz: 1000})
	if !lastEventIs[ReplacedEvent](old) {
		t.Error("the older page was not told that it lost its seat")
	}
	bobHears.hears(t, 1000, 440)
	if _, err := r.Patch(t.Context(), first.ses.ID, "*", "m=audio 9 X 0\r\na=candidate:1 1 UDP 1 127.0.0.1 9 typ host\r\n"); err == nil {
		t.Error("the session that was replaced can still be patched")
	}
	until(t, "one seat, connected", func() bool {
		seats := r.Stage("seat").Seats
		return len(seats) == 2 && seats[1].ID == "ann" && seats[1].Connected
	})
	if err := r.Leave(t.Context(), second.ses.ID); err != nil {
		t.Fatal(err)
	}
	if seats := r.Stage("seat").Seats; seats[1].Connected {
		t.Error("a seat that left is still connected")
	}
	select {
	case e := <-page.Events():
		if _, replaced := e.(ReplacedEvent); replaced {
			t.Error("the newer page was told that it was replaced")
		}
	default:
		t.Error("the newer page heard nothing of the stage")
	}
}

// lastEventIs drains a watcher that was ended.
func lastEventIs[E Event](w *Watcher) bool {
	var last Event
	for e := range w.Events() {
		last = e
	}
	_, ok := last.(E)
	return ok
}

func TestSoundSurvivesAnICERestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("move")); err != nil {
		t.Fatal(err)
	}
	ann, bob := invite("move", "ann", space.Host), invite("move", "bob", space.Speaker)
	bobHears := r.listen(t, bob, callerOptions{})
	phone := r.speak(t, ann, callerOptions{hertz: 440})
	bobHears.hears(t, 440, 1000)

	for range 2 { // twice: the second starts from an offer that is ours in part
		offer := phone.offerWith(&webrtc.OfferOptions{ICERestart: true})
		got, err := r.Patch(t.Context(), phone.ses.ID, "*", fragmentOf(offer))
		if err != nil {
			t.Fatal(err)
		}
		if !got.Restarted || got.ETag == phone.ses.ETag || got.ETag == "" {
			t.Errorf("a restart gave %+v after ETag %s", got, phone.ses.ETag)
		}
		phone.accept(withFragment(phone.ses.Answer, got.Fragment))
		bobHears.heard()
		bobHears.hears(t, 440, 1000)
		if _, err := r.Patch(t.Context(), phone.ses.ID, phone.ses.ETag, fragmentOf(offer)); !errors.Is(err, ErrETag) {
			t.Errorf("a patch for the session before the restart: %v, want ErrETag", err)
		}
		if _, err := r.Patch(t.Context(), phone.ses.ID, "", fragmentOf(offer)); !errors.Is(err, ErrNoETag) {
			t.Errorf("a patch without If-Match: %v, want ErrNoETag", err)
		}
		if again, err := r.Patch(t.Context(), phone.ses.ID, got.ETag, fragmentOf(offer)); err != nil || again.Restarted || again.ETag != got.ETag {
			t.Errorf("the same credentials again: %+v, %v; want no restart", again, err)
		}
		phone.ses.ETag = got.ETag
	}
}

// fragmentOf makes the fragment that a WHIP client would send of its offer.
func fragmentOf(offer string) string {
	var b strings.Builder
	for line := range strings.Lines(offer) {
		for _, keep := range []string{"m=", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:"} {
			if strings.HasPrefix(line, keep) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// withFragment puts the ICE side of a fragment into the answer that came before it,
// as a WHIP client does after a restart.
func withFragment(answer, fragment string) string {
	var b strings.Builder
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "a=candidate:") || strings.HasPrefix(line, "a=ice-ufrag:") || strings.HasPrefix(line, "a=ice-pwd:") || strings.HasPrefix(line, "a=end-of-candidates") {
			continue
		}
		b.WriteString(line)
	}
	for line := range strings.Lines(fragment) {
		if strings.HasPrefix(line, "a=candidate:") || strings.HasPrefix(line, "a=ice-") {
			if !strings.HasPrefix(line, "a=ice-options") {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

func TestWithoutUDPThereIsICETCP(t *testing.T) {
	inRealTime(t)
	t.Parallel()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *Options) { o.ICETCP = tcp })
	if err := r.Put(liveSpace("tcp")); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("tcp4", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // one that never speaks must not hold up the end
	ann, bob := invite("tcp", "ann", space.Host), invite("tcp", "bob", space.Speaker)
	bobHears := r.listen(t, bob, callerOptions{tcp: true})
	r.speak(t, ann, callerOptions{hertz: 440, tcp: true})
	bobHears.hears(t, 440, 1000)
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	inRealTime(t)
	r := newRig(t, func(o *Options) { o.UDP = "[::1]:0" })
	if err := r.Put(liveSpace("six")); err != nil {
		t.Fatal(err)
	}
	ann, bob := invite("six", "ann", space.Host), invite("six", "bob", space.Speaker)
	bobHears := r.listen(t, bob, callerOptions{ip6: true})
	r.speak(t, ann, callerOptions{hertz: 440, ip6: true})
	bobHears.hears(t, 440, 1000)
}

func TestWhoMayConnect(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("who")); err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, callerOptions{})
	if _, err := c.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	offer := c.offer()
	ann := invite("who", "ann", space.Host)
	revoked := ann
	revoked.Revoked = true
	for _, try := range []struct {
		name  string
		inv   space.Invite
		offer string
		want  space.Kind
	}{
		{"garbage", ann, "\x00hello", space.Invalid},
		{"nothing", ann, "", space.Invalid},
		{"no ICE", ann, "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=mid:0\r\n", space.Invalid},
		{"too long", ann, strings.Repeat("a=x\r\n", 20000), space.Invalid},
		{"revoked", revoked, offer, space.Unauthorized},
		{"elsewhere", invite("nowhere", "ann", space.Host), offer, space.NotFound},
	} {
		if _, err := r.Subscribe(t.Context(), try.inv, try.offer); space.KindOf(err) != try.want {
			t.Errorf("%s: %v is %q, want %q", try.name, err, space.KindOf(err), try.want)
		}
	}
	if _, err := r.Publish(t.Context(), ann, offer); space.KindOf(err) != space.Invalid {
		t.Errorf("an offer that sends nothing, as a microphone: %v", err)
	}
	over := liveSpace("who")
	over.Phase = space.Ended
	if err := r.Put(over); err != nil {
		t.Fatal(err)
	}
	_, err := r.Subscribe(t.Context(), ann, offer)
	kindIs(t, err, space.Gone)
}

func TestSpacesThatAreOverAreForgottenInTime(t *testing.T) {
	st := newRig(t, nil)
	for i := range 2*overMost + 1 {
		sp := space.Space{ID: space.ID(fmt.Sprint("s", i)), Phase: space.Scheduled}
		for _, sp.Phase = range []space.Phase{space.Scheduled, space.Cancelled} {
			if err := st.Put(sp); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := st.Watch(sp.ID, "ann"); space.KindOf(err) != space.Gone {
			t.Fatalf("a space that was cancelled just now: %v", err)
		}
	}
	if len(st.over) > overMost || len(st.rooms) > 0 {
		t.Errorf("%d spaces that are over are remembered, and %d rooms", len(st.over), len(st.rooms))
	}
}
