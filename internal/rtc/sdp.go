package rtc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"hustings/internal/space"
)

// Bounds on an offer.
const (
	maxOffer = 64 << 10
	maxMedia = 8
)

// Direction of a session, named after its protocol.
type Direction string

// The directions.
const (
	WHIP Direction = "whip" // a microphone comes in (RFC 9725)
	WHEP Direction = "whep" // what its owner is to hear goes out
)

// wants says what an offer must be, for the person who reads the error.
func (d Direction) wants() string {
	if d == WHIP {
		return "send the SDP offer of an RTCPeerConnection that sends one audio track as Opus"
	}
	return "send the SDP offer of an RTCPeerConnection that receives one audio track as Opus"
}

// CheckOffer refuses what can't become a session before any of it costs something.
//
// Errors: Invalid, with what to send instead.
func CheckOffer(offer string, d Direction) error {
	refuse := func(why string) error {
		return space.Errorf(space.Invalid, "%s; %s", why, d.wants())
	}
	if len(offer) > maxOffer {
		return refuse(fmt.Sprintf("the offer is longer than %d kB", maxOffer>>10))
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(offer); err != nil {
		return refuse("that is not SDP")
	}
	if len(s.MediaDescriptions) > maxMedia {
		return refuse(fmt.Sprintf("the offer has %d media sections", len(s.MediaDescriptions)))
	}
	candidates := 0
	var audio *sdp.MediaDescription
	for _, m := range s.MediaDescriptions {
		switch {
		case m.MediaName.Media == "application":
			return refuse("the offer has a data channel, which a stage has no use for")
		case m.MediaName.Media == "audio" && audio == nil:
			audio = m
		}
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				candidates++
			}
		}
	}
	switch {
	case candidates > maxCandidates:
		return refuse(fmt.Sprintf("the offer has %d candidates", candidates))
	case audio == nil:
		return refuse("the offer has no audio")
	case !flows(audio, d):
		return refuse("the offer's audio goes in the wrong direction")
	case !hasOpus(audio):
		return refuse("the offer's audio has no Opus")
	}
	return nil
}

// flows reports whether sound of the media section can go where the session wants it.
func flows(m *sdp.MediaDescription, d Direction) bool {
	_, inactive := m.Attribute("inactive")
	_, sendonly := m.Attribute("sendonly")
	_, recvonly := m.Attribute("recvonly")
	if d == WHIP {
		return !inactive && !recvonly
	}
	return !inactive && !sendonly
}

// oneWay says of each audio section that it goes our way only, which is all that we
// answer. It also says so where the offer left it open, which means both (RFC 8866,
// section 6.7) and which pion takes for no direction at all.
func oneWay(offer string, d Direction) (string, error) {
	var s sdp.SessionDescription
	if err := s.UnmarshalString(offer); err != nil {
		return "", err
	}
	theirs := "sendonly"
	if d == WHEP {
		theirs = "recvonly"
	}
	for _, m := range s.MediaDescriptions {
		if m.MediaName.Media == "audio" && flows(m, d) {
			m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool { return a.Key == "sendrecv" || a.Key == theirs })
			m.WithPropertyAttribute(theirs)
		}
	}
	text, err := s.Marshal()
	return string(text), err
}

func hasOpus(m *sdp.MediaDescription) bool {
	for _, a := range m.Attributes {
		if a.Key == "rtpmap" && strings.Contains(strings.ToLower(a.Value), " opus/48000") {
			return true
		}
	}
	return false
}

