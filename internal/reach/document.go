package reach

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"hustings/internal/space"
)

// HTTP is what asks for documents.
type HTTP = http.Client

// NewHTTP returns a client that trusts what the configuration says; nil is what the
// system trusts.
func NewHTTP(config *tls.Config) *HTTP {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config.Clone()
	// A stream's connection is taken over, which HTTP/2 does not allow.
	transport.ForceAttemptHTTP2 = false
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	return &http.Client{Transport: transport}
}

// Page is what a listener's page knows once it is open.
type Page struct {
	Link     Link // with the server as it was reached at last, after redirects
	Title    string
	Phase    space.Phase
	OpenedAt time.Time     // zero of the programme's clock; zero if the doors are closed
	Ahead    time.Duration // how far the server's clock is ahead of ours; 0 within 1.5 s
	Keys     []string      // verifier keys of the server's log
	Edges    Edges
	// EdgesNote is the signed list of edges as the server gave it; "" if there is none.
	EdgesNote string
	Assets    []string // addresses of what the page needs besides
	Bytes     int64    // of all that was loaded
}

// DocumentOptions say how a page is opened.
type DocumentOptions struct {
	HTTP   *HTTP // nil is http.DefaultClient
	Assets bool  // load the page's scripts and styles too, as a browser does the first time
	Bare   bool  // leave out the HTML: what a page knows without showing anything
}

// maxPage bounds a page, and each of its assets.
const maxPage = 4 << 20

// Document opens a space's page as a browser does: its HTML, the space's JSON, the
// server's keys, and if asked for the assets that the HTML names.
func Document(ctx context.Context, link Link, o DocumentOptions) (Page, error) {
	d := &document{http: Client(o.HTTP), page: Page{Link: link, Edges: NewEdges(link.Server)}}
	if !o.Bare {
		if err := d.html(ctx); err != nil {
			return d.page, err
		}
	}
	if err := d.about(ctx); err != nil {
		return d.page, err
	}
	if o.Assets {
		return d.page, d.assets(ctx)
	}
	return d.page, nil
}

// document is one Document.
type document struct {
	http *HTTP
	page Page
}

func (d *document) html(ctx context.Context) error {
	html, at, err := d.load(ctx, d.page.Link.Server+"/s/"+string(d.page.Link.Space))
	if err != nil {
		return err
	}
	d.page.Link.Server = at.Scheme + "://" + at.Host
	d.page.Assets = assetsOf(html, at)
	return nil
}

// about asks for what is to be known of the space and its server.
func (d *document) about(ctx context.Context) error {
	about, err := LookUp(ctx, d.http, d.page.Link)
	if err != nil {
		return err
	}
	d.page.Bytes += about.Bytes
	d.page.Title, d.page.Phase, d.page.Ahead, d.page.EdgesNote = about.Title, about.Phase, about.Ahead, about.Edges
	if about.OpenedAt != nil {
		d.page.OpenedAt = *about.OpenedAt
	}
	if d.page.Keys, err = Keys(ctx, d.http, d.page.Link); err != nil {
		return err
	}
	d.page.Edges, err = NewEdges(d.page.Link.Server).Open(about.Edges, d.page.Keys)
	if err != nil {
		return fmt.Errorf("the server's list of edges: %w", err)
	}
	return nil
}

func (d *document) assets(ctx context.Context) error {
	for _, address := range d.page.Assets {
		if _, _, err := d.load(ctx, address); err != nil {
			return fmt.Errorf("%s, which the page needs: %w", address, err)
		}
	}
	return nil
}

// load fetches a document and says where it was found in the end.
func (d *document) load(ctx context.Context, address string) (body []byte, at *url.URL, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, nil, Unreachable(req.URL.Scheme+"://"+req.URL.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, Problem(resp)
	}
	if body, err = io.ReadAll(io.LimitReader(resp.Body, maxPage)); err != nil {
		return nil, nil, fmt.Errorf("%s was cut off: %w", address, err)
	}
	d.page.Bytes += int64(len(body))
	return body, resp.Request.URL, nil
}

