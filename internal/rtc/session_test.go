package rtc

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"

	"hustings/internal/space"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newNetwork(t testing.TB) *Network {
	t.Helper()
	n, err := New(Options{UDP: "127.0.0.1:0", PublicIPs: []string{"203.0.113.7"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func newSession(t testing.TB, n *Network, d Direction) *Session {
	t.Helper()
	s, err := n.NewSession(SessionOptions{Direction: d, Packet: func(*rtp.Packet, bool, time.Time) {}, Reaches: func(bool) {}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnswerHasOurAddressesAndThatOfTheRouter(t *testing.T) {
	s := newSession(t, newNetwork(t), WHIP)
	defer s.Close()
	answer, err := s.Answer(t.Context(), lastOffer)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" 127.0.0.1 ", " 203.0.113.7 ", "a=end-of-candidates", "m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n"} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer has no %q:\n%s", want, answer)
		}
	}
}

func TestAPortInUseIsRefused(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := New(Options{UDP: taken.LocalAddr().String()}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port in use: %v", err)
	}
}

// The end of a session is told once, and leaves nothing behind.
func TestTheEndOfASessionIsTold(t *testing.T) {
	s := newSession(t, newNetwork(t), WHEP)
	if _, err := s.Answer(t.Context(), strings.Replace(lastOffer, "sendonly", "recvonly", 1)); err != nil {
		t.Fatal(err)
	}
	told, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.Run(context.Background(), func() { close(told) })
	}()
	s.Outlet().Send([]byte{1})
	s.End()
	s.End()
	<-told
	<-done
	if _, err := s.Patch(t.Context(), "*", goodUfrag+goodPwd); err == nil {
		t.Error("a session that ended can be restarted")
	}
}

func TestASessionThatNeverConnectsEnds(t *testing.T) {
	s, err := newNetwork(t).NewSession(SessionOptions{Direction: WHEP, Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	told := false
	s.Run(t.Context(), func() { told = true })
	if !told {
		t.Error("nobody was told")
	}
}

func TestTrickle(t *testing.T) {
	s := newSession(t, newNetwork(t), WHIP)
	defer s.Close()
	if _, err := s.Answer(t.Context(), lastOffer); err != nil {
		t.Fatal(err)
	}
	one := "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:old1\r\na=ice-pwd:oldoldoldoldoldoldoldold\r\na=" + goodLine + "\r\n"
	got, err := s.Patch(t.Context(), s.ETag(), one)
	if err != nil || got.Restarted || got.ETag != s.ETag() {
		t.Errorf("%+v, %v", got, err)
	}
	hidden := "m=audio 9 X 0\r\na=mid:0\r\na=candidate:1 1 udp 2122260223 0b5a3f4e-1c7c-4ac0-a0d4-0f4a0d0c4b4a.local 61764 typ host\r\n"
	if _, err := s.Patch(t.Context(), s.ETag(), hidden); err != nil {
		t.Errorf("a candidate that hides its address: %v", err)
	}
	for range maxCandidates {
		if _, err = s.Patch(t.Context(), s.ETag(), one); err != nil {
			break
		}
	}
	if space.KindOf(err) != space.Invalid {
		t.Errorf("candidates without end: %v, want Invalid", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(lastOffer)
	f.Add(strings.Replace(lastOffer, "a=sendonly\r\n", "", 1))
	f.Add(strings.Replace(lastOffer, "a=mid:0\r\n", "", 1))
	f.Add(lastOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n")
	n := newNetwork(f)
	f.Fuzz(func(t *testing.T, offer string) {
		for _, d := range []Direction{WHIP, WHEP} {
			if CheckOffer(offer, d) != nil {
				continue
			}
			start := time.Now()
			s := newSession(t, n, d)
			if answer, err := s.Answer(t.Context(), offer); err != nil {
				if space.KindOf(err) != space.Invalid {
					t.Errorf("%v is not Invalid", err)
				}
			} else if ufrag, pwd := credentials(answer); ufrag == "" || pwd == "" {
				t.Errorf("an answer without credentials:\n%s", answer)
			}
			s.Close()
			if took := time.Since(start); took > answerWithin+time.Second {
				t.Fatalf("held up for %v by %q", took, offer)
			}
		}
	})
}
