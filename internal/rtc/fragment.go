package rtc

import (
	"strings"
	"unicode"

	"hustings/internal/space"
)

// Bounds on what a fragment may hold.
const (
	maxFragment   = 16 << 10
	maxCandidates = 64 // of one ICE generation of a session
	maxCandidate  = 512
)

// fragment is an SDP fragment of trickle ICE (RFC 8840, section 9).
type fragment struct {
	ufrag, pwd string // both or none
	candidates []candidate
}

// candidate is one line "candidate:..." of the media section mid.
type candidate struct {
	mid  string
	line string
}

// parseFragment reads a fragment as clients send it by PATCH (RFC 9725, section
// 4.3): credentials before the first media section or in one, candidates in media
// sections. Lines that say nothing about ICE are passed over.
//
// Errors: Invalid.
func parseFragment(text string) (fragment, error) {
	var f fragment
	if len(text) > maxFragment {
		return f, badFragment("is longer than %d bytes", maxFragment)
	}
	mid, media := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.ContainsFunc(line, unicode.IsControl) {
			return f, badFragment("has a control character in a line")
		}
		if strings.HasPrefix(line, "m=") {
			mid, media = "", true
			continue
		}
		attribute, ok := strings.CutPrefix(line, "a=")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(attribute, ":")
		switch name {
		case "ice-ufrag":
			f.ufrag = value
		case "ice-pwd":
			f.pwd = value
		case "mid":
			mid = value
		case "candidate":
			if !media {
				return f, badFragment("has a candidate before its m= line")
			}
			if len(f.candidates) == maxCandidates || len(attribute) > maxCandidate {
				return f, badFragment("has too many candidates, or one too long")
			}
			f.candidates = append(f.candidates, candidate{mid: mid, line: attribute})
		}
	}
	return f, f.check()
}

// check holds the credentials to the grammar of RFC 8839, section 5.4.
func (f fragment) check() error {
	switch {
	case f.ufrag == "" && f.pwd == "" && len(f.candidates) == 0:
		return badFragment("says nothing: send candidates (a=candidate) or new credentials (a=ice-ufrag, a=ice-pwd)")
	case (f.ufrag == "") != (f.pwd == ""):
		return badFragment("needs a=ice-ufrag and a=ice-pwd, or neither")
	case f.ufrag != "" && !(iceText(f.ufrag, 4) && iceText(f.pwd, 22)):
		return badFragment("has credentials of a wrong form: 4 to 256 letters, digits, + or / for a=ice-ufrag, 22 to 256 for a=ice-pwd")
	}
	return nil
}

func iceText(s string, least int) bool {
	if len(s) < least || len(s) > 256 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return true
}

func badFragment(format string, args ...any) error {
	return space.Errorf(space.Invalid, "the SDP fragment "+format, args...)
}
