package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// EdgeUser is the name of the user as which edges join our own server.
const EdgeUser = "edge"

// inbox is where answers to the requests of edges come in: a word of their own, so
// that they hear no answers to the core. They can hear each other's, which hold nothing
// that they may not ask for, and can't answer in the core's place.
const inbox = "_INBOX.hustings"

// edgeMay is what an edge is allowed: to hear the programme and what belongs to it,
// to ask, and to say that it is there and how many it serves. It never speaks for
// the stage: whatever it publishes, no block of it reaches anyone.
func edgeMay() *server.Permissions {
	return &server.Permissions{
		Subscribe: &server.SubjectPermission{Allow: []string{
			"hustings.block.*", "hustings.space.>", "hustings.edges", inbox + ".>",
		}},
		Publish: &server.SubjectPermission{Allow: []string{
			"hustings.tally.*", "hustings.served.*", "hustings.edge.*", "hustings.blocks.*", "hustings.snapshot.*", "hustings.ask.*",
		}},
	}
}

// checkListen refuses to take edges without a secret: whoever reached the port would
// be one.
func checkListen(o Options) error {
	if o.Listen == "" {
		return nil
	}
	if o.URL != "" {
		return errors.New("edges join the NATS cluster itself: our own server, which would take them, does not run beside it")
	}
	if len(o.Secret) < shortSecret {
		return fmt.Errorf("the secret of edges is shorter than %d characters: it could be guessed", shortSecret)
	}
	if _, err := listenAt(o.Listen); err != nil {
		return err
	}
	return nil
}

const shortSecret = 16

func listenAt(address string) (*net.TCPAddr, error) {
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the bus can't listen on %s: %w", address, err)
	}
	return at, nil
}

// mostSubscriptions bounds what one connection makes the server remember; a node has
// some twenty.
const mostSubscriptions = 1000

// own is a NATS server in this process.
type own struct {
	server *server.Server
	user   string // as which we connect ourselves, with all rights; "" if nobody else can
	secret string
}

// startServer starts our own server, with a port if edges are to join.
func (b *Bus) startServer(ctx context.Context) (*own, error) {
	options := &server.Options{
		ServerName: b.opts.Name,
		DontListen: true,
		NoSigs:     true,
		NoLog:      true,
		MaxPayload: MaxMessage,
		MaxPending: pendingServer,
		MaxSubs:    mostSubscriptions,
	}
	o := new(own)
	if b.opts.Listen != "" {
		if err := b.open(ctx, options, o); err != nil {
			return nil, err
		}
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("starting the bus: %w", err)
	}
	o.server = s
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		o.stop()
		return nil, errors.New("starting the bus: the embedded NATS server is not ready after 10 s")
	}
	if at, ok := s.Addr().(*net.TCPAddr); ok && b.opts.Listen != "" {
		address := at.String()
		b.address.Store(&address)
	}
	return o, nil
}

// open gives our server a port, and two users: ourselves and the edges.
func (b *Bus) open(ctx context.Context, options *server.Options, o *own) error {
	at, err := listenAt(b.opts.Listen)
	if err != nil {
		return err
	}
	// The server could not tell what is wrong with the port; this does.
	var config net.ListenConfig
	probe, err := config.Listen(ctx, "tcp", b.opts.Listen)
	if err != nil {
		return fmt.Errorf("the bus can't listen: %w", err)
	}
	if err := probe.Close(); err != nil {
		return fmt.Errorf("the bus can't listen: %w", err)
	}
	host, _, err := net.SplitHostPort(b.opts.Listen)
	if err != nil {
		return fmt.Errorf("the bus can't listen: %w", err)
	}
	options.DontListen = false
	options.Host, options.Port = host, at.Port
	if host == "" {
		options.Host = "0.0.0.0"
		if at.IP != nil {
			options.Host = at.IP.String()
		}
	}
	if at.Port == 0 {
		options.Port = server.RANDOM_PORT
	}
	if b.opts.TLS != nil {
		options.TLS, options.TLSConfig = true, b.opts.TLS
	}
	// A busy machine takes its time over a handshake, and an edge that is gone is
	// to be noticed.
	options.TLSTimeout, options.AuthTimeout = handshakeTime.Seconds(), 2*handshakeTime.Seconds()
	options.PingInterval, options.MaxPingsOut = 5*pingEvery, pingsLost
	o.user, o.secret = "node", rand.Text()
	options.Users = []*server.User{
		{Username: o.user, Password: o.secret},
		{Username: EdgeUser, Password: b.opts.Secret, Permissions: edgeMay()},
	}
	return nil
}

const handshakeTime = 10 * time.Second

// connectBy is how we connect to it ourselves: within the process.
func (o *own) connectBy() []nats.Option {
	by := []nats.Option{nats.InProcessServer(o.server)}
	if o.user != "" {
		by = append(by, nats.UserInfo(o.user, o.secret))
	}
	return by
}

func (o *own) stop() {
	o.server.Shutdown()
	o.server.WaitForShutdown()
}

// Address returns where edges are taken, HOST:PORT, once the bus is ready; "" if
// they are not.
func (b *Bus) Address() string {
	if at := b.address.Load(); at != nil {
		return *at
	}
	return ""
}

// JoinURL returns the URL by which an edge joins at an address. It holds the secret.
func JoinURL(address, secret string, secure bool) string {
	u := url.URL{Scheme: "nats", User: url.UserPassword(EdgeUser, secret), Host: address}
	if secure {
		u.Scheme = "tls"
	}
	return u.String()
}
