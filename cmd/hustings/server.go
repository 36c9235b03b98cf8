package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"hustings/internal/node"
)

type serveCommand struct {
	Data   string `env:"HUSTINGS_DATA" default:"data" placeholder:"DIR" help:"Folder of everything that is kept: spaces, recordings, keys. Made if it is not there. Default: ${default}."`
	Listen string `env:"HUSTINGS_LISTEN" placeholder:"ADDR" help:"HOST:PORT to serve on; no host is every address of this machine, port 0 any that is free. Default: :8080, or :443 with HTTPS."`

	Domain    string `env:"HUSTINGS_DOMAIN" group:"HTTPS" placeholder:"NAME" help:"Serve HTTPS for this name, with a certificate that is fetched and renewed by itself. Port 443 of the name has to lead here."`
	ACME      string `name:"acme-directory" env:"HUSTINGS_ACME_DIRECTORY" group:"HTTPS" placeholder:"URL" help:"Authority to fetch it from, by the address of its ACME directory. Default: Let's Encrypt."`
	TLSCert   string `name:"tls-cert" env:"HUSTINGS_TLS_CERT" group:"HTTPS" placeholder:"FILE" help:"Serve HTTPS with this certificate (PEM, with its chain). It is read again when it changes."`
	TLSKey    string `name:"tls-key" env:"HUSTINGS_TLS_KEY" group:"HTTPS" placeholder:"FILE" help:"Its private key."`
	PublicURL string `name:"public-url" env:"HUSTINGS_PUBLIC_URL" group:"HTTPS" placeholder:"URL" help:"Where people reach this server, if a proxy stands before it, and where pages find this edge: https://talk.example.org."`

	WebRTCUDP string   `name:"webrtc-udp" env:"HUSTINGS_WEBRTC_UDP" group:"Microphones" placeholder:"ADDR" help:"HOST:PORT of WebRTC over UDP. Default: the same as --listen."`
	PublicIPs []string `name:"public-ip" env:"HUSTINGS_PUBLIC_IP" group:"Microphones" placeholder:"IP" help:"Address that a router maps to this machine, with the same ports. May be given more than once."`

	Database   string `env:"HUSTINGS_DATABASE" group:"Beyond one machine" placeholder:"URL" help:"PostgreSQL to keep spaces in: postgres://USER:PASSWORD@HOST/DATABASE. Default: a file in the data folder."`
	Recordings string `env:"HUSTINGS_RECORDINGS" group:"Beyond one machine" placeholder:"URL" help:"Where finished recordings go: s3://BUCKET?region=… or file:///FOLDER. Default: the data folder."`
	NATS       string `name:"nats" env:"HUSTINGS_NATS" group:"Beyond one machine" placeholder:"URL" help:"NATS cluster that carries the programme: nats://USER:PASSWORD@HOST. Default: one inside this process, without a port."`
	NATSCreds  string `name:"nats-creds" env:"HUSTINGS_NATS_CREDS" group:"Beyond one machine" placeholder:"FILE" help:"Credentials file for it."`

	BusListen  string `name:"bus-listen" env:"HUSTINGS_BUS_LISTEN" group:"Edges" placeholder:"ADDR" help:"HOST:PORT on which edges join: more servers like this one, which serve listeners. The line to start them with is printed on the first start."`
	EdgeSecret string `name:"edge-secret" env:"HUSTINGS_EDGE_SECRET" group:"Edges" placeholder:"SECRET" help:"With which they do; rather by its variable. Default: made once and kept in DIR/edge.credentials."`
	Join       string `env:"HUSTINGS_JOIN" group:"Edges" placeholder:"URL" help:"Be an edge of the server at nats://edge:SECRET@HOST:PORT (tls:// if it speaks HTTPS), or of those on a NATS cluster; rather by its variable."`
	CoreKey    string `name:"core-key" env:"HUSTINGS_CORE_KEY" group:"Edges" placeholder:"KEY" help:"Key by which that server signs its programme, or a file with it. Default: the first one that it names, which is kept in DIR/core.key."`
	Weight     int    `env:"HUSTINGS_WEIGHT" default:"10" group:"Edges" placeholder:"N" help:"Share of the listeners that come here, beside the weights of the others; 0 is none as long as there is another. Default: ${default}."`

	PinInterval time.Duration `name:"pin-interval" env:"HUSTINGS_PIN_INTERVAL" group:"Pace" placeholder:"TIME" help:"Time between two deliveries to a listener, whatever the load. Default: as the load has it, from 0.5s up."`
	PinRung     int           `name:"pin-rung" env:"HUSTINGS_PIN_RUNG" group:"Pace" placeholder:"KBPS" help:"Best rate that is sent, whatever the load: 48, 24 or 16 kb/s. Default: as the load has it."`
	MaxDepth    time.Duration `name:"max-depth" env:"HUSTINGS_MAX_DEPTH" default:"24s" group:"Pace" placeholder:"TIME" help:"Most sound that listeners are given in hand when there are many: they hear as much later. Default: ${default}."`
	MaxEgress   float64       `name:"max-egress" env:"HUSTINGS_MAX_EGRESS" group:"Pace" placeholder:"MBPS" help:"What this server's network takes, in megabits a second; as it fills, rates go down. Default: not known."`
	OpenDepth   time.Duration `name:"open-depth" env:"HUSTINGS_OPEN_DEPTH" group:"Pace" placeholder:"TIME" help:"Sound that listeners have in hand at the start of a space that was announced: 6s to 12s for a crowd that comes in one minute. It comes down when it turns out not to be needed. Default: none beyond --backlog."`

	RehearsalMax  int           `name:"rehearsal-max" env:"HUSTINGS_REHEARSAL_MAX" default:"2000000" group:"Rehearsals" placeholder:"N" help:"Most simulated listeners that are let in at the owner's word. Default: ${default}."`
	RehearsalTime time.Duration `name:"rehearsal-time" env:"HUSTINGS_REHEARSAL_TIME" default:"1h" group:"Rehearsals" placeholder:"TIME" help:"Longest time that they are let in for. Default: ${default}."`

	Backlog    time.Duration `env:"HUSTINGS_BACKLOG" default:"3s" placeholder:"TIME" help:"Sound that a listener gets at once, so that it starts at once: more is safer, less is closer to the stage. Default: ${default}."`
	OwnerToken string        `name:"owner-token" env:"HUSTINGS_OWNER_TOKEN" placeholder:"TOKEN" help:"The owner's API token; rather by its variable, since others on this machine can see flags. Default: made on the first start and kept in DIR/owner.token."`

	logging
}

