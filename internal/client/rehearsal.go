package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/mod/sumdb/note"

	"hustings/internal/reach"
	"hustings/internal/space"
)

// Owner asks a server for what only its owner may have.
type Owner struct {
	Link  Link
	Token string       // the owner's
	HTTP  *http.Client // nil is http.DefaultClient
}

// callTimeout bounds one call: a server under a rehearsal's load may take its time.
const callTimeout = 10 * time.Second

// ErrNoHustings says that what answers is no Hustings server.
var ErrNoHustings = errors.New("this is no Hustings server")

// Space returns how the space stands.
//
// Errors: ErrNoHustings, *StatusError.
func (o Owner) Space(ctx context.Context) (Space, error) {
	var sp Space
	err := o.call(ctx, http.MethodGet, "", nil, &sp)
	if _, answered := errors.AsType[*StatusError](err); err != nil && !answered {
		return sp, err
	}
	if err == nil && (sp.ID != o.Link.Space || sp.Phase == "") {
		err = fmt.Errorf("%s: %w", o.Link.Server, ErrNoHustings)
	}
	if e, ok := errors.AsType[*StatusError](err); ok && e.Detail == "" {
		err = fmt.Errorf("%s: %w (it answered %d)", o.Link.Server, ErrNoHustings, e.Status)
	}
	return sp, err
}

// Space is what is asked about a space.
type Space struct {
	ID    space.ID     `json:"id"`
	Title string       `json:"title"`
	Phase space.Phase  `json:"phase"`
	Tally *space.Tally `json:"tally"`
}

// Rehearse asks for the permit for a crowd.
//
// Errors: *StatusError.
func (o Owner) Rehearse(ctx context.Context, listeners int, within time.Duration) (space.Permit, error) {
	var permit space.Permit
	body := map[string]int{"listeners": listeners, "seconds": int((within + time.Second - 1) / time.Second)}
	err := o.call(ctx, http.MethodPost, "/rehearsals", body, &permit)
	if err == nil && (permit.Permit == "" || permit.Listeners < listeners) {
		err = fmt.Errorf("%s: %w (it gave no permit)", o.Link.Server, ErrNoHustings)
	}
	return permit, err
}

// Rehearsal returns how a rehearsal stands by the servers' own count.
//
// Errors: *StatusError.
func (o Owner) Rehearsal(ctx context.Context, id string) (space.Standing, error) {
	var standing space.Standing
	err := o.call(ctx, http.MethodGet, "/rehearsals/"+url.PathEscape(id), nil, &standing)
	return standing, err
}

// EndRehearsal gives a permit back.
//
// Errors: *StatusError.
func (o Owner) EndRehearsal(ctx context.Context, id string) error {
	return o.call(ctx, http.MethodDelete, "/rehearsals/"+url.PathEscape(id), nil, nil)
}

// ReportRehearsal ends a rehearsal with what the crowd heard, and returns the report
// as the server signed it. The signature is checked with the server's public key.
//
// Errors: *StatusError.
func (o Owner) ReportRehearsal(ctx context.Context, id string, crowd space.Crowd) (signed string, err error) {
	var answer struct {
		Note string `json:"note"`
	}
	body := map[string]space.Crowd{"figures": crowd}
	if err := o.call(ctx, http.MethodPost, "/rehearsals/"+url.PathEscape(id)+"/report", body, &answer); err != nil {
		return "", err
	}
	var published struct {
		Keys []string `json:"keys"`
	}
	err = reach.GetJSON(ctx, reach.Client(o.HTTP), o.Link.Server, o.Link.Server+"/.well-known/hustings-keys.json", &published)
	if err != nil {
		return "", fmt.Errorf("the report can't be checked without the server's key: %w", err)
	}
	if _, err := OpenNote(answer.Note, published.Keys); err != nil {
		return "", fmt.Errorf("the server's own key does not hold for the report that it signed: %w", err)
	}
	return answer.Note, nil
}

// OpenNote checks a signed note with public keys, and returns its text.
func OpenNote(signed string, keys []string) (text string, err error) {
	var verifiers []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return "", fmt.Errorf("verifier key %q: %w", key, err)
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifiers...))
	if err != nil {
		return "", err
	}
	return opened.Text, nil
}

// call makes one call of the space's API; body and answer may be nil.
func (o Owner) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, o.Link.API(path), sent)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+o.Token)
	}
	resp, err := reach.Client(o.HTTP).Do(req)
	if err != nil {
		return reach.Unreachable(o.Link.Server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return reach.Problem(resp)
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, reach.MaxJSON)).Decode(answer); err != nil {
		return fmt.Errorf("%s: %w (its answer is not understood)", o.Link.Server, ErrNoHustings)
	}
	return nil
}
