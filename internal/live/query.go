package live

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hustings/internal/problem"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// asked is what a listener says of itself, in the query of its address.
type asked struct {
	rung      programme.Rung
	listener  string        // its token: the same over all of its connections; "" unknown
	follows   bool          // a page that follows the told depth
	depth     time.Duration // of a page that comes from elsewhere: how far behind the newest it plays
	rehearsal bool          // with a permit: it is not counted
	relay     bool          // it stands for many who are counted elsewhere, or not at all
	permit    string        // of the rehearsal
	codec     string        // of HLS: "" all, "opus" or "aac"
	oneRung   bool          // rung was given: of HLS, that one alone

	// Of a block, a segment or a playlist:
	epoch    uint32
	hasEpoch bool
	blocks   string // those that a segment has; "" all
	number   uint64 // _HLS_msn: wait for this segment
	part     int    // _HLS_part: and this part of it; -1 all of it
	waits    bool   // _HLS_msn was given
	skip     bool   // _HLS_skip: a delta update will do
}

// query reads the query of a request for the programme of a space.
//
// Errors: Invalid for a value that can't be, Forbidden for a rehearsal without a
// permit.
func (l *Live) query(r *http.Request, id space.ID) (a asked, err error) {
	a.part = -1
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
		if strings.HasPrefix(name, "_HLS_") {
			err = a.setDirective(name, value)
		} else {
			err = a.set(name, value)
		}
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
		a.oneRung = value != ""
	case "listener":
		if value != "" && !validToken(value) {
			return space.Errorf(space.Invalid, "listener is a random token of 8 to 64 letters, digits, - and _; make one and keep it, or leave it out")
		}
		a.listener = value
	case "follow":
		a.follows = value == "1"
	case "depth":
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds > 0 && seconds < 3600 {
			a.depth = time.Duration(seconds * float64(time.Second))
		}
	case "relay":
		a.relay = a.relay || value == "1"
	case "rehearsal":
		a.permit = value
	case "codec":
		if value != "" && value != "opus" && value != "aac" {
			return space.Errorf(space.Invalid, "there is no codec %q; use opus or aac, or leave it out for both", value)
		}
		a.codec = value
	case "epoch":
		epoch, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return space.Errorf(space.Invalid, "epoch is a number, not %q; take the address as the playlist has it", value)
		}
		a.epoch, a.hasEpoch = uint32(epoch), true
	case "blocks":
		a.blocks = value
	}
	return err
}

// setDirective takes a delivery directive of HLS (RFC 8216bis, section 6.2.5). Those
// that are reserved and not known are ignored, as it asks for.
func (a *asked) setDirective(name, value string) (err error) {
	switch name {
	case "_HLS_msn":
		a.number, err = strconv.ParseUint(value, 10, 62)
		a.waits = true
	case "_HLS_part":
		a.part, err = strconv.Atoi(value)
		if a.part < 0 {
			err = strconv.ErrRange
		}
	case "_HLS_skip":
		a.skip = value == "YES" || value == "v2"
	}
	if err != nil {
		return problem.WithStatus(space.Errorf(space.Invalid, "%s is a number, not %q", name, value), http.StatusBadRequest)
	}
	return nil
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