// preferences says how we like to hear Opus, of what was offered: first as RED
// (RFC 2198), so that a lost packet comes again in the next one, then plain. What
// the client said about its own sending, such as usedtx, stays.
func preferences(offered []webrtc.RTPCodecParameters, stereo bool) []webrtc.RTPCodecParameters {
	var plain, red []webrtc.RTPCodecParameters
	for _, c := range offered {
		if strings.EqualFold(c.MimeType, webrtc.MimeTypeOpus) {
			c.SDPFmtpLine = withParameter(c.SDPFmtpLine, "useinbandfec", "1")
			if stereo {
				c.SDPFmtpLine = withParameter(c.SDPFmtpLine, "stereo", "1")
			}
			plain = append(plain, c)
		}
	}
	if len(plain) == 0 {
		return nil
	}
	carries := strconv.Itoa(int(plain[0].PayloadType)) + "/"
	for _, c := range offered {
		if strings.EqualFold(c.MimeType, mimeRED) && strings.HasPrefix(c.SDPFmtpLine, carries) {
			red = append(red, c)
			break
		}
	}
	return append(red, plain[0])
}

// withParameter sets one parameter of a format's parameters (RFC 7587, section 6.1).
func withParameter(line, name, value string) string {
	var kept []string
	for p := range strings.SplitSeq(line, ";") {
		p = strings.TrimSpace(p)
		if key, _, _ := strings.Cut(p, "="); p != "" && key != name {
			kept = append(kept, p)
		}
	}
	return strings.Join(append(kept, name+"="+value), ";")
}

// restartOffer makes the offer that a client would have sent for an ICE restart: its
// last one with the credentials and candidates of the fragment. Only the answerer's
// side of JSEP can restart the agent, and WHIP sends no more than the fragment.
func restartOffer(last string, f fragment) (string, error) {
	var s sdp.SessionDescription
	if err := s.UnmarshalString(last); err != nil {
		return "", fmt.Errorf("the last offer: %w", err)
	}
	s.Origin.SessionVersion++
	s.Attributes = withCredentials(s.Attributes, f)
	for i, m := range s.MediaDescriptions {
		m.Attributes = withCredentials(m.Attributes, f)
		mid, _ := m.Attribute("mid")
		for _, c := range f.candidates {
			if c.mid == mid || (c.mid == "" && i == 0) {
				m.WithValueAttribute("candidate", strings.TrimPrefix(c.line, "candidate:"))
			}
		}
	}
	text, err := s.Marshal()
	return string(text), err
}

// withCredentials replaces the credentials and drops what belonged to the old ones.
func withCredentials(attributes []sdp.Attribute, f fragment) []sdp.Attribute {
	var kept []sdp.Attribute
	for _, a := range attributes {
		switch a.Key {
		case "ice-ufrag":
			a.Value = f.ufrag
		case "ice-pwd":
			a.Value = f.pwd
		case "candidate", "end-of-candidates":
			continue
		}
		kept = append(kept, a)
	}
	return kept
}

// answerFragment returns the ICE side of our answer as a fragment (RFC 8840), the
// body of the response to an ICE restart (RFC 9725, section 4.3.3).
func answerFragment(answer string) (string, error) {
	var s sdp.SessionDescription
	if err := s.UnmarshalString(answer); err != nil {
		return "", fmt.Errorf("our answer: %w", err)
	}
	var b strings.Builder
	b.WriteString("a=ice-options:trickle\r\n")
	for _, m := range s.MediaDescriptions {
		if _, ok := m.Attribute("ice-ufrag"); !ok {
			continue // a section that we refused
		}
		fmt.Fprintf(&b, "m=%s\r\n", m.MediaName.String())
		for _, a := range m.Attributes {
			switch a.Key {
			case "mid", "ice-ufrag", "ice-pwd", "candidate":
				fmt.Fprintf(&b, "a=%s:%s\r\n", a.Key, a.Value)
			}
		}
		b.WriteString("a=end-of-candidates\r\n")
	}
	return b.String(), nil
}

// credentials returns the first ICE user fragment and password of a description.
func credentials(text string) (ufrag, pwd string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if v, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok && ufrag == "" {
			ufrag = v
		}
		if v, ok := strings.CutPrefix(line, "a=ice-pwd:"); ok && pwd == "" {
			pwd = v
		}
	}
	return ufrag, pwd
}
