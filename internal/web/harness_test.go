package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"hustings/internal/archive"
	"hustings/internal/broadcast"
	"hustings/internal/desk"
	"hustings/internal/live"
	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/stage"
	"hustings/internal/store"
	"hustings/internal/token"
	"hustings/internal/web"
)

const ownerToken = "the-owners-token"

// bothStages is what desk and web need of one stage.
type bothStages interface {
	desk.Stage
	web.Stage
}

// fakeStage takes every call, unless it is told to refuse.
type fakeStage struct {
	mu     sync.Mutex // guards all below
	state  stage.State
	refuse error // of Publish, Subscribe, Patch
	calls  []string
	patch  stage.Patch
	owner  space.Invite // whose session "call" is
}

func (f *fakeStage) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.refuse
}

func (f *fakeStage) noted() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, "\n")
}

func (f *fakeStage) Put(space.Space) error                   { return nil }
func (f *fakeStage) Stage(space.ID) stage.State              { return f.state }
func (f *fakeStage) Leave(_ context.Context, _ string) error { return f.note("leave") }

func (f *fakeStage) Mute(_ space.ID, by space.Invite, seat space.SeatID, muted bool) error {
	return f.note("mute %s %v by %s", seat, muted, by.Role)
}

func (f *fakeStage) Remove(_ space.ID, by space.Invite, seat space.SeatID) error {
	return f.note("remove %s by %s", seat, by.Role)
}

func (f *fakeStage) Publish(_ context.Context, in space.Invite, offer string) (stage.Session, error) {
	f.owner = in
	return stage.Session{ID: "call", ETag: `"one"`, Answer: "answer to " + offer}, f.note("publish %s", in.Name)
}

func (f *fakeStage) Subscribe(_ context.Context, in space.Invite, offer string) (stage.Session, error) {
	f.owner = in
	return stage.Session{ID: "call", ETag: `"one"`, Answer: "answer to " + offer}, f.note("subscribe %s", in.Name)
}

func (f *fakeStage) Owner(session string) (space.ID, space.SeatID, error) {
	if session != "call" {
		return "", "", space.Errorf(space.NotFound, "that session has ended; connect again")
	}
	return f.owner.Space, f.owner.Seat, nil
}

func (f *fakeStage) Patch(_ context.Context, _, ifMatch, fragment string) (stage.Patch, error) {
	return f.patch, f.note("patch %s %s", ifMatch, fragment)
}

func (f *fakeStage) Watch(space.ID, space.SeatID) (*stage.Watcher, error) {
	return nil, space.Errorf(space.NotFound, "there is no such stage here")
}

// fakeProgramme has one block and sends each listener a line.
type fakeProgramme struct {
	mu       sync.Mutex // guards all below
	ready    bool
	refuse   error // of Attach
	attached []broadcast.Listener
}

func (f *fakeProgramme) Ready(space.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready
}

func (f *fakeProgramme) Attach(l broadcast.Listener) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.attached = append(f.attached, l)
	go func() {
		defer l.Conn.Close()
		_, _ = l.Conn.Write(append(append([]byte{}, l.Head...), "sound"...))
	}()
	return nil
}

func (f *fakeProgramme) Block(_ space.ID, seq uint64) ([]byte, bool) {
	return []byte("block"), seq == 7
}
func (f *fakeProgramme) Pulse(space.ID) ([]byte, bool) {
	return []byte(`{"phase":"live"}`), f.Ready("")
}

// Nothing is kept: the room live has tests of its own.
func (f *fakeProgramme) Window(space.ID) (broadcast.Window, bool) { return broadcast.Window{}, false }
func (f *fakeProgramme) Fragment(space.ID, uint32, uint64, programme.Rung) ([]byte, bool) {
	return nil, false
}
func (f *fakeProgramme) Init(space.ID, programme.Rung) ([]byte, bool) { return nil, false }
func (f *fakeProgramme) Count(space.ID, string, bool)                 {}
func (f *fakeProgramme) Tally(space.ID) space.Tally                   { return space.Tally{Now: 3, Peak: 5, Total: 9} }

// fakeArchive has the recording of every space, once it is finished.
type fakeArchive struct {
	finished error
	missing  bool
	moved    bool          // to another store
	slow     time.Duration // of each read
}

