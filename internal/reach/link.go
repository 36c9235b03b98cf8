// Package reach is how a server is reached from outside: by a link that a person has
// in the address bar, over HTTP, at whichever of its edges serves.
//
//	link, err := reach.ParseLink("https://talk.example/s/town-hall")
//	page, err := reach.Document(ctx, link, reach.DocumentOptions{})
//	address, fresh := page.Edges.Pick(&failures, now, rand.Float64())
//
// It is the ground that client and crowd stand on, and knows nothing of sound.
package reach

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"hustings/internal/space"
)

// Link is what a space's link says: where its server is, which space it is and,
// if it is an invite's, the token.
type Link struct {
	Server string // scheme and host, without a slash at the end
	Space  space.ID
	Token  string // "" if the link holds none
}

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// ParseLink reads a space's link as people pass it on: the listener's page
// (https://host/s/ID), an invite's (https://host/studio/ID#token=TOKEN), or an
// address of its stream or of its API.
func ParseLink(raw string) (Link, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return Link{}, fmt.Errorf("%q is not a link: %w", raw, errors.Unwrap(err))
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return Link{}, fmt.Errorf("%q is not a link to a space: it should look like https://HOST/s/ID", raw)
	}
	link := Link{Server: u.Scheme + "://" + u.Host}
	path := strings.Trim(u.Path, "/")
	for _, prefix := range []string{"s/", "studio/", "live/", "api/v1/spaces/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			id, _, _ := strings.Cut(rest, "/")
			id, _, _ = strings.Cut(id, ".")
			link.Space = space.ID(id)
			break
		}
	}
	if !idPattern.MatchString(string(link.Space)) {
		return Link{}, fmt.Errorf("%q names no space: give the link of the space's page, like %s/s/ID", raw, link.Server)
	}
	if values, err := url.ParseQuery(u.Fragment); err == nil {
		link.Token = values.Get("token")
	}
	return link, nil
}

// API returns an address of the space's API.
func (l Link) API(rest string) string {
	return l.Server + "/api/v1/spaces/" + string(l.Space) + rest
}

// Loopback reports whether the server is on this machine, where WebRTC needs
// candidates that would be useless to anyone else.
func (l Link) Loopback() bool {
	u, err := url.Parse(l.Server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// Sources returns local addresses for many connections to the link's server, since
// each has 28,000 ports: some of 127.0.0.0/8 for a server at an address of that, which
// this machine has all to itself; else none, and the system chooses.
func (l Link) Sources() (all []netip.Addr) {
	u, err := url.Parse(l.Server)
	if err != nil {
		return nil
	}
	host, err := netip.ParseAddr(u.Hostname())
	if u.Hostname() == "localhost" {
		host, err = netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err != nil || !host.Is4() || !host.IsLoopback() {
		return nil
	}
	for n := range byte(64) {
		all = append(all, netip.AddrFrom4([4]byte{127, 0, 1, 1 + n}))
	}
	return all
}
