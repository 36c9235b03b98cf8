package rtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

const mimeRED = "audio/red"

// Times of ICE. A connection that is silent for iceSilent counts as lost, but may
// come back, or be restarted from another network, until iceGone.
const (
	iceSilent    = 3 * time.Second
	iceGone      = 30 * time.Second
	iceKeepalive = time.Second
)

// nackEvery is how often lost packets are asked for again: as often as packets come,
// since a jitter buffer waits for no more than a few of them.
const nackEvery = 20 * time.Millisecond

// tcpBuffer is how much waits for a slow ICE-TCP client before packets are dropped.
const tcpBuffer = 32 << 10

// listenUDP opens the one UDP port of all sessions at address ("host:port"): one
// socket for a given host; without one, a socket on each address of this machine,
// so that each answer leaves from the address that was asked. Loopback is left out
// of those unless asked for, or there is nothing else.
func listenUDP(address string, loopback bool) ([]net.PacketConn, error) {
	want, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, fmt.Errorf("the UDP address %q: %w", address, err)
	}
	if want.IP != nil && !want.IP.IsUnspecified() {
		conn, err := net.ListenUDP("udp", want)
		if err != nil {
			return nil, err
		}
		return []net.PacketConn{conn}, nil
	}
	ips, err := hostIPs(want.IP, loopback)
	if err != nil {
		return nil, err
	}
	var conns []net.PacketConn
	var failed error
	for _, ip := range ips {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: want.Port})
		if errors.Is(err, syscall.EADDRINUSE) {
			closeAll(conns)
			return nil, err
		}
		if err != nil {
			failed = err // an address on its way in or out: the others will do
			continue
		}
		conns = append(conns, conn)
	}
	if len(conns) == 0 {
		return nil, fmt.Errorf("no address to listen on for UDP: %w", errors.Join(failed, net.UnknownNetworkError("no interface is up")))
	}
	return conns, nil
}

func closeAll(conns []net.PacketConn) {
	for _, c := range conns {
		c.Close()
	}
}

// hostIPs returns this machine's addresses that others may reach, of both families
// unless any is the unspecified address of IPv4.
func hostIPs(unspecified net.IP, loopback bool) ([]net.IP, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("the addresses of this machine: %w", err)
	}
	only4 := unspecified != nil && unspecified.To4() != nil
	var far, near []net.IP
	for _, addr := range addrs {
		network, ok := addr.(*net.IPNet)
		if !ok || network.IP.IsLinkLocalUnicast() || (only4 && network.IP.To4() == nil) {
			continue
		}
		if network.IP.IsLoopback() {
			near = append(near, network.IP)
		} else {
			far = append(far, network.IP)
		}
	}
	if loopback || len(far) == 0 {
		far = append(far, near...)
	}
	return far, nil
}

// Options configure a Network.
type Options struct {
	// UDP is the address of the one UDP port of all sessions ("host:port"). Without
	// a host, or with an unspecified one, it is opened on every address of the machine.
	UDP string
	// Loopback also opens it on 127.0.0.1 and ::1 when UDP names no host.
	Loopback bool
	// TCP accepts connections for those whose network lets no UDP through. Its Addr
	// must be the address that clients connect to. nil: no ICE-TCP.
	TCP net.Listener
	// PublicIPs are addresses that a router in front of this machine maps to it, one
	// to one and with the same ports.
	PublicIPs []string
	Logger    *slog.Logger // nil: discard
}

// Network is the WebRTC stack: the sockets and one API for each direction.
type Network struct {
	opts  Options
	conns []net.PacketConn

	udp  ice.UDPMux
	tcp  *ice.TCPMuxDefault // nil without ICE-TCP
	whip *webrtc.API
	whep *webrtc.API
}

// New opens the UDP port and starts nothing.
//
// Errors: those of the port: in use, not allowed, no such address.
func New(o Options) (*Network, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	conns, err := listenUDP(o.UDP, o.Loopback)
	if err != nil {
		return nil, err
	}
	return &Network{opts: o, conns: conns}, nil
}

// Start serves the sockets until Close. Sessions can be made from then on.
func (n *Network) Start() error {
	conns, tcp := n.conns, n.opts.TCP
	loggers := loggers{n.opts.Logger}
	var engine webrtc.SettingEngine
	engine.LoggerFactory = loggers
	var muxes []ice.UDPMux
	loopback := false
	for _, conn := range conns {
		if addr, ok := conn.LocalAddr().(*net.UDPAddr); ok && addr.IP.IsLoopback() {
			loopback = true
		}
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: loggers.NewLogger("udp")}))
	}
	n.udp = ice.NewMultiUDPMuxDefault(muxes...)
	engine.SetICEUDPMux(n.udp)
	types := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	if tcp != nil {
		n.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: newDoor(tcp), Logger: loggers.NewLogger("tcp"), ReadBufferSize: 64, WriteBufferSize: tcpBuffer,
			FirstStunBindTimeout: firstWord, AliveDurationForConnFromStun: firstWord,
		})
		engine.SetICETCPMux(n.tcp)
		types = append(types, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	}
	engine.SetNetworkTypes(types)
	engine.SetIncludeLoopbackCandidate(loopback)
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	engine.SetICETimeouts(iceSilent, iceGone, iceKeepalive)
	engine.DisableActiveTCP(true)
	err := publicAddresses(&engine, n.opts.PublicIPs)
	if err == nil {
		err = n.makeAPIs(engine)
	}
	if err != nil {
		n.Close()
	}
	return err
}

