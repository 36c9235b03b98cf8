package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hustings/internal/problem"
	"hustings/internal/space"
)

func TestEachKindHasItsStatus(t *testing.T) {
	for kind, status := range map[space.Kind]int{
		space.Invalid: 422, space.Unauthorized: 401, space.Forbidden: 403, space.NotFound: 404, space.Conflict: 409,
		space.Gone: 410, space.Unsupported: 415, space.TooEarly: 425, space.Full: 503, space.Internal: 500,
	} {
		err := fmt.Errorf("around it: %w", space.Errorf(kind, "do this & that"))
		p := problem.Of(err)
		if p.Status != status || problem.Status(err) != status || p.Title != http.StatusText(status) || p.Detail != "do this & that" {
			t.Errorf("%s: %+v", kind, p)
		}
		if (status == 425 || status == 503) != (p.Header.Get("Retry-After") != "") || (status == 401) != (p.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: headers %v", kind, p.Header)
		}
	}
	odd := problem.WithStatus(errors.New("it was restarted meanwhile"), 412)
	if p := problem.Of(odd); p.Status != 412 || p.Detail != "it was restarted meanwhile" {
		t.Errorf("with a status of its own: %+v", p)
	}
}

func TestOurFaultsAreLoggedAndNotShown(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	fault := errors.New("the disk is on fire")
	if p := problem.Of(fault); p.Status != 500 || strings.Contains(p.Detail, "fire") {
		t.Errorf("shown: %+v", p)
	}
	problem.Blame(t.Context(), log, fault)
	problem.Blame(t.Context(), log, &space.Error{Kind: space.Internal, Detail: "sorry", Err: errors.New("no memory")})
	if !strings.Contains(text.String(), "on fire") || !strings.Contains(text.String(), "no memory") {
		t.Errorf("logged: %s", text.String())
	}
	text.Reset()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	problem.Blame(gone, log, fault) // who asked went away: that is what failed
	problem.Blame(t.Context(), log, space.Errorf(space.NotFound, "there is none"))
	if text.Len() > 0 {
		t.Errorf("logged: %s", text.String())
	}
}

func TestTheFormGoesByWhoAsks(t *testing.T) {
	ask := httptest.NewRequest("GET", "/", nil)
	rec := httptest.NewRecorder()
	problem.Of(space.Errorf(space.TooEarly, "come <soon>")).Write(rec, ask)
	var told struct {
		Status        int
		Title, Detail string
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &told); err != nil || told.Status != 425 || told.Detail != "come <soon>" || told.Title == "" {
		t.Errorf("as JSON: %s %v", rec.Body, err)
	}
	if rec.Header().Get("Content-Type") != "application/problem+json" || rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("Retry-After") != "1" {
		t.Errorf("headers: %v", rec.Header())
	}
	ask.Header.Set("Accept", "text/html,*/*")
	rec = httptest.NewRecorder()
	problem.Refuse(rec, ask, 404, "there is <none>")
	if rec.Code != 404 || !strings.Contains(rec.Body.String(), "There is &lt;none&gt;.") || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
		t.Errorf("as a page: %d %v %s", rec.Code, rec.Header(), rec.Body)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Hour: "1", 0: "1", time.Second: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		if got := problem.Seconds(d); got != want {
			t.Errorf("%v: %s; want %s", d, got, want)
		}
	}
}
