package rtc

import (
	"strings"
	"testing"

	"hustings/internal/space"
)

const (
	goodUfrag = "a=ice-ufrag:EsAw\r\n"
	goodPwd   = "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
	goodLine  = "candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0"
)

func TestFragmentsOfTheRFCs(t *testing.T) {
	// RFC 8840, section 9, and RFC 9725, section 4.3, put the credentials in
	// different places.
	for name, text := range map[string]string{
		"session": "a=group:BUNDLE 0 1\r\n" + goodUfrag + goodPwd + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=" + goodLine + "\r\na=end-of-candidates\r\n",
		"media":   "a=ice-options:trickle ice2\nm=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:0\n" + goodUfrag + goodPwd + "a=" + goodLine,
	} {
		f, err := parseFragment(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.ufrag != "EsAw" || f.pwd != "P2uYro0UCOQ4zxjKXaWCBui1" || len(f.candidates) != 1 || f.candidates[0] != (candidate{"0", goodLine}) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestFragmentsThatAreRefused(t *testing.T) {
	many := "m=audio 9 X 0\r\n" + strings.Repeat("a="+goodLine+"\r\n", maxCandidates+1)
	for name, text := range map[string]string{
		"nothing":              "",
		"not a fragment":       "hello",
		"half the credentials": goodUfrag,
		"the other half":       goodPwd,
		"short password":       goodUfrag + "a=ice-pwd:short\r\n",
		"line noise":           "a=ice-ufrag:a b c\r\n" + goodPwd,
		"no media":             "a=" + goodLine,
		"too many":             many,
		"too long":             strings.Repeat("a=x\r\n", maxFragment),
		"a long candidate":     "m=audio 9 X 0\r\na=candidate:" + strings.Repeat("x", maxCandidate),
	} {
		if _, err := parseFragment(text); space.KindOf(err) != space.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

func FuzzFragment(f *testing.F) {
	f.Add(goodUfrag + goodPwd + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=" + goodLine + "\r\n")
	f.Add("m=audio\na=mid:\na=candidate:")
	f.Add("a=ice-ufrag:\r\n\r\na=\r\nm=")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFragment(text)
		if err != nil {
			if space.KindOf(err) != space.Invalid {
				t.Fatalf("%v is not Invalid", err)
			}
			return
		}
		if got.ufrag == "" && len(got.candidates) == 0 || len(got.candidates) > maxCandidates {
			t.Fatalf("accepted %+v", got)
		}
		// What was accepted can't break out of its line in the offer made of it.
		for _, c := range got.candidates {
			if strings.ContainsAny(c.line, "\r\n") || strings.ContainsAny(c.mid, "\r\n") {
				t.Fatalf("a line break in %+v", c)
			}
		}
		offer, err := restartOffer(lastOffer, got)
		if err != nil {
			t.Fatal(err)
		}
		if ufrag, pwd := credentials(offer); got.ufrag != "" && (ufrag != got.ufrag || pwd != got.pwd) {
			t.Fatalf("the offer has %q and %q of %+v", ufrag, pwd, got)
		}
	})
}
