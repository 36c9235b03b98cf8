package node

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"hustings/internal/bus"
	"hustings/internal/elastic"
	"hustings/internal/programme"
)

// Options are the settings of a node. Data and Listen are required. What is said of
// them to a person names them as the program's flags do.
type Options struct {
	Data      string // folder of everything that is kept; made if it is not there
	Listen    string // HOST:PORT of HTTP and ICE-TCP; port 0 picks a free one
	PublicURL string // where people reach this server, if not at Listen

	Domain  string // HTTPS for this name, its certificate fetched and renewed by itself
	ACME    string // directory of the authority that gives the certificate; "" is Let's Encrypt
	TLSCert string // HTTPS with these files instead
	TLSKey  string

	WebRTCUDP string   // HOST:PORT of WebRTC over UDP; "" is the same as Listen
	PublicIPs []string // addresses that a router maps to this machine

	Database        string // postgres:// URL; "" is a SQLite file in Data
	Recordings      string // s3:// or file:// URL; "" is a folder in Data
	NATS            string // URL of a NATS cluster; "" is a server of our own in process
	NATSCredentials string // .creds file for it, or for Join

	// BusListen, HOST:PORT, is where edges join; "": they can't, or join the NATS cluster.
	BusListen  string
	EdgeSecret string // with which they do; "" is the one kept in Data
	// Join makes this node an edge: the URL of a core's bus, or of its NATS cluster, with
	// credentials. It keeps next to nothing, and serves listeners alone.
	Join    string
	CoreKey string // verifier key of the core's log, or a file with it; "": the first that it names
	Weight  int    // share of the listeners; 0: none as long as there is another to serve them

	Pace Pace // what listeners are sent, and when

	RehearsalMax  int           // listeners of a rehearsal, at most; 0: 2,000,000
	RehearsalTime time.Duration // for which it is permitted, at most; 0: 1 h

	OwnerToken string        // the owner's API token; "" is the one kept in Data
	Backlog    time.Duration // audio that a joiner gets at once; 0 is 3 s
	Version    string        // of this program, as it tells those who ask

	// Ready, if set, is called once the node serves.
	Ready  func(Addresses)
	Logger *slog.Logger // nil is silence
}

// Addresses are where a node is to be found once it serves.
type Addresses struct {
	URL    string // scheme and address of the listener, as it is reached on this machine
	Public string // scheme and host in the links that it gives out
	// SignIn is the link by which the owner signs in. It holds the owner's token.
	SignIn    string
	NewToken  bool   // the token was made just now
	TokenFile string // where it is kept; "" if it was given
	// Join is the URL by which edges join, "" if they can't here. It holds their secret.
	Join       string
	NewSecret  bool   // the secret was made just now
	SecretFile string // where it is kept; "" if it was given
}

// Pace is what an operator may settle about delivery. At zero all of it follows from
// the load.
type Pace struct {
	Interval time.Duration // between two deliveries to a listener, whatever the load
	Rung     int           // rate of the best rung that is sent, in kb/s: 48, 24 or 16
	MaxDepth time.Duration // most sound that listeners are given in hand; 0: 24 s
	Egress   float64       // what the network takes, in Mb/s; 0: it is not known
	// OpenDepth is what listeners have in hand when a space opens that was announced:
	// for starts to which a crowd comes in one minute.
	OpenDepth time.Duration
}

// elastic returns what the broadcast is to do by itself, and what not.
func (p Pace) elastic() elastic.Options {
	o := elastic.Options{MaxDepth: p.MaxDepth, MaxEgress: p.Egress * 1e6 / 8, PinInterval: p.Interval}
	if i := slices.Index(rungRates(), p.Rung); i >= 0 {
		o.PinRung = &i
	}
	return o
}

func rungRates() []int { return []int{48, 24, 16} }

func (o Options) checkPace() error {
	p := o.Pace
	switch {
	case p.Rung != 0 && !slices.Contains(rungRates(), p.Rung):
		return fmt.Errorf("--pin-rung %d: use 48, 24 or 16", p.Rung)
	case p.OpenDepth < 0 || p.OpenDepth > cmp.Or(p.MaxDepth, elastic.Deepest):
		return fmt.Errorf("--open-depth %v: use 0s to %v, which is the most that listeners are given", p.OpenDepth, cmp.Or(p.MaxDepth, elastic.Deepest))
	}
	if _, err := elastic.New(p.elastic()); err != nil {
		return fmt.Errorf("--pin-interval, --max-depth and --max-egress do not go together: %w", err)
	}
	return nil
}

