package reach

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseLinkTakesWhatPeoplePassOn(t *testing.T) {
	want := Link{Server: "https://talk.example:8443", Space: "town-hall-7"}
	invited := want
	invited.Token = "abc.def"
	for raw, want := range map[string]Link{
		"https://talk.example:8443/s/town-hall-7":                         want,
		" https://talk.example:8443/s/town-hall-7/ ":                      want,
		"https://talk.example:8443/studio/town-hall-7#token=abc.def":      invited,
		"https://talk.example:8443/live/town-hall-7.mp4":                  want,
		"https://talk.example:8443/api/v1/spaces/town-hall-7/whip":        want,
		"https://talk.example:8443/api/v1/spaces/town-hall-7?x=1#nothing": want,
	} {
		got, err := ParseLink(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", raw, d)
		}
	}
	for _, raw := range []string{
		"", "talk.example/s/x", "ftp://talk.example/s/x", "https://talk.example", "https://talk.example/s/",
		"https://talk.example/s/UPPER", "https://talk.example/other/x", "https://", "://",
	} {
		if got, err := ParseLink(raw); err == nil {
			t.Errorf("%q: got %+v, want an error", raw, got)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("https://talk.example/studio/x#token=y")
	f.Add("http://[::1]:8080/live/x.mp4")
	f.Fuzz(func(t *testing.T, raw string) {
		link, err := ParseLink(raw)
		if err != nil {
			return
		}
		again, err := ParseLink(link.Server + "/s/" + string(link.Space))
		if err != nil || again.Space != link.Space || again.Server != link.Server {
			t.Errorf("%q became %+v, which became %+v (%v)", raw, link, again, err)
		}
	})
}

func TestProblemSaysWhatTheServerSaid(t *testing.T) {
	for _, c := range []struct {
		contentType, body, want string
		status                  int
		after                   string
		temporary               bool
	}{
		{"application/problem+json", `{"title":"Gone","detail":"the space has ended"}`, "the space has ended (410)", 410, "", false},
		{"application/problem+json", `{"title":"Unauthorized"}`, "Unauthorized (401)", 401, "", false},
		{"text/html", `<html>`, "the server answered 502 Bad Gateway", 502, "3", true},
		{"application/json", `{`, "the server answered 425 Too Early", 425, "", true},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", c.contentType)
		w.Header().Set("Retry-After", c.after)
		w.WriteHeader(c.status)
		w.WriteString(c.body)
		err := Problem(w.Result())
		if err.Error() != c.want || Temporary(err) != c.temporary {
			t.Errorf("got %q (temporary %v), want %q (%v)", err, Temporary(err), c.want, c.temporary)
		}
		if c.after != "" && err.(*StatusError).RetryAfter != 3*time.Second {
			t.Errorf("Retry-After %s became %v", c.after, err.(*StatusError).RetryAfter)
		}
	}
}

func TestClocksThatAgreeWithinASecondAreTheSame(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 300e6, time.UTC)
	for offset, want := range map[time.Duration]time.Duration{
		0:           0,
		time.Second: 0,
		time.Hour:   time.Hour + 200*time.Millisecond,
	} {
		if got := clockOffset(now.Add(offset).Format(http.TimeFormat), now); got != want {
			t.Errorf("server ahead by %v: got %v, want %v", offset, got, want)
		}
	}
	if got := clockOffset("no date", now); got != 0 {
		t.Errorf("without a date: got %v", got)
	}
}

func TestALocalServerIsReachedFromManyAddresses(t *testing.T) {
	for server, want := range map[string]int{
		"http://127.0.0.1:8080": 64, "http://localhost:8080": 64, "http://127.3.2.1": 64, "http://[::1]:8080": 0,
		"https://talk.example": 0, "http://192.0.2.1": 0, ":": 0,
	} {
		sources := Link{Server: server}.Sources()
		seen := map[string]bool{}
		for _, a := range sources {
			seen[a.String()] = a.IsLoopback()
		}
		if len(sources) != want || len(seen) != want {
			t.Errorf("%s: %v", server, sources)
		}
	}
}
