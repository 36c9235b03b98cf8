package reach

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

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

// Problem turns an answer into a *StatusError; its body is problem+json (RFC 9457)
// if it comes from Hustings, and anything at all if it comes from a proxy.
func Problem(resp *http.Response) error {
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

// MaxJSON bounds an answer; the longest are proofs, of which each block's has 2 kB.
const MaxJSON = 8 << 20

// GetJSON asks a server for a small document.
func GetJSON(ctx context.Context, client *HTTP, server, address string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Unreachable(server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Problem(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, MaxJSON)).Decode(v); err != nil {
		return fmt.Errorf("%s is not understood: %w", address, err)
	}
	return nil
}

// Temporary reports whether it makes sense to try again after err.
func Temporary(err error) bool {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Temporary()
	}
	// Whatever is not an answer of the server is the network's, or the server is
	// just starting again.
	return !errors.Is(err, context.Canceled)
}

// Unreachable makes what net/http says when there is no server readable.
func Unreachable(server string, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("cannot reach %s: %w; if its certificate is one of your own, name the file in SSL_CERT_FILE", server, unknown)
	}
	return fmt.Errorf("cannot reach %s: %w", server, err)
}

// Backoff is how long to wait before the next attempt: it doubles up to its
// bound, with jitter, so that thousands who lost the same server do not come
// back in the same instant.
type Backoff struct {
	next time.Duration
}

const (
	firstWait = 200 * time.Millisecond
	mostWait  = 5 * time.Second
)

// Wait waits; it returns an error only when ctx is done.
func (b *Backoff) Wait(ctx context.Context, cause error) error {
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

func (b *Backoff) Reset() { b.next = 0 }

// Pause is how long a listener's page waits before it connects again, after so many
// tries in a row that were in vain; as in ui/src/live/player.ts. A crowd that lost its
// server in one moment does not come back in one.
func Pause(tries int) time.Duration {
	most := 2 * time.Second // for some 20 s, in which a server that was started anew is back
	if tries >= 14 {
		most = 15 * time.Second
	}
	ceiling := min(most, 500*time.Millisecond<<min(tries, 10))
	return ceiling/2 + rand.N(ceiling/2)
}

// Client returns the given client, or the standard one.
func Client(c *HTTP) *HTTP {
	if c == nil {
		return http.DefaultClient
	}
	return c
}