var (
	noscript = regexp.MustCompile(`(?is)<noscript\b.*?</noscript>`)
	named    = regexp.MustCompile(`(?i)<(?:script|link)\b[^>]*?\s(?:src|href)="([^"]+)"`)
)

// assetsOf returns the addresses of the scripts and styles that a page names, each
// once, as far as they are the server's own.
func assetsOf(html []byte, at *url.URL) []string {
	var all []string
	seen := make(map[string]bool)
	for _, found := range named.FindAllSubmatch(noscript.ReplaceAll(html, nil), -1) {
		u, err := at.Parse(string(found[1]))
		if err != nil || u.Host != at.Host || seen[u.String()] {
			continue
		}
		seen[u.String()] = true
		all = append(all, u.String())
	}
	return all
}

// About is what a listener needs of a space's JSON.
type About struct {
	Title    string      `json:"title"`
	Phase    space.Phase `json:"phase"`
	OpenedAt *time.Time  `json:"opened_at"` // zero of the programme's clock
	Edges    string      `json:"edges"`     // the signed list; "" if there is none

	Ahead time.Duration `json:"-"` // how far the server's clock is ahead of ours
	Bytes int64         `json:"-"` // of the JSON
}

// maxAbout bounds a space's JSON.
const maxAbout = 1 << 20

// ParseAbout reads a space's JSON.
func ParseAbout(document []byte) (About, error) {
	about := About{Bytes: int64(len(document))}
	if err := json.Unmarshal(document, &about); err != nil {
		return About{}, fmt.Errorf("what the server says of the space is not understood: %w", err)
	}
	return about, nil
}

// LookUp asks for the space itself. The answer's Date tells how far the server's
// clock is ahead.
//
// Errors: *StatusError.
func LookUp(ctx context.Context, client *HTTP, link Link) (About, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.API(""), nil)
	if err != nil {
		return About{}, err
	}
	asked := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return About{}, Unreachable(link.Server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return About{}, Problem(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAbout))
	if err != nil {
		return About{}, fmt.Errorf("what %s says of the space was cut off: %w", link.Server, err)
	}
	about, err := ParseAbout(body)
	about.Ahead = clockOffset(resp.Header.Get("Date"), asked)
	return about, err
}

// Keys asks for the server's public keys.
func Keys(ctx context.Context, client *HTTP, link Link) ([]string, error) {
	var set struct {
		Keys []string `json:"keys"`
	}
	if err := GetJSON(ctx, client, link.Server, link.Server+"/.well-known/hustings-keys.json", &set); err != nil {
		return nil, err
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("the server has no keys")
	}
	return set.Keys, nil
}

// clockOffset returns how far the server's clock is ahead of ours. Date counts
// whole seconds, so clocks that agree within that are taken to be the same.
func clockOffset(date string, asked time.Time) time.Duration {
	t, err := http.ParseTime(strings.TrimSpace(date))
	if err != nil {
		return 0
	}
	offset := t.Add(500 * time.Millisecond).Sub(asked)
	if offset.Abs() < 1500*time.Millisecond {
		return 0
	}
	return offset
}

// Line is what a server says of its line to the stage, to whom it sends no sound.
type Line uint8

// What a server may say.
const (
	LineFine Line = iota // it has the programme
	LineLost             // it has lost its line to the stage: what is missed comes later
	LineDead             // it says nothing
)

// AskLine asks a server after its line, as a page does whose sound ran dry while the
// connection stands.
func AskLine(ctx context.Context, client *HTTP, server string, id space.ID) Line {
	ctx, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/live/"+string(id)+"/pulse", nil)
	if err != nil {
		return LineDead
	}
	resp, err := Client(client).Do(req)
	if err != nil {
		return LineDead
	}
	defer resp.Body.Close()
	if resp.Header.Get("Hustings-Bus") == "lost" {
		return LineLost
	}
	return LineFine
}
