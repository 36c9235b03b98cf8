package programme

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Edge is a node that serves listeners, as the audience is told of it.
type Edge struct {
	URL    string // scheme and host: https://edge1.example.org
	Weight int    // its share of the listeners, from 0 (only if there is no other) to MaxWeight
}

// Edges says by whom the programme is to be had: a note that is signed with the
// log's key, since whoever could put another address into it would choose what the
// audience hears. Its text is a line "hustings/edges", the time in UTC (RFC 3339),
// then a line "WEIGHT URL" for each edge, heaviest first.
type Edges struct {
	At   time.Time
	List []Edge
}

// Limits of a list of edges.
const (
	MaxWeight = 1000
	MaxEdges  = 256
	maxURL    = 200
)

const edgesTitle = "hustings/edges"

// ErrEdges says that a text is no list of edges.
var ErrEdges = errors.New("not a list of edges")

// Valid reports whether the edge could be in a list. What a browser takes for no
// address at all is none.
func (e Edge) Valid() bool {
	u, err := url.Parse(e.URL)
	return err == nil && len(e.URL) <= maxURL && (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host == e.URL &&
		validHost(u.Hostname()) && validPort(u.Port(), strings.HasSuffix(u.Host, ":")) &&
		e.Weight >= 0 && e.Weight <= MaxWeight
}

// validHost reports whether a host is an IP address or may be a name.
func validHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == ""
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || strings.ContainsFunc(label, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
		}) {
			return false
		}
	}
	// Browsers read a name that ends with a number as an IPv4 address.
	return !strings.Contains("0123456789", labels[len(labels)-1][:1])
}

func validPort(port string, colon bool) bool {
	if port == "" {
		return !colon
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n <= 65535
}

// SignEdges returns the list as a signed note, heaviest first.
//
// Errors: ErrEdges, if it breaks a limit.
func (s *Signer) SignEdges(edges Edges) (string, error) {
	list := slices.Clone(edges.List)
	slices.SortFunc(list, func(a, b Edge) int {
		if a.Weight != b.Weight {
			return b.Weight - a.Weight
		}
		return strings.Compare(a.URL, b.URL)
	})
	var text strings.Builder
	text.WriteString(edgesTitle + "\n" + edges.At.UTC().Format(time.RFC3339) + "\n")
	for _, e := range list {
		if !e.Valid() {
			return "", fmt.Errorf("%w: %.100q with weight %d is no edge", ErrEdges, e.URL, e.Weight)
		}
		text.WriteString(strconv.Itoa(e.Weight) + " " + e.URL + "\n")
	}
	if len(list) > MaxEdges {
		return "", fmt.Errorf("%w: %d edges are too many", ErrEdges, len(list))
	}
	return s.SignNote(text.String())
}

// OpenEdges checks a signed list by the verifier key and returns what it says.
//
// Errors: ErrNote, ErrEdges.
func OpenEdges(signed, verifierKey string) (Edges, error) {
	text, err := OpenNote([]byte(signed), verifierKey)
	if err != nil {
		return Edges{}, err
	}
	return ParseEdges(text)
}

// ParseEdges reads the text of a list, without its signature.
//
// Errors: ErrEdges.
func ParseEdges(text string) (Edges, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 3 || lines[0] != edgesTitle || lines[len(lines)-1] != "" {
		return Edges{}, fmt.Errorf("%w: it begins with %.40q", ErrEdges, lines[0])
	}
	at, err := time.Parse(time.RFC3339, lines[1])
	if err != nil {
		return Edges{}, fmt.Errorf("%w: %w", ErrEdges, err)
	}
	lines = lines[2 : len(lines)-1]
	if len(lines) > MaxEdges {
		return Edges{}, fmt.Errorf("%w: %d edges are too many", ErrEdges, len(lines))
	}
	edges := Edges{At: at}
	for _, line := range lines {
		weight, address, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(weight)
		e := Edge{URL: address, Weight: n}
		if err != nil || !e.Valid() {
			return Edges{}, fmt.Errorf("%w: %.100q is no edge", ErrEdges, line)
		}
		edges.List = append(edges.List, e)
	}
	return edges, nil
}