func (f *fakeArchive) Finished(ctx context.Context, _ space.ID) error {
	if f.finished == context.DeadlineExceeded {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.finished
}

// stored is a file that is read as long as ctx goes on, as one in a store is.
type stored struct {
	*strings.Reader
	ctx  context.Context
	slow time.Duration
}

func (stored) Close() error { return nil }

func (s stored) Read(p []byte) (int, error) {
	if s.slow > 0 {
		time.Sleep(s.slow)
	}
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	return s.Reader.Read(p)
}

func (f *fakeArchive) Open(ctx context.Context, id space.ID, ext string) (archive.Content, error) {
	if f.missing {
		return archive.Content{}, space.Errorf(space.NotFound, "there is no recording of this space")
	}
	text, kept := "0123456789", time.Unix(1_800_000_000, 0)
	if f.moved {
		kept = kept.Add(time.Hour)
	}
	return archive.Content{ReadSeekCloser: stored{strings.NewReader(text), ctx, f.slow}, Size: int64(len(text)),
		ModTime: kept, Type: "audio/" + ext}, nil
}

func (f *fakeArchive) Proof(_ context.Context, _ space.ID, from, to uint64) (programme.Proof, error) {
	if from >= to {
		return programme.Proof{}, space.Errorf(space.Invalid, "ask for at least one block")
	}
	return programme.Proof{Checkpoint: fmt.Sprintf("note %d-%d", from, to)}, nil
}

// site is a server with what stands behind it.
type site struct {
	t         testing.TB
	url       string
	server    *httptest.Server
	web       *web.Web
	desk      *desk.Desk
	stage     *fakeStage
	programme *fakeProgramme
	archive   *fakeArchive
	log       *bytes.Buffer // after the server was closed
}

var builtPages = fstest.MapFS{
	"index.html":            {Data: []byte("<html><head><!--hustings:head--></head><body>front<!--hustings:data--><noscript><!--hustings:noscript--></noscript></body></html>")},
	"listener.html":         {Data: []byte("<html><head><!--hustings:head--></head><body>listener<!--hustings:data--><noscript><!--hustings:noscript--></noscript></body></html>")},
	"studio.html":           {Data: []byte("<html><head><!--hustings:head--></head><body>studio<!--hustings:data--><noscript><!--hustings:noscript--></noscript></body></html>")},
	"assets/main-abc.js":    {Data: []byte("plain script")},
	"assets/main-abc.js.br": {Data: []byte("br")},
	"assets/main-abc.js.gz": {Data: []byte("gz")},
	"favicon.svg":           {Data: []byte("<svg/>")},
	".gitkeep":              {Data: nil},
}

// newSite serves a site on the fakes; change may alter the options.
func newSite(t testing.TB, change ...func(*web.Options)) *site {
	t.Helper()
	return siteOn(t, &fakeStage{}, change...)
}

func siteOn(t testing.TB, stage bothStages, change ...func(*web.Options)) *site {
	t.Helper()
	s := &site{t: t, programme: &fakeProgramme{ready: true}, archive: &fakeArchive{}, log: &bytes.Buffer{}}
	s.stage, _ = stage.(*fakeStage)
	db, err := store.Open(t.Context(), store.Options{DSN: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	minter, err := token.New(make([]byte, token.SecretSize), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.desk, err = desk.New(desk.Options{Store: db, Stage: stage, Tokens: minter, OwnerToken: ownerToken}); err != nil {
		t.Fatal(err)
	}
	audience, err := live.New(live.Options{Spaces: s.desk, Programme: s.programme})
	if err != nil {
		t.Fatal(err)
	}
	o := web.Options{
		Desk: s.desk, Stage: stage, Programme: s.programme, Archive: s.archive, Live: audience, Pages: builtPages, Keys: func() []string { return []string{"key+1"} },
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{to: s.log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	if s.web, err = web.New(o); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.web.Handler())
	t.Cleanup(s.server.Close)
	s.url = s.server.URL
	return s
}

type lockedWriter struct {
	mu sync.Mutex // guards to
	to io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers come as "Name: value".
func (s *site) ask(method, path, body string, headers ...string) reply {
	s.t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = s.url + path
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	client := &http.Client{Transport: s.server.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: string(data)}
}

const asOwner = "Authorization: Bearer " + ownerToken

// api sends JSON to the API.
func (s *site) api(method, path, body string, headers ...string) reply {
	s.t.Helper()
	if body != "" {
		headers = append(headers, "Content-Type: application/json")
	}
	return s.ask(method, "/api/v1"+path, body, headers...)
}

// want fails unless the reply has the status, and if it is an error, is a problem
// that says the words.
func (s *site) want(r reply, status int, words ...string) reply {
	s.t.Helper()
	if r.status != status {
		s.t.Fatalf("status %d; want %d\n%s", r.status, status, r.body)
	}
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			s.t.Errorf("%s\ndoes not say %q", r.body, word)
		}
	}
	if status >= 400 {
		var p struct {
			Status int
			Title  string
			Detail string
		}
		if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
			s.t.Errorf("status %d comes as %s", status, kind)
		}
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Status != status || p.Title == "" || len(p.Detail) < 10 {
			s.t.Errorf("%s is no problem of status %d: %v", r.body, status, err)
		}
	}
	return r
}

// into decodes a reply.
func into[T any](s *site, r reply) T {
	s.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		s.t.Fatalf("%s: %v", r.body, err)
	}
	return v
}

type spaceReply struct {
	ID          string
	Title       string
	Phase       string
	Rung        int
	StartsAt    *time.Time `json:"starts_at"`
	Rescheduled bool
	EndedAt     *time.Time `json:"ended_at"`
	Tally       *space.Tally
	Links       struct {
		Listen, Studio, Ogg, MP4, Pulse, WHIP, WHEP string
		Recording                                   *struct{ Ogg, MP4, JSON string }
	}
}

// announce makes a space and returns its id.
func (s *site) announce(title string) string {
	s.t.Helper()
	body, _ := json.Marshal(map[string]string{"title": title})
	return into[spaceReply](s, s.want(s.api("POST", "/spaces", string(body), asOwner), 201)).ID
}

// bring takes a space into a phase, by the API.
func (s *site) bring(id string, phase space.Phase) {
	s.t.Helper()
	steps := map[space.Phase][]string{
		space.Open: {"open"}, space.Live: {"start"}, space.Ended: {"start", "end"}, space.Cancelled: {"cancel"},
	}[phase]
	for _, step := range steps {
		body := ""
		if step == "start" {
			body = `{"anyway":true}`
		}
		s.want(s.api("POST", "/spaces/"+id+"/"+step, body, asOwner), 200)
	}
}

type inviteReply struct{ Seat, Role, Name, URL, Token string }

// guest makes an invite and returns it with the header that speaks for it.
func (s *site) guest(id, role string) (inviteReply, string) {
	s.t.Helper()
	in := into[inviteReply](s, s.want(s.api("POST", "/spaces/"+id+"/invites", `{"role":"`+role+`","name":"Ana"}`, asOwner), 201))
	return in, "Authorization: Bearer " + in.Token
}
