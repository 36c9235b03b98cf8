package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"hustings/internal/bus"
	"hustings/internal/split"
)

// door is the port: TCP for HTTP and ICE, and the address of UDP beside it.
type door struct {
	tcp    net.Listener
	http   net.Listener // HTTP, or HTTPS
	ice    net.Listener // WebRTC over TCP
	udp    string       // HOST:PORT of WebRTC over UDP
	secure bool
	tls    *tls.Config        // of HTTPS, nil for plain HTTP
	cancel context.CancelFunc // of the certificate's renewal
}

// freePorts is how often a free port is looked for that is free for UDP as well.
const freePorts = 20

// openDoor opens the port.
func openDoor(ctx context.Context, o Options, dir *folder, log *slog.Logger) (*door, error) {
	tcp, udp, err := listen(ctx, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	conf, err := tlsConfig(ctx, o, dir, tcp.Addr(), log)
	if err != nil {
		cancel()
		tcp.Close()
		return nil, err
	}
	port := split.New(tcp)
	d := &door{tcp: tcp, http: port, ice: port.ICE(), udp: udp, secure: conf != nil, tls: conf, cancel: cancel}
	if conf != nil {
		d.http = tls.NewListener(port, conf)
	}
	return d, nil
}

// listen opens the TCP port, and says which UDP port goes with it.
func listen(ctx context.Context, o Options) (net.Listener, string, error) {
	var config net.ListenConfig
	for try := 1; ; try++ {
		tcp, err := config.Listen(ctx, "tcp", o.Listen)
		if err != nil {
			return nil, "", refusedPort(o.Listen, err)
		}
		if o.WebRTCUDP != "" {
			return tcp, o.WebRTCUDP, nil
		}
		host, wanted, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, "", err // checked before
		}
		udp := net.JoinHostPort(host, strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port))
		if wanted != "0" || try == freePorts || udpIsFree(ctx, udp) {
			return tcp, udp, nil
		}
		tcp.Close() // another program has its UDP: any other port will do
	}
}

func udpIsFree(ctx context.Context, address string) bool {
	var config net.ListenConfig
	conn, err := config.ListenPacket(ctx, "udp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// refusedPort says why a port was not to be had, and what to do.
func refusedPort(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the port of %s is in use by another program: end that one, or choose another port with --listen", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("the port of %s is not allowed to this user: choose one above 1023 with --listen, or give the program the right (setcap cap_net_bind_service=+ep)", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine: choose one with --listen, or none (:8080) for all", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}

func (d *door) close() {
	d.cancel()
	d.http.Close()
	d.ice.Close()
}

// addresses says where the node is.
func (w *wiring) addresses() Addresses {
	at := w.door.tcp.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "127.0.0.1" // where this machine reaches itself
	}
	scheme := "http"
	if w.door.secure {
		scheme = "https"
	}
	a := Addresses{URL: scheme + "://" + net.JoinHostPort(host, strconv.Itoa(at.Port)), Public: publicURL(w.node.opts)}
	if a.Public == "" {
		a.Public = a.URL
	}
	if w.keys == nil {
		return a // an edge has none
	}
	a.NewToken, a.TokenFile = w.keys.ownerMade, w.keys.ownerFile
	a.SignIn = a.Public + "/signin?token=" + url.QueryEscape(w.keys.owner)
	if w.keys.edges.text != "" {
		a.Join = bus.JoinURL(w.busAddress(a.Public), w.keys.edges.text, w.door.secure)
		a.NewSecret, a.SecretFile = w.keys.edges.made, w.keys.edges.file
	}
	return a
}

// busAddress is where edges find the bus: at the address that it listens on, or if
// that is every one, at the name that the world has for this server.
func (w *wiring) busAddress(public string) string {
	host, port, err := net.SplitHostPort(w.bus.Address())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		if u, err := url.Parse(public); err == nil {
			host = u.Hostname()
		}
	}
	return net.JoinHostPort(host, port)
}

// publicURL is what links begin with, "" if it is whatever a request came to.
func publicURL(o Options) string {
	switch {
	case o.PublicURL != "":
		return strings.TrimRight(o.PublicURL, "/")
	case o.Domain != "":
		return "https://" + o.Domain // its port 443 has to lead here for the certificate, too
	}
	return ""
}