func (serveCommand) Help() string {
	return `Prints "ready http://ADDR" (or https) once it serves, and on the first start the link by which the owner signs in. SIGTERM or SIGINT ends it in good order within 10 s; a second one at once. A space that is live stays so and goes on at the next start.

    hustings serve                                          to try it, on http://localhost:8080
    hustings serve --domain talk.example.org                on the internet, with HTTPS
    hustings serve --tls-cert cert.pem --tls-key key.pem    with a certificate of your own
    hustings serve --bus-listen :4222                       with edges, which are started by
    hustings serve --join nats://edge:SECRET@HOST:4222      and serve more listeners

Browsers give a microphone to HTTPS only, but for localhost. Open TCP and UDP of the same port to the world: UDP carries the microphones, TCP everything else, and the microphones where UDP is blocked.`
}

func (c *serveCommand) Run(ctx context.Context, std streams) error {
	log, err := c.logger(std.err)
	if err != nil {
		return err
	}
	n, err := node.New(node.Options{
		Data: c.Data, Listen: c.address(), PublicURL: c.PublicURL,
		Domain: c.Domain, ACME: c.ACME, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		WebRTCUDP: c.WebRTCUDP, PublicIPs: c.PublicIPs,
		Database: c.Database, Recordings: c.Recordings, NATS: c.NATS, NATSCredentials: c.NATSCreds,
		BusListen: c.BusListen, EdgeSecret: c.EdgeSecret, Join: c.Join, CoreKey: c.CoreKey, Weight: c.Weight,
		Pace:         node.Pace{Interval: c.PinInterval, Rung: c.PinRung, MaxDepth: c.MaxDepth, Egress: c.MaxEgress, OpenDepth: c.OpenDepth},
		RehearsalMax: c.RehearsalMax, RehearsalTime: c.RehearsalTime,
		OwnerToken: c.OwnerToken, Backlog: c.Backlog, Version: version, Logger: log,
		Ready: func(at node.Addresses) { c.ready(std, at) },
	})
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

func (c *serveCommand) address() string {
	switch {
	case c.Listen != "":
		return c.Listen
	case c.Domain != "" || c.TLSCert != "":
		return ":443"
	}
	return ":8080"
}

// ready says where the server is. The sign-in link holds the owner's token, and the
// line for edges their secret: they are shown when they are new, and to a person at a
// terminal, but do not go into the log of a service at each start.
func (c *serveCommand) ready(std streams, at node.Addresses) {
	fmt.Fprintf(std.out, "ready %s\n", at.URL)
	switch {
	case at.TokenFile == "": // whoever gave the token has it
	case at.NewToken || isTerminal(std.out):
		fmt.Fprintf(std.out, "sign in as the owner: %s\n(the token is kept in %s)\n", at.SignIn, at.TokenFile)
	}
	switch {
	case at.SecretFile == "": // so has whoever gave the secret of edges, if there are any
	case at.NewSecret || isTerminal(std.out):
		fmt.Fprintf(std.out, "edges join by: hustings serve --join %s\n(the secret in it is kept in %s)\n", at.Join, at.SecretFile)
	}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type demoCommand struct {
	Data      string `env:"HUSTINGS_DATA" default:"data/demo" placeholder:"DIR" help:"Folder of the demo, made anew at each start. Default: ${default}."`
	Listen    string `env:"HUSTINGS_LISTEN" default:"127.0.0.1:8080" placeholder:"ADDR" help:"HOST:PORT to serve on; port 0 is any that is free. Default: ${default}."`
	PublicURL string `name:"public-url" env:"HUSTINGS_PUBLIC_URL" placeholder:"URL" help:"Where people reach it, if a proxy stands before it."`

	logging
}

func (demoCommand) Help() string {
	return `A space is live, in which a host, a councillor and a caller talk without end. Their voices are recordings, but everything else is real: each comes by WebRTC with an invite of its own, and is mixed, broadcast, recorded and signed. The host's link shows the studio; with the stage's link you can join in.`
}

func (c *demoCommand) Run(ctx context.Context, std streams) error {
	log, err := c.logger(std.err)
	if err != nil {
		return err
	}
	n, err := node.New(node.Options{
		Data: c.Data, Listen: c.Listen, PublicURL: c.PublicURL, Version: version, Logger: log,
		Ready: func(at node.Addresses) { fmt.Fprintf(std.out, "ready %s\n", at.URL) },
	})
	if err != nil {
		return err
	}
	return n.Demo(ctx, func(links node.DemoLinks) {
		fmt.Fprintf(std.out, `
  hear it     %s
  host it     %s
  join in     %s
  in a player ffplay %s

Three voices are live. Ctrl-C ends the demo.
`, links.Listen, links.Host, links.Stage, links.Ogg)
	})
}