// checkEdges refuses what can't be said of edges, or to one.
func (o Options) checkEdges() error {
	switch {
	case o.Weight < 0 || o.Weight > programme.MaxWeight:
		return fmt.Errorf("--weight %d: use 0 to %d", o.Weight, programme.MaxWeight)
	case o.Join == "" && o.CoreKey != "":
		return errors.New("--core-key is for edges: it needs --join")
	case o.BusListen != "" && o.NATS != "":
		return errors.New("--bus-listen opens the NATS server inside this process; with --nats edges join the cluster instead: give one of the two")
	case o.BusListen != "":
		return checkAddress("--bus-listen", o.BusListen)
	case o.Join == "":
		return nil
	}
	for flag, value := range map[string]string{
		"--nats": o.NATS, "--database": o.Database, "--recordings": o.Recordings, "--webrtc-udp": o.WebRTCUDP,
	} {
		if value != "" {
			return fmt.Errorf("%s is for the server that an edge joins: leave it out beside --join", flag)
		}
	}
	_, err := bus.New(bus.Options{URL: o.Join, Credentials: o.NATSCredentials})
	if err != nil {
		return fmt.Errorf("--join: %w (the line is printed by the server's first start with --bus-listen)", err)
	}
	return nil
}

// check refuses what can be known to be wrong before anything is opened.
func (o Options) check() error {
	if o.Data == "" {
		return errors.New("--data: name the folder in which to keep everything")
	}
	for _, check := range []func() error{o.checkAddresses, o.checkTLS, o.checkPublicURL, o.checkStores, o.checkPace, o.checkEdges} {
		if err := check(); err != nil {
			return err
		}
	}
	if o.RehearsalMax < 0 || o.RehearsalTime < 0 {
		return errors.New("--rehearsal-max and --rehearsal-time can't be negative")
	}
	if o.Backlog < 0 || o.Backlog > time.Minute {
		return fmt.Errorf("--backlog %v: use 0s to 1m (3s is plenty)", o.Backlog)
	}
	return nil
}

func (o Options) checkAddresses() error {
	if err := checkAddress("--listen", o.Listen); err != nil {
		return err
	}
	if o.WebRTCUDP != "" {
		if err := checkAddress("--webrtc-udp", o.WebRTCUDP); err != nil {
			return err
		}
	}
	for _, ip := range o.PublicIPs {
		if net.ParseIP(ip) == nil {
			return fmt.Errorf("--public-ip %q is not an IP address", ip)
		}
	}
	return nil
}

func checkAddress(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q is not an address: give HOST:PORT, for example 127.0.0.1:8080, or :8080 for every address of this machine", flag, address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%s %q: the port is a number from 1 to 65535, or 0 for any that is free", flag, address)
	}
	if host != "" && net.ParseIP(host) == nil && !validHost(host) {
		return fmt.Errorf("%s %q: the host is an IP address or a name", flag, address)
	}
	return nil
}

func (o Options) checkTLS() error {
	switch {
	case o.Domain != "" && (o.TLSCert != "" || o.TLSKey != ""):
		return errors.New("--domain fetches a certificate by itself; give it, or --tls-cert and --tls-key, not both")
	case o.TLSCert != "" && o.TLSKey == "":
		return errors.New("--tls-cert needs --tls-key, the certificate's private key")
	case o.TLSKey != "" && o.TLSCert == "":
		return errors.New("--tls-key needs --tls-cert, the certificate of the key")
	case o.ACME != "" && o.Domain == "":
		return errors.New("--acme-directory needs --domain, the name that the certificate is for")
	case o.Domain == "":
		return nil
	}
	if u, err := url.Parse(o.ACME); o.ACME != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("--acme-directory %q is not the address of an ACME directory, such as https://acme-staging-v02.api.letsencrypt.org/directory", o.ACME)
	}
	if net.ParseIP(strings.Trim(o.Domain, "[]")) != nil {
		return fmt.Errorf("--domain %s is an IP address: certificates are for names; give --tls-cert and --tls-key instead", o.Domain)
	}
	if !validHost(o.Domain) || !strings.Contains(o.Domain, ".") {
		return fmt.Errorf("--domain %q is not the name of a host on the internet, such as talk.example.org", o.Domain)
	}
	return nil
}

func (o Options) checkPublicURL() error {
	if o.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(o.PublicURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("--public-url %q: give scheme and host only, such as https://talk.example.org", o.PublicURL)
	}
	return nil
}

func (o Options) checkStores() error {
	if o.Database != "" {
		u, err := url.Parse(o.Database)
		if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || (u.Host == "" && u.RawQuery == "") {
			return errors.New("--database: give a PostgreSQL URL, postgres://USER:PASSWORD@HOST/DATABASE, or leave it out for a file in the data folder")
		}
	}
	if o.Recordings != "" {
		u, err := url.Parse(o.Recordings)
		if err != nil || (u.Scheme != "s3" && u.Scheme != "file") || (u.Scheme == "s3" && u.Host == "") {
			return errors.New("--recordings: give s3://BUCKET or file:///FOLDER, or leave it out for the data folder")
		}
	}
	if o.NATSCredentials != "" {
		if _, err := os.Stat(o.NATSCredentials); err != nil {
			return fmt.Errorf("--nats-creds: %w", err)
		}
	}
	return nil
}

// validHost reports whether name may be the name of a host (RFC 1123, section 2.1).
func validHost(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(strings.ToLower(label)) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
