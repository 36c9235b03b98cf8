package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// scheme switches the page between "light" and "dark".
func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

func scripts(on bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	})
}

// audit takes pictures of the page and has axe look for faults, in light and dark
// and at both widths. Nothing may hang over the edge of a phone.
func audit(t *testing.T, ctx context.Context, axe, name string) {
	t.Helper()
	for _, look := range []string{"light", "dark"} {
		do(t, ctx, scheme(look))
		picture(t, ctx, name+"-"+look)
		for _, width := range []int64{360, 1280} {
			do(t, ctx, chromedp.EmulateViewport(width, 800))
			if over := eval[int](t, ctx, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
				t.Errorf("%s is %d px too wide at %d px", name, over, width)
			}
			eval[bool](t, ctx, `window.axe ? true : (`+axe+`, true)`)
			settle(t, ctx) // contrast is measured when colours have arrived
			faults := eval[[]string](t, ctx, `axe.run({ resultTypes: ['violations'] })
				.then((r) => r.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id + ': ' + v.nodes.map((n) => n.html + ' ' + n.failureSummary).join('; ')))`)
			for _, fault := range faults {
				t.Errorf("%s, %s, %d px: axe says %s", name, look, width, fault)
			}
		}
		do(t, ctx, chromedp.ResetViewport())
	}
}

func says(t *testing.T, ctx context.Context, words ...string) {
	t.Helper()
	for _, w := range words {
		until(t, ctx, fmt.Sprintf(`document.body.innerText.toLowerCase().includes(%q)`, strings.ToLower(w)))
	}
}

func TestEveryPageInEveryPhase(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	source, err := os.ReadFile("../ui/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run `make pages`", err)
	}
	axe := "(() => {" + string(source) + "})()"
	s := serve(t)
	page := browser(t, "")
	soon := time.Now().Add(26 * time.Hour).UTC().Truncate(time.Minute)

	announced, open, live, over, off := s.announce(t, "Budget hearing"), s.announce(t, "Doors are open"),
		s.announce(t, "On air now"), s.announce(t, "Last week’s debate"), s.announce(t, "Called off")
	s.call(t, http.MethodPatch, "/api/v1/spaces/"+announced, map[string]any{"starts_at": soon, "description": "Ask the council about next year’s budget."}, nil)
	s.step(t, open, "open")
	s.step(t, live, "start")
	s.step(t, over, "start")
	s.step(t, over, "end")
	s.step(t, off, "cancel")

	visit := func(path string, words ...string) {
		t.Helper()
		do(t, page, chromedp.Navigate(s.url+path))
		says(t, page, words...)
	}
	visit("/", "Budget hearing", "On air now", "Last week’s debate")
	audit(t, page, axe, "front")
	visit("/s/"+announced, "Budget hearing", "Ask the council")
	audit(t, page, axe, "listener-scheduled")
	s.call(t, http.MethodPatch, "/api/v1/spaces/"+announced, map[string]any{"starts_at": soon.Add(24 * time.Hour)}, nil)
	visit("/s/"+announced, "Budget hearing", "moved")
	audit(t, page, axe, "listener-rescheduled")
	visit("/s/"+open, "Doors are open")
	audit(t, page, axe, "listener-open")
	visit("/s/"+live, "On air now", "live")
	audit(t, page, axe, "listener-live")
	do(t, page, chromedp.Click(testid("hear"), chromedp.NodeVisible))
	until(t, page, `document.querySelector('[data-testid="player"]').dataset.state === 'playing'`)
	says(t, page, "nobody") // the stage is empty, and the page says so
	audit(t, page, axe, "listener-empty-stage")
	visit("/s/"+over, "Last week’s debate", "recording")
	audit(t, page, axe, "listener-ended")
	visit("/s/"+off, "Called off", "cancelled")
	audit(t, page, axe, "listener-cancelled")
	visit("/s/nothing-here", "no event")
	audit(t, page, axe, "listener-missing")
	visit("/studio/"+live, "invitation")
	audit(t, page, axe, "studio-stranger")

	host := s.invite(t, live, "host", "Hanna Host")
	do(t, page, chromedp.Navigate(host.URL))
	says(t, page, "Hanna Host", "on air")
	audit(t, page, axe, "studio-host")

	do(t, page, chromedp.Navigate(s.signIn))
	says(t, page, "announce")
	audit(t, page, axe, "front-owner")
	if at := eval[string](t, page, `location.href`); strings.Contains(at, ownerToken) {
		t.Errorf("the owner's token stays in the address bar: %s", at)
	}
	visit("/studio/"+open, "host")
	audit(t, page, axe, "studio-owner")
}

// overlaid is a server of which some answers of the API are the test's.
func overlaid(t *testing.T, s *server, answers map[string]string) *httptest.Server {
	t.Helper()
	behind, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(behind)
		p.Out.Host = p.In.Host
	}})
	for path, answer := range answers {
		mux.HandleFunc("GET "+path, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, answer)
		})
	}
	o := httptest.NewServer(mux)
	t.Cleanup(func() {
		o.CloseClientConnections()
		o.Close()
	})
	return o
}