// publicAddresses adds the addresses under which a router in front of this machine
// passes everything on to it.
func publicAddresses(engine *webrtc.SettingEngine, ips []string) error {
	if len(ips) == 0 {
		return nil
	}
	for _, ip := range ips {
		if net.ParseIP(ip) == nil {
			return fmt.Errorf("%q is not an IP address", ip)
		}
	}
	return engine.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
		External: ips, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend,
	})
}

// makeAPIs makes an API for each direction. ICE is full, not lite, though we are a
// server: so a machine behind a router of its own, as at home, still meets a client
// that has a public address, and both ends see at once when the path is gone.
func (n *Network) makeAPIs(engine webrtc.SettingEngine) error {
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}}
	opusCodec := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, RTCPFeedback: feedback},
		PayloadType:        111,
	}
	redCodec := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mimeRED, ClockRate: 48000, Channels: 2, RTCPFeedback: feedback},
		PayloadType:        63,
	}
	asker, err1 := nack.NewGeneratorInterceptor(nack.GeneratorInterval(nackEvery), nack.GeneratorMaxNacksPerPacket(2), nack.GeneratorSize(64))
	receiver, err2 := report.NewReceiverInterceptor()
	answerer, err3 := nack.NewResponderInterceptor(nack.ResponderSize(64))
	sender, err4 := report.NewSenderInterceptor()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	var err error
	if n.whip, err = newAPI(engine, []interceptor.Factory{asker, receiver}, opusCodec, redCodec); err != nil {
		return err
	}
	n.whep, err = newAPI(engine, []interceptor.Factory{answerer, sender}, opusCodec)
	return err
}

func newAPI(engine webrtc.SettingEngine, factories []interceptor.Factory, codecs ...webrtc.RTPCodecParameters) (*webrtc.API, error) {
	var media webrtc.MediaEngine
	for _, c := range codecs {
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	var registry interceptor.Registry
	for _, f := range factories {
		registry.Add(f)
	}
	return webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(&media), webrtc.WithInterceptorRegistry(&registry)), nil
}

func (n *Network) api(d Direction) *webrtc.API {
	if d == WHIP {
		return n.whip
	}
	return n.whep
}

// Close closes the sockets. End the sessions first.
func (n *Network) Close() {
	if n.tcp != nil {
		n.tcp.Close()
	}
	n.udp.Close()
}

// firstWord is how long a TCP connection may stay silent before it says which
// session it is for.
const firstWord = 5 * time.Second

// door hands on TCP connections and closes with itself those that are still open:
// the mux waits for each of them when it closes, also for those that never spoke.
type door struct {
	net.Listener
	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

func newDoor(l net.Listener) *door { return &door{Listener: l, open: make(map[net.Conn]struct{})} }

func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		conn.Close()
		return nil, net.ErrClosed
	}
	c := &guest{Conn: conn, door: d}
	d.open[c] = struct{}{}
	return c, nil
}

func (d *door) Close() error {
	err := d.Listener.Close()
	d.mu.Lock()
	open := d.open
	d.open = nil
	d.mu.Unlock()
	for c := range open {
		c.Close()
	}
	return err
}

// guest is a connection that came through a door.
type guest struct {
	net.Conn
	door *door
}

func (g *guest) Close() error {
	g.door.mu.Lock()
	delete(g.door.open, g)
	g.door.mu.Unlock()
	return g.Conn.Close()
}

// loggers passes what pion has to say to slog. Its warnings are about what clients
// send, so they are our debugging; its other words are dropped.
type loggers struct{ logger *slog.Logger }

// NewLogger makes a logger for a part of pion.
func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{l.logger.With("pion", scope)}
}

type pionLog struct{ logger *slog.Logger }

func (pionLog) Trace(string)          {}
func (pionLog) Tracef(string, ...any) {}
func (pionLog) Debug(string)          {}
func (pionLog) Debugf(string, ...any) {}
func (pionLog) Info(string)           {}
func (pionLog) Infof(string, ...any)  {}

func (l pionLog) Warn(text string)                  { l.logger.Debug(text) }
func (l pionLog) Warnf(format string, args ...any)  { l.logger.Debug(fmt.Sprintf(format, args...)) }
func (l pionLog) Error(text string)                 { l.logger.Debug(text) }
func (l pionLog) Errorf(format string, args ...any) { l.logger.Debug(fmt.Sprintf(format, args...)) }
