package live

import (
	"net/http"
	"net/url"
	"strings"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// asked is what a listener says of itself, in the query of its address.
type asked struct {
	rung      programme.Rung
	listener  string // its token: the same over all of its connections; "" unknown
	follows   bool   // a page that follows the told depth
	rehearsal bool   // with a permit: it is not counted
	relay     bool   // it stands for many who are counted elsewhere, or not at all
	permit    string // of the rehearsal
	codec     string // of HLS
}

// query reads the query of a request for the programme of a space.
//
// Errors: Invalid for a value that can't be, Forbidden for a rehearsal without a
// permit.
func (l *Live) query(r *http.Request, id space.ID) (a asked, err error) {
	a.relay = isRelay(r.Header)
	for rest := r.URL.RawQuery; rest != "" && err == nil; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		if strings.ContainsAny(value, "%+") {
			if value, err = url.QueryUnescape(value); err != nil {
				return a, space.Errorf(space.Invalid, "the value of %q in the address is garbled; send it as it was given", name)
			}
		}
		err = a.set(name, value)
	}
	if err == nil && a.permit != "" {
		a.rehearsal, err = true, l.checkPermit(id, a.permit)
	}
	return a, err
}

// set takes one value. What is not known here is not for us.
func (a *asked) set(name, value string) (err error) {
	switch name {
	case "rung":
		a.rung, err = rungOf(value)
	case "listener":
		if value != "" && !validToken(value) {
			return space.Errorf(space.Invalid, "listener is a random token of 8 to 64 letters, digits, - and _; make one and keep it, or leave it out")
		}
		a.listener = value
	case "follow":
		a.follows = value == "1"
	case "relay":
		a.relay = a.relay || value == "1"
	case "rehearsal":
		a.permit = value
	case "codec":
		a.codec = value
	}
	return err
}

func (l *Live) checkPermit(id space.ID, permit string) error {
	if l.opts.Permits == nil {
		return space.Errorf(space.Forbidden, "this server takes no rehearsals; ask its owner for a permit, or leave rehearsal out")
	}
	return l.opts.Permits.Check(id, permit)
}

func rungOf(text string) (programme.Rung, error) {
	switch text {
	case "", "48", "96":
		return programme.Rung48, nil
	case "24":
		return programme.Rung24, nil
	case "16":
		return programme.Rung16, nil
	}
	return 0, space.Errorf(space.Invalid, "there is no rung %q; use 48, 24 or 16", text)
}

// validToken reports whether a text can name a listener.
func validToken(text string) bool {
	if len(text) < 8 || len(text) > 64 {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// relays are programs that take a stream to pass it on, as they call themselves in
// User-Agent, and caches for many, as they do in Via. Whom they serve is not known
// here, so they count for nobody.
var (
	relays = []string{"Icecast", "Liquidsoap", "SHOUTcast"}
	caches = []string{"varnish", "CloudFront", "Fastly", "hustings"}
)

func isRelay(header http.Header) bool {
	for _, agent := range header["User-Agent"] {
		for _, name := range relays {
			if len(agent) >= len(name) && strings.EqualFold(agent[:len(name)], name) {
				return true
			}
		}
	}
	for _, via := range header["Via"] {
		for _, name := range caches {
			if strings.Contains(via, name) {
				return true
			}
		}
	}
	return false
}
