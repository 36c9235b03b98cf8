package programme_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hustings/internal/programme"
)

func TestEdgesAreSignedHeaviestFirst(t *testing.T) {
	signer := newSigner(t)
	noon := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	given := []programme.Edge{{"https://b.example.org", 10}, {"https://talk.example.org", 0}, {"http://127.0.0.1:8080", 25}, {"https://a.example.org", 10}}
	signed, err := signer.SignEdges(programme.Edges{At: noon, List: given})
	if err != nil {
		t.Fatal(err)
	}
	wantText := "hustings/edges\n2031-05-01T12:00:00Z\n25 http://127.0.0.1:8080\n10 https://a.example.org\n10 https://b.example.org\n0 https://talk.example.org\n"
	if !strings.HasPrefix(signed, wantText+"\n— hustings.test") {
		t.Errorf("signed:\n%s", signed)
	}
	got, err := programme.OpenEdges(signed, signer.Verifier())
	want := []programme.Edge{given[2], given[3], given[0], given[1]}
	if err != nil || !got.At.Equal(noon) || !slices.Equal(got.List, want) {
		t.Errorf("opened: %+v, %v; want %+v", got, err, want)
	}
	if _, err := programme.OpenEdges(signed, newSigner(t).Verifier()); !errors.Is(err, programme.ErrNote) {
		t.Errorf("with another key: %v, want ErrNote", err)
	}
	if _, err := programme.OpenEdges(strings.Replace(signed, "a.example", "e.example", 1), signer.Verifier()); !errors.Is(err, programme.ErrNote) {
		t.Errorf("with another address in it: %v, want ErrNote", err)
	}
	checkpoint, err := signer.Sign("hustings/town-hall/0", 0, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := programme.OpenEdges(checkpoint, signer.Verifier()); !errors.Is(err, programme.ErrEdges) {
		t.Errorf("a checkpoint: %v, want ErrEdges", err)
	}
}

func TestNoListHasWhatIsNoEdge(t *testing.T) {
	signer := newSigner(t)
	for _, e := range []programme.Edge{
		{"https://a.example.org/", 1}, {"https://a.example.org/live", 1}, {"ftp://a.example.org", 1}, {"a.example.org", 1}, {"", 1},
		{"https://a.example.org", -1}, {"https://a.example.org", programme.MaxWeight + 1}, {"https://u:p@a.example.org", 1},
		{"https://a.example.org\n10 https://evil.example", 1}, {"https://a.example.org?x", 1}, {"https://" + strings.Repeat("a", 250), 1},
		{"https://:443", 1}, {"https://a.example.org:", 1}, {"https://a.example.org:65536", 1}, {"https://a.example.org:0", 1},
		{"https://a\"><b.example.org", 1}, {"https://a;script-src *", 1}, {"https://*.example.org", 1}, {"https://a..example.org", 1},
		{"https://10.0.0.256", 1}, {"https://example.5", 1}, {"https://[fe80::1%25eth0]", 1}, {"https://[::g]", 1},
	} {
		if _, err := signer.SignEdges(programme.Edges{List: []programme.Edge{e}}); !errors.Is(err, programme.ErrEdges) || e.Valid() {
			t.Errorf("%+v: valid %v, %v; want ErrEdges", e, e.Valid(), err)
		}
	}
	for _, url := range []string{"https://a", "http://a_b.example.org:8443", "https://10.0.0.7", "http://[::1]:8080", "https://xn--bcher-kva.example"} {
		if e := (programme.Edge{URL: url}); !e.Valid() {
			t.Errorf("%s is none", url)
		}
	}
	many := programme.Edges{}
	for i := range programme.MaxEdges + 1 {
		many.List = append(many.List, programme.Edge{URL: fmt.Sprintf("https://e%d.example.org", i), Weight: 1})
	}
	if _, err := signer.SignEdges(many); !errors.Is(err, programme.ErrEdges) {
		t.Errorf("%d edges: %v, want ErrEdges", len(many.List), err)
	}
}

func FuzzParseEdges(f *testing.F) {
	f.Add("hustings/edges\n2031-05-01T12:00:00Z\n25 http://127.0.0.1:8080\n10 https://a.example.org\n")
	f.Add("hustings/edges\n2031-05-01T12:00:00Z\n")
	f.Add("hustings/edges\n\n1 x\n")
	f.Fuzz(func(t *testing.T, text string) {
		edges, err := programme.ParseEdges(text)
		if err != nil {
			if !errors.Is(err, programme.ErrEdges) {
				t.Fatalf("%v is not ErrEdges", err)
			}
			return
		}
		for _, e := range edges.List {
			if !e.Valid() {
				t.Fatalf("%+v was read", e)
			}
		}
	})
}
