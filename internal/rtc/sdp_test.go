package rtc

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"hustings/internal/space"
)

// lastOffer is like Chromium's: one audio track with RED.
const lastOffer = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n" +
	"a=ice-ufrag:old1\r\na=ice-pwd:oldoldoldoldoldoldoldold\r\na=ice-options:trickle\r\n" +
	"a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n" +
	"a=setup:actpass\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n" +
	"a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\na=end-of-candidates\r\n"

func TestOffersThatAreRefused(t *testing.T) {
	for name, try := range map[string]struct {
		change    func(string) string
		direction Direction
		says      string // "" is accepted
	}{
		"a good one":       {func(s string) string { return s }, WHIP, ""},
		"both directions":  {func(s string) string { return strings.Replace(s, "sendonly", "sendrecv", 1) }, WHEP, ""},
		"one that sends":   {func(s string) string { return s }, WHEP, "direction"},
		"one that doesn't": {func(s string) string { return strings.Replace(s, "sendonly", "recvonly", 1) }, WHIP, "direction"},
		"inactive":         {func(s string) string { return strings.Replace(s, "sendonly", "inactive", 1) }, WHIP, "direction"},
		"video alone":      {func(s string) string { return strings.Replace(s, "m=audio", "m=video", 1) }, WHIP, "no audio"},
		"G.722":            {func(s string) string { return strings.Replace(s, "opus/48000", "G722/8000", 1) }, WHIP, "no Opus"},
		"a data channel": {func(s string) string { return s + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" },
			WHIP, "data channel"},
		"many sections":   {func(s string) string { return s + strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", maxMedia) }, WHIP, "media sections"},
		"many candidates": {func(s string) string { return s + strings.Repeat("a=candidate:1\r\n", maxCandidates) }, WHIP, "candidates"},
		"an answer, say":  {func(string) string { return "OK" }, WHIP, "not SDP"},
		"a book":          {func(s string) string { return strings.Repeat(s, 200) }, WHIP, "longer"},
	} {
		err := CheckOffer(try.change(lastOffer), try.direction)
		switch {
		case try.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case try.says != "" && (space.KindOf(err) != space.Invalid || !strings.Contains(err.Error(), try.says)):
			t.Errorf("%s: %v, want Invalid that tells of %q", name, err, try.says)
		}
	}
}

func TestRestartOfferHasTheNewGenerationOnly(t *testing.T) {
	text, err := restartOffer(lastOffer, fragment{ufrag: "new1", pwd: "newnewnewnewnewnewnewnew",
		candidates: []candidate{{"0", "candidate:2 1 udp 1 192.0.2.10 9 typ host"}, {"7", "candidate:3 1 udp 1 192.0.2.11 9 typ host"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"old", "192.0.2.9 ", "192.0.2.11 ", "end-of-candidates", " 2 IN IP4"} {
		if strings.Contains(text, gone) {
			t.Errorf("%q is still in\n%s", gone, text)
		}
	}
	for _, there := range []string{"a=ice-ufrag:new1\r\n", "a=candidate:2 1 udp 1 192.0.2.10 9 typ host\r\n", "a=fingerprint:sha-256 6B", " 3 IN IP4"} {
		if !strings.Contains(text, there) {
			t.Errorf("%q is not in\n%s", there, text)
		}
	}
}

func TestREDComesFirstAndOpusIsAskedForFEC(t *testing.T) {
	opus := codec(webrtc.MimeTypeOpus, 111, "minptime=10;useinbandfec=0;usedtx=1")
	for name, try := range map[string]struct {
		offered []webrtc.RTPCodecParameters
		stereo  bool
		types   []webrtc.PayloadType
		line    string
	}{
		"with RED":        {[]webrtc.RTPCodecParameters{opus, codec("audio/red", 63, "111/111")}, false, []webrtc.PayloadType{63, 111}, "minptime=10;usedtx=1;useinbandfec=1"},
		"RED of another":  {[]webrtc.RTPCodecParameters{opus, codec("audio/red", 63, "9/9")}, false, []webrtc.PayloadType{111}, "minptime=10;usedtx=1;useinbandfec=1"},
		"without, stereo": {[]webrtc.RTPCodecParameters{opus}, true, []webrtc.PayloadType{111}, "minptime=10;usedtx=1;useinbandfec=1;stereo=1"},
		"nothing":         {nil, false, nil, ""},
	} {
		var types []webrtc.PayloadType
		line := ""
		for _, c := range preferences(try.offered, try.stereo) {
			types = append(types, c.PayloadType)
			line = c.SDPFmtpLine
		}
		if !slices.Equal(types, try.types) || line != try.line {
			t.Errorf("%s: %v %q, want %v %q", name, types, line, try.types, try.line)
		}
	}
}

func codec(mime string, payload webrtc.PayloadType, line string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 48000, Channels: 2, SDPFmtpLine: line},
		PayloadType:        payload,
	}
}

func TestIfMatch(t *testing.T) {
	for header, want := range map[string]bool{
		`"a"`: true, `*`: true, `"b", "a"`: true, `"b"`: false, `a`: false, `W/"a"`: false, ``: false,
	} {
		if got := matches(header, `"a"`); got != want {
			t.Errorf("If-Match: %s against %q is %v", header, "a", got)
		}
	}
}

func FuzzCheckOffer(f *testing.F) {
	f.Add(lastOffer)
	f.Add("v=0\r\nm=audio 9 X 0\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		for _, d := range []Direction{WHIP, WHEP} {
			if err := CheckOffer(offer, d); err != nil && space.KindOf(err) != space.Invalid {
				t.Fatalf("%v is not Invalid", err)
			}
		}
	})
}
