package crowd_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hustings/internal/crowd"
	"hustings/internal/node"
)

// realNode runs a node with one live space, and returns the space's link.
func realNode(t *testing.T) (link string) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	ready := make(chan node.Addresses, 1)
	n, err := node.New(node.Options{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Ready: func(a node.Addresses) { ready <- a },
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the node: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
	var at node.Addresses
	select {
	case at = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	signIn, err := url.Parse(at.SignIn)
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, body string) (answer struct{ ID string }) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.URL+"/api/v1/spaces"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+signIn.Query().Get("token"))
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 || json.NewDecoder(resp.Body).Decode(&answer) != nil {
			t.Fatalf("%s: %s", path, resp.Status)
		}
		return answer
	}
	id := post("", `{"title":"A full house"}`).ID
	post("/"+id+"/start", `{"anyway":true}`)
	return at.URL + "/s/" + id
}

// opens is what a crowd can open there: the pages may not be built.
func opens(t *testing.T, link string) crowd.Opens {
	t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return crowd.OpensNothing
	}
	return crowd.OpensPage
}

func TestAThousandHearARealNode(t *testing.T) {
	if testing.Short() {
		t.Skip("listens in real time")
	}
	const listeners = 1000
	link := realNode(t)
	c, err := crowd.New(crowd.Options{
		URL: link, Listeners: listeners, Opens: opens(t, link),
		Shape:  func(i, n int) time.Duration { return time.Second * time.Duration(i) / time.Duration(n) },
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context()) }()
	await := func(what string, so func(f crowd.Figures) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !so(c.Snapshot()); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within a minute; %+v", what, c.Snapshot())
			}
		}
	}
	await("all hear", func(f crowd.Figures) bool { return f.Hearing == listeners && f.Blocks > 12*listeners })
	c.Storm(func(i int) bool { return i%10 == 0 })
	await("all are back", func(f crowd.Figures) bool { return f.Reconnects >= listeners/10 && f.Joined == listeners })
	before := c.Snapshot().Blocks
	await("all hear on", func(f crowd.Figures) bool { return f.Hearing == listeners && f.Blocks > before+4*listeners })
	c.Exit(nil)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	f := c.Snapshot()
	if f.EverHeard != listeners || f.NeverHeard != 0 || f.Left != listeners || f.Gaps.Count != 0 || f.Repeated != 0 || f.Holes.Count != 0 {
		t.Errorf("figures: %+v", f)
	}
	if len(f.Refused) != 0 {
		t.Errorf("refused: %v", f.Refused)
	}
	if f.Mismatched != 0 || f.Unproven != 0 || f.Proven < listeners/100*10 || f.Proven+f.Compared != f.Blocks {
		t.Errorf("of %d blocks %d are proven, %d compared, %d mismatched, %d unproven", f.Blocks, f.Proven, f.Compared, f.Mismatched, f.Unproven)
	}
	if why := f.Generator.Limit(); why == "" && f.Dries.Count != 0 { // a loaded machine may have kept the sound back
		t.Errorf("some heard silence: %+v", f.Dries)
	}
	if each := f.Generator.Memory / listeners; each > 1000 {
		t.Errorf("a listener takes %d bytes", each)
	}
}
