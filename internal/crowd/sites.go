package crowd

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"hustings/internal/reach"
)

// sites are the servers of a space, numbered from 0, which is the one of the page.
// The lists of edges that the pages of all listeners have are the same, and are kept
// once. The crowd's lock guards all of it.
type sites struct {
	crowd   *Crowd
	ctx     context.Context // ends the helpers
	helpers *sync.WaitGroup
	list    []site
	byURL   map[string]uint16
	ask     func(ctx context.Context, address string) reach.Line // how its line to the stage is
	edges   reach.Edges
	note    string // the signed list that was opened last
	// document is the space's JSON as it was read last.
	document []byte
}

// site is a server.
type site struct {
	url    string
	host   string // HOST[:PORT], as requests name it
	name   string // HOST, as its certificate does
	secure bool

	state     siteState
	addresses []netip.AddrPort
	turn      int // of the addresses

	joined  int64 // listeners there now
	line    reach.Line
	told    time.Duration // when it told its line; 0 is never
	askedAt time.Duration // when it was asked last
}

type siteState uint8

const (
	resolving siteState = iota
	resolved
	unknown // its name has no address
)

// mostSites bounds the servers: a list of edges has 256 at most, and changes.
const mostSites = 4096

// toldFor is how long a server's word of its line holds.
const toldFor = 2 * time.Second

func newSites(ctx context.Context, c *Crowd, helpers *sync.WaitGroup) sites {
	ask := func(ctx context.Context, address string) reach.Line {
		return reach.AskLine(ctx, c.http, address, c.link.Space)
	}
	return sites{crowd: c, ctx: ctx, helpers: helpers, byURL: make(map[string]uint16), ask: ask}
}

// known returns the number of a server. A new one is looked up meanwhile.
func (s *sites) known(address string) uint16 {
	if i, ok := s.byURL[address]; ok {
		return i
	}
	u, err := url.Parse(address)
	if len(s.list) >= mostSites || err != nil {
		return 0
	}
	i := uint16(len(s.list))
	s.byURL[address] = i
	s.list = append(s.list, site{url: address, host: u.Host, name: u.Hostname(), secure: u.Scheme == "https"})
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		port = map[bool]uint64{true: 443, false: 80}[u.Scheme == "https"]
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		s.list[i].state, s.list[i].addresses = resolved, []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}
		return i
	}
	s.helpers.Go(func() { s.resolve(i, u.Hostname(), uint16(port)) })
	return i
}

// all makes all edges known.
func (s *sites) all() {
	for _, address := range s.edges.List() {
		s.known(address)
	}
}

// secure reports whether any server wants TLS.
func (s *sites) secure() bool {
	for _, site := range s.list {
		if site.secure {
			return true
		}
	}
	return false
}

// resolve looks up a server's name.
func (s *sites) resolve(i uint16, host string, port uint16) {
	ctx, cancel := context.WithTimeout(s.ctx, answerWithin)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	site := &s.list[i]
	for _, ip := range found {
		if ip = ip.Unmap(); s.reaches(ip) {
			site.addresses = append(site.addresses, netip.AddrPortFrom(ip, port))
		}
	}
	if site.state = resolved; err != nil || len(site.addresses) == 0 {
		site.state = unknown
		s.crowd.log.Warn("a server's name is not known", "server", site.url, "reason", err)
	}
}

// reaches reports whether any of the local addresses is of the family of ip.
func (s *sites) reaches(ip netip.Addr) bool {
	sources := s.crowd.opts.Sources
	for _, source := range sources {
		if source.Is4() == ip.Is4() {
			return true
		}
	}
	return len(sources) == 0
}

// address returns where to connect to next.
func (s *site) address() netip.AddrPort {
	s.turn++
	return s.addresses[s.turn%len(s.addresses)]
}

// read takes in a space's JSON, which is nearly always the same as that of the
// listener before.
func (s *sites) read(document []byte) {
	if bytes.Equal(document, s.document) {
		return
	}
	s.document = append(s.document[:0], document...)
	if about, err := reach.ParseAbout(document); err == nil {
		s.learn(about.Edges)
	}
}

// learn takes in a signed list of edges.
func (s *sites) learn(signed string) {
	if signed == s.note {
		return
	}
	s.note = signed
	edges, err := s.edges.Open(signed, s.crowd.page.Keys)
	if err != nil {
		s.crowd.log.Warn("a list of edges is not signed by the server: passed over", "reason", err)
		return
	}
	s.edges = edges
	s.all()
}

// asked reports whether a server told lately how its line to the stage is; if not,
// it is asked. One question is for all who listen there: the answer is the same.
func (s *sites) asked(i uint16, now time.Duration) bool {
	site := &s.list[i]
	if site.told > 0 && now-site.told < toldFor {
		return true
	}
	if site.askedAt > 0 && now-site.askedAt < toldFor {
		return false
	}
	site.askedAt = now
	address := site.url
	s.helpers.Go(func() {
		line := s.ask(s.ctx, address)
		s.crowd.mu.Lock()
		defer s.crowd.mu.Unlock()
		s.list[i].line, s.list[i].told = line, max(s.crowd.time(), 1)
	})
	return false
}
