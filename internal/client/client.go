// Package client speaks Hustings' public protocol from the outside: no more of
// it than any browser or broadcast tool could.
//
// Publish speaks a recording, or whatever comes in on standard input, into a
// space by WHIP. Listen hears the programme by its fragmented MP4 and proves that
// what it heard is what was written into the signed log. Hear joins the stage by
// WHEP and gives out the mix that a speaker hears. All three take the link that a
// person has in the address bar, and come back by themselves when the server
// restarts.
package client

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"hustings/internal/space"
)

// Link is what a space's link says: where its server is, which space it is and,
// if it is an invite's, the token.
type Link struct {
	Server string // scheme and host, without a slash at the end
	Space  space.ID
	Token  string // "" if the link holds none
}

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// ParseLink reads a space's link as people pass it on: the listener's page
// (https://host/s/ID), an invite's (https://host/studio/ID#token=TOKEN), or an
// address of its stream or of its API.
func ParseLink(raw string) (Link, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return Link{}, fmt.Errorf("%q is not a link: %w", raw, errors.Unwrap(err))
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return Link{}, fmt.Errorf("%q is not a link to a space: it should look like https://HOST/s/ID", raw)
	}
	link := Link{Server: u.Scheme + "://" + u.Host}
	path := strings.Trim(u.Path, "/")
	for _, prefix := range []string{"s/", "studio/", "live/", "api/v1/spaces/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			id, _, _ := strings.Cut(rest, "/")
			id, _, _ = strings.Cut(id, ".")
			link.Space = space.ID(id)
			break
		}
	}
	if !idPattern.MatchString(string(link.Space)) {
		return Link{}, fmt.Errorf("%q names no space: give the link of the space's page, like %s/s/ID", raw, link.Server)
	}
	if values, err := url.ParseQuery(u.Fragment); err == nil {
		link.Token = values.Get("token")
	}
	return link, nil
}

// api returns an address of the space's API.
func (l Link) api(rest string) string {
	return l.Server + "/api/v1/spaces/" + string(l.Space) + rest
}

// loopback reports whether the server is on this machine, where WebRTC needs
// candidates that would be useless to anyone else.
func (l Link) loopback() bool {
	u, err := url.Parse(l.Server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// StatusError is an answer of the server other than the one that was hoped for.
type StatusError struct {
	Status     int           // of HTTP
	Detail     string        // what the server says to do about it
	RetryAfter time.Duration // what the server asks for; 0 if it does not say
}

// Error returns what the server said.
func (e *StatusError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s (%d)", e.Detail, e.Status)
}

// Temporary reports whether the same request may succeed later, with nothing
// changed by whoever asks.
func (e *StatusError) Temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusTooEarly
}

// maxProblem bounds how much of an error's body is read.
const maxProblem = 16 << 10

// problem turns an answer into a *StatusError; its body is problem+json (RFC 9457)
// if it comes from Hustings, and anything at all if it comes from a proxy.
func problem(resp *http.Response) error {
	e := &StatusError{Status: resp.StatusCode}
	if s, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil && s > 0 {
		e.RetryAfter = s
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if strings.HasPrefix(string(body), "Client sent an HTTP request to an HTTPS server") { // as Go's servers say it
		e.Detail = "this port speaks HTTPS: begin the link with https://"
	}
	if err != nil || !strings.Contains(resp.Header.Get("Content-Type"), "json") {
		return e
	}
	var p struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &p) == nil {
		if e.Detail = p.Detail; e.Detail == "" {
			e.Detail = p.Title
		}
	}
	return e
}

// maxJSON bounds an answer; the longest are proofs, of which each block's has 2 kB.
const maxJSON = 8 << 20

// getJSON asks a server for a small document.
func getJSON(ctx context.Context, client *http.Client, server, address string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return unreachable(server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problem(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxJSON)).Decode(v); err != nil {
		return fmt.Errorf("%s is not understood: %w", address, err)
	}
	return nil
}

// temporary reports whether it makes sense to try again after err.
func temporary(err error) bool {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Temporary()
	}
	// Whatever is not an answer of the server is the network's, or the server is
	// just starting again.
	return !errors.Is(err, context.Canceled)
}

// unreachable makes what net/http says when there is no server readable.
func unreachable(server string, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("cannot reach %s: %w; if its certificate is one of your own, name the file in SSL_CERT_FILE", server, unknown)
	}
	return fmt.Errorf("cannot reach %s: %w", server, err)
}

// backoff is how long to wait before the next attempt: it doubles up to its
// bound, with jitter, so that thousands who lost the same server do not come
// back in the same instant.
type backoff struct {
	next time.Duration
}

const (
	firstWait = 200 * time.Millisecond
	mostWait  = 5 * time.Second
)

// wait waits; it returns an error only when ctx is done.
func (b *backoff) wait(ctx context.Context, cause error) error {
	b.next = min(max(2*b.next, firstWait), mostWait)
	d := b.next/2 + rand.N(b.next/2)
	if e, ok := errors.AsType[*StatusError](cause); ok && e.RetryAfter > 0 {
		d = min(e.RetryAfter, mostWait)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *backoff) reset() { b.next = 0 }

func loggerOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

func httpOr(c *http.Client) *http.Client {
	if c == nil {
		return http.DefaultClient
	}
	return c
}
