// Package e2e tries the whole of Hustings as people use it: pages in Chromium,
// microphones, streams and recordings.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"hustings/internal/node"
)

const ownerToken = "the-owner-of-this-test"

// server is a node that serves on this machine until the test ends.
type server struct {
	url    string
	signIn string
}

func serve(t testing.TB) *server {
	t.Helper()
	ready := make(chan node.Addresses, 1)
	n, err := node.New(node.Options{
		Data: t.TempDir(), Listen: "127.0.0.1:0", OwnerToken: ownerToken,
		Ready: func(a node.Addresses) { ready <- a },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	select {
	case a := <-ready:
		return &server{url: a.URL, signIn: a.SignIn}
	case err := <-ended:
		ended <- err
		t.Fatalf("the server did not come up: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the server is not ready after 30 s")
	}
	return nil
}

// call calls the API as the owner and decodes what it answers.
func (s *server) call(t testing.TB, method, path string, body, answer any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+ownerToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %v\n%s", method, path, response.Status, err, said)
	}
	if answer != nil {
		if err := json.Unmarshal(said, answer); err != nil {
			t.Fatalf("%s %s answered %s: %v", method, path, said, err)
		}
	}
}

type invite struct {
	URL, Token, Seat string
}

// announce makes a space and returns its id.
func (s *server) announce(t testing.TB, title string) string {
	t.Helper()
	var made struct{ ID string }
	s.call(t, http.MethodPost, "/api/v1/spaces", map[string]any{"title": title}, &made)
	return made.ID
}

func (s *server) invite(t testing.TB, id, role, name string) invite {
	t.Helper()
	var made invite
	s.call(t, http.MethodPost, "/api/v1/spaces/"+id+"/invites", map[string]string{"role": role, "name": name}, &made)
	return made
}

// step opens, starts or ends a space.
func (s *server) step(t testing.TB, id, verb string) {
	t.Helper()
	s.call(t, http.MethodPost, "/api/v1/spaces/"+id+"/"+verb, map[string]bool{"anyway": true}, nil)
}
