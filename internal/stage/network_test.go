package stage

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"hustings/internal/ear"
	"hustings/internal/space"
)

// TestAPhoneGoesFromOneNetworkToAnother takes the old network away altogether, of a
// microphone and of a monitor, before ICE is restarted from a new address.
func TestAPhoneGoesFromOneNetworkToAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("walk")); err != nil {
		t.Fatal(err)
	}
	ann, bob := invite("walk", "ann", space.Host), invite("walk", "bob", space.Speaker)
	wifi := map[*caller]*roamer{}
	join := func(connect func(testing.TB, space.Invite, callerOptions) *caller, inv space.Invite, hertz float64) *caller {
		network := newRoamer(t)
		c := connect(t, inv, callerOptions{hertz: hertz, roams: network})
		wifi[c] = network
		return c
	}
	ears := join(r.listen, bob, 0)
	mouth := join(r.speak, ann, 440)
	ears.hears(t, 440, 1000)
	for _, c := range []*caller{mouth, ears} {
		before := wifi[c].address()
		wifi[c].move(t, "127.0.0.2:0")
		offer := c.offerWith(&webrtc.OfferOptions{ICERestart: true})
		fragment := fragmentOf(offer)
		if strings.Contains(fragment, strings.Replace(before, ":", " ", 1)) || !strings.Contains(fragment, "127.0.0.2") {
			t.Fatalf("the phone offers %q after it left %s", fragment, before)
		}
		got, err := r.Patch(t.Context(), c.ses.ID, "*", fragment)
		if err != nil {
			t.Fatal(err)
		}
		c.accept(withFragment(c.ses.Answer, got.Fragment))
		ears.heard()
		ears.hears(t, 440, 1000)
	}
}

// roamer is a phone's network: one UDP socket, until it moves to another.
type roamer struct {
	mu   sync.Mutex // guards what follows
	mux  ice.UDPMux
	conn net.PacketConn
}

func newRoamer(t testing.TB) *roamer {
	n := new(roamer)
	n.move(t, "127.0.0.1:0")
	t.Cleanup(func() { n.Close() })
	return n
}

// move leaves the network and enters another.
func (n *roamer) move(t testing.TB, address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	old := n.mux
	n.mux, n.conn = webrtc.NewICEUDPMux(silentLogs{}.NewLogger(""), conn), conn
	n.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

func (n *roamer) now() ice.UDPMux {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mux
}

func (n *roamer) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conn.LocalAddr().String()
}

func (n *roamer) Close() error                   { return n.now().Close() }
func (n *roamer) RemoveConnByUfrag(ufrag string) { n.now().RemoveConnByUfrag(ufrag) }
func (n *roamer) GetListenAddresses() []net.Addr { return n.now().GetListenAddresses() }
func (n *roamer) GetConn(ufrag string, a net.Addr) (net.PacketConn, error) {
	return n.now().GetConn(ufrag, a)
}

func TestLostPacketsComeAgainBothWays(t *testing.T) {
	inRealTime(t)
	t.Parallel()
	r := newRig(t, nil)
	if err := r.Put(liveSpace("loss")); err != nil {
		t.Fatal(err)
	}
	var up, down loss
	r.listen(t, invite("loss", "bob", space.Speaker), callerOptions{loss: &down})
	r.speak(t, invite("loss", "ann", space.Host), callerOptions{hertz: 440, loss: &up})
	var since ear.Stats
	until(t, "60 packets from the microphone in a row, of which none was lost for good", func() bool {
		now := r.micStats("loss", "ann")
		if now.Lost != since.Lost {
			since = now
		}
		return now.Received >= since.Received+60
	})
	until(t, "lost packets that came again", func() bool { return up.repaired() >= 10 && down.repaired() >= 10 })
}

// micStats tells how the line of a seat's microphone is.
func (r *rig) micStats(id space.ID, seat space.SeatID) ear.Stats {
	room, err := r.room(id)
	if err != nil {
		return ear.Stats{}
	}
	room.mu.Lock()
	defer room.mu.Unlock()
	if mic := room.mics[seat]; mic != nil {
		return mic.in.Stats()
	}
	return ear.Stats{}
}

// loss is a phone's network that loses every fifth packet of sound, each way, the
// first time that it comes by.
type loss struct {
	net.PacketConn
	mu   sync.Mutex // guards what follows
	lost map[lostPacket]bool
	back int // came by again
}

type lostPacket struct {
	ssrc uint32
	seq  uint16
}

// enter makes the engine use this network, and registers what asks for lost packets
// and sends them again.
func (l *loss) enter(t testing.TB, engine *webrtc.SettingEngine, registry *interceptor.Registry) {
	asker, err1 := nack.NewGeneratorInterceptor(nack.GeneratorInterval(tickTime))
	answerer, err2 := nack.NewResponderInterceptor()
	var err3 error
	l.PacketConn, err3 = net.ListenPacket("udp4", "127.0.0.1:0")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	registry.Add(asker)
	registry.Add(answerer)
	mux := webrtc.NewICEUDPMux(silentLogs{}.NewLogger(""), l)
	t.Cleanup(func() { mux.Close() })
	engine.SetICEUDPMux(mux)
}

func (l *loss) repaired() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back
}

// loses tells RTP from all else by its first two bytes (RFC 7983; RFC 5761, section 4).
func (l *loss) loses(p []byte) bool {
	var h rtp.Header
	if len(p) < 12 || p[0]>>6 != 2 || (192 <= p[1] && p[1] <= 223) {
		return false
	}
	if _, err := h.Unmarshal(p); err != nil || h.SequenceNumber%5 != 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = make(map[lostPacket]bool)
	}
	packet := lostPacket{h.SSRC, h.SequenceNumber}
	if l.lost[packet] {
		l.back++
		return false
	}
	l.lost[packet] = true
	return true
}

func (l *loss) WriteTo(p []byte, to net.Addr) (int, error) {
	if l.loses(p) {
		return len(p), nil
	}
	return l.PacketConn.WriteTo(p, to)
}

func (l *loss) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(p)
		if err != nil || !l.loses(p[:n]) {
			return n, from, err
		}
	}
}