func TestTheStudioTellsHowWellACrowdIsServed(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	source, err := os.ReadFile("../ui/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run `make pages`", err)
	}
	s := serve(t)
	id := s.announce(t, "Ready or not")
	host := s.invite(t, id, "host", "Hanna Host")
	for _, c := range []struct {
		name, capacity, renditions string
		words                      []string
	}{
		{
			"never", `{"listeners":0,"rehearsed_at":null,"stale":true,"why":"nothing was rehearsed","report":""}`,
			`{"aac":{"available":false,"reason":"ffmpeg is not installed; install it and start again"}}`,
			[]string{"not rehearsed yet", "older iphones may not hear this", "ffmpeg is not installed", "--listeners 1000"},
		},
		{
			"rehearsed", `{"listeners":15000,"rehearsed_at":"2026-11-20T20:00:00Z","stale":false,"why":"","report":""}`,
			`{"aac":{"available":true,"reason":""}}`,
			[]string{"rehearsed for 15,000 listeners", "without a gap", "ready for iphones", "--listeners 15000"},
		},
		{
			"stale", `{"listeners":800,"rehearsed_at":"2026-11-20T20:00:00Z","stale":true,"why":"the version is another one","report":""}`,
			`{"aac":{"available":true,"reason":""}}`,
			[]string{"out of date", "the version is another one", "rehearse again"},
		},
	} {
		o := overlaid(t, s, map[string]string{"/api/v1/capacity": c.capacity, "/api/v1/renditions": c.renditions})
		page := browser(t, "")
		do(t, page, chromedp.Navigate(strings.Replace(host.URL, s.url, o.URL, 1)), chromedp.Click(chromedp.CSS(`[data-testid="rehearse"] summary`), chromedp.NodeVisible))
		says(t, page, c.words...)
		eval[bool](t, page, `document.querySelector('[data-testid="crowd"]').scrollIntoView({ block: 'center' }), true`)
		audit(t, page, "(() => {"+string(source)+"})()", "studio-crowd-"+c.name)
	}
}

func TestTheOwnerAnnouncesASpaceOnTheFrontPage(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	s := serve(t)
	page := browser(t, "")
	do(t, page, chromedp.Navigate(s.signIn), chromedp.WaitVisible(testid("announce")))
	if !eval[bool](t, page, `!!document.querySelector('[data-testid="announce-form"]')`) {
		do(t, page, chromedp.Click(testid("announce")))
	}
	do(t, page,
		chromedp.SendKeys(testid("announce-title"), "Harbour meeting", chromedp.NodeVisible),
		chromedp.Click(testid("announce-submit")))
	says(t, page, "Harbour meeting")
	until(t, page, `!!document.querySelector('[data-testid="studio-link"]')`)
	studio := eval[string](t, page, `document.querySelector('[data-testid="studio-link"]').href`)
	do(t, page, chromedp.Navigate(studio),
		chromedp.SendKeys(testid("owner-name"), "Olga Owner", chromedp.NodeVisible),
		chromedp.Click(testid("owner-enter")))
	do(t, page,
		chromedp.SendKeys(testid("invite-name"), "Sam Speaker", chromedp.NodeVisible),
		chromedp.Click(testid("invite")))
	until(t, page, `[...document.querySelectorAll('[data-testid="invite-line"]')].some((line) => line.innerText.includes('Sam Speaker') && line.dataset.url.includes('#token='))`)
	do(t, page, chromedp.Click(testid("open"), chromedp.NodeVisible))
	until(t, page, `document.querySelector('[data-testid="audience-hears"]').dataset.phase === 'open'`)
	// Nobody is on stage: starting names what is missing, and can be done all the same.
	do(t, page, chromedp.Click(testid("start"), chromedp.NodeVisible), chromedp.WaitVisible(testid("checklist")))
	do(t, page, chromedp.Click(testid("start-anyway"), chromedp.NodeVisible))
	until(t, page, `document.querySelector('[data-testid="audience-hears"]').dataset.phase === 'live'`)
}

func TestWithoutScriptsThereIsAPlainLink(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	s := serve(t)
	id := s.announce(t, "Plain and simple")
	s.step(t, id, "start")
	page := browser(t, "")
	do(t, page, scripts(false), chromedp.Navigate(s.url+"/s/"+id), chromedp.WaitVisible(chromedp.CSS(`noscript a[href$=".ogg"]`)))
	shoot(t, page, "listener-noscript", func() {})
	heading, err := chromedp.Run(page, chromedp.Text(chromedp.CSS(`noscript h1`)))
	if err != nil || heading != "Plain and simple" {
		t.Errorf("without scripts the page is headed %q (%v)", heading, err)
	}
	link, err := chromedp.Run(page, chromedp.AttributeValue(chromedp.CSS(`noscript a[href$=".ogg"]`), "href"))
	if err != nil {
		t.Fatal(err)
	}
	decode(t, link.Value, 2*time.Second)
}
