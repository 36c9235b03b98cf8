package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"hustings/internal/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a bus for the length of the test.
func start(t *testing.T, o bus.Options) *bus.Bus {
	t.Helper()
	b, err := bus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the bus ended with %v", err)
		}
	})
	select {
	case <-b.Ready():
	case err := <-ended:
		t.Fatalf("the bus ended with %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("the bus is not ready after 10 s")
	}
	return b
}

// subscribe collects the messages to a subject.
func subscribe(t *testing.T, b *bus.Bus, subject string) <-chan string {
	t.Helper()
	got := make(chan string, 10000)
	stop, err := b.Subscribe(subject, func(subject string, data []byte) { got <- subject + " " + string(data) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return got
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 s")
		panic("unreachable")
	}
}

func TestMessagesComeInOrder(t *testing.T) {
	b := start(t, bus.Options{})
	all := subscribe(t, b, "hustings.block.*")
	one := subscribe(t, b, "hustings.block.town-hall")
	for i := range 2000 {
		if err := b.Publish("hustings.block.town-hall", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2000 {
		want := fmt.Sprintf("hustings.block.town-hall %d", i)
		if got := receive(t, all); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if got := receive(t, one); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestASubscriberThatHangsDelaysNobody(t *testing.T) {
	var text syncBuffer
	b := start(t, bus.Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
	release := make(chan struct{})
	stop, err := b.Subscribe("x", func(string, []byte) { <-release })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	defer close(release)
	other := subscribe(t, b, "x")
	data := make([]byte, 100<<10)
	const n = 900 // 90 MB: more than the bus keeps for one that hangs
	for range n {
		for errors.Is(b.Publish("x", data), bus.ErrFull) {
			receive(t, other) // it is the network's speed that counts here, not ours
		}
		select {
		case <-other:
		default:
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(text.String(), "too slow") {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell of the slow subscriber: %s", text.String())
		}
		select {
		case <-other:
		case <-time.After(time.Millisecond):
		}
	}
}

type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestStoppedSubscriptionGetsNothing(t *testing.T) {
	b := start(t, bus.Options{})
	got := make(chan string, 10)
	stop, err := b.Subscribe("x", func(_ string, data []byte) { got <- string(data) })
	if err != nil {
		t.Fatal(err)
	}
	other := subscribe(t, b, "x")
	if err := b.Publish("x", []byte("before")); err != nil {
		t.Fatal(err)
	}
	receive(t, got)
	stop()
	if err := b.Publish("x", []byte("after")); err != nil {
		t.Fatal(err)
	}
	receive(t, other)
	receive(t, other)
	if len(got) != 0 {
		t.Errorf("a stopped subscription got %q", <-got)
	}
}

func TestRequests(t *testing.T) {
	b := start(t, bus.Options{})
	large := bytes.Repeat([]byte("x"), 900<<10)
	answers := map[string]func([]byte) ([]byte, error){
		"echo":   func(q []byte) ([]byte, error) { return q, nil },
		"large":  func([]byte) ([]byte, error) { return large, nil },
		"fail":   func([]byte) ([]byte, error) { return nil, errors.New("no such block") },
		"silent": func([]byte) ([]byte, error) { return nil, nil },
		"empty":  func([]byte) ([]byte, error) { return []byte{}, nil },
	}
	for name, answer := range answers {
		stop, err := b.Handle(name, func(_ string, q []byte) ([]byte, error) { return answer(q) })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := b.Request(ctx, "echo", []byte("hello")); err != nil || string(got) != "hello" {
		t.Errorf("echo: %q, %v", got, err)
	}
	if got, err := b.Request(ctx, "large", nil); err != nil || !bytes.Equal(got, large) {
		t.Errorf("large: %d bytes, %v", len(got), err)
	}
	if got, err := b.Request(ctx, "empty", nil); err != nil || len(got) != 0 {
		t.Errorf("empty: %q, %v", got, err)
	}
	if _, err := b.Request(ctx, "fail", nil); err == nil || !strings.Contains(err.Error(), "no such block") {
		t.Errorf("fail: %v, want what the other side said", err)
	}
	if _, err := b.Request(ctx, "nobody", nil); !errors.Is(err, bus.ErrNoAnswer) {
		t.Errorf("nobody: %v, want ErrNoAnswer", err)
	}
	short, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer stop()
	if _, err := b.Request(short, "silent", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent: %v, want the deadline", err)
	}
	// Of two who handle a subject, one silent, the other's answer counts.
	stopEcho, err := b.Handle("silent", func(_ string, q []byte) ([]byte, error) { return q, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stopEcho()
	if got, err := b.Request(ctx, "silent", []byte("x")); err != nil || string(got) != "x" {
		t.Errorf("one silent, one not: %q, %v", got, err)
	}
}

func TestWhatWasPublishedBeforeTheEndArrives(t *testing.T) {
	b, err := bus.New(bus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	receive(t, b.Ready())
	got := subscribe(t, b, "x")
	const n = 1000
	for range n {
		if err := b.Publish("x", []byte("y")); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := receive(t, ended); err != nil {
		t.Fatal(err)
	}
	for range n {
		receive(t, got)
	}
}

func TestBeforeAndAfter(t *testing.T) {
	b, err := bus.New(bus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if err := b.Publish("x", nil); !errors.Is(err, bus.ErrNotReady) {
			t.Errorf("%s: publish: %v, want ErrNotReady", when, err)
		}
		if _, err := b.Subscribe("x", nil); !errors.Is(err, bus.ErrNotReady) {
			t.Errorf("%s: subscribe: %v, want ErrNotReady", when, err)
		}
		if _, err := b.Request(t.Context(), "x", nil); !errors.Is(err, bus.ErrNotReady) {
			t.Errorf("%s: request: %v, want ErrNotReady", when, err)
		}
	}
	check("before it runs")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	receive(t, b.Ready())
	if err := b.Publish("x", make([]byte, bus.MaxMessage+1)); err == nil {
		t.Error("a message that is too large was taken")
	}
	stop()
	if err := receive(t, ended); err != nil {
		t.Fatal(err)
	}
	check("after it ran")
}

func TestOptionsAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.creds")
	for _, c := range []struct {
		o    bus.Options
		want string // part of the error, "" for none
	}{
		{bus.Options{}, ""},
		{bus.Options{URL: "nats://me:secret@127.0.0.1:4222"}, ""},
		{bus.Options{URL: "nats://me:secret@127.0.0.1:4222, nats://me:secret@127.0.0.2:4222"}, ""},
		{bus.Options{URL: "nats://127.0.0.1:4222"}, "no credentials"},
		{bus.Options{URL: "nats://me:secret@127.0.0.1:4222,nats://127.0.0.2:4222"}, "no credentials"},
		{bus.Options{URL: "http://me:secret@127.0.0.1"}, "must begin with"},
		{bus.Options{URL: "nats://"}, "names no host"},
		{bus.Options{URL: "nats://me:sec ret@[::1"}, "can't be read"},
		{bus.Options{URL: "nats://edge:secret"}, "can't be read"}, // the @ and the host were left out
		{bus.Options{URL: "nats://secret@"}, "names no host"},
		{bus.Options{URL: "http://secret@127.0.0.1"}, "must begin with"},
		{bus.Options{URL: "nats://127.0.0.1", Credentials: file}, "no such file"},
		{bus.Options{Credentials: file}, "no URL"},
	} {
		_, err := bus.New(c.o)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "sec") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.New(bus.Options{URL: "nats://127.0.0.1", Credentials: file}); err != nil {
		t.Errorf("with a credentials file: %v", err)
	}
}

// natsServer runs a NATS server as another process would.
func natsServer(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, Username: "node", Password: "secret", NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready after 10 s")
	}
	return s
}

func TestTwoNodesMeetOnAnOutsideServer(t *testing.T) {
	s := natsServer(t, server.RANDOM_PORT)
	address := "nats://node:secret@" + s.Addr().String()
	one, two := start(t, bus.Options{Name: "one", URL: address}), start(t, bus.Options{Name: "two", URL: address})
	got := subscribe(t, two, "hustings.block.*")
	if err := one.Publish("hustings.block.town-hall", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); m != "hustings.block.town-hall hello" {
		t.Errorf("got %q", m)
	}
}

func TestWrongPasswordEndsTheBusAtOnce(t *testing.T) {
	s := natsServer(t, server.RANDOM_PORT)
	u := url.URL{Scheme: "nats", User: url.UserPassword("node", "wrong"), Host: s.Addr().String()}
	b, err := bus.New(bus.Options{URL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("error %v, want one that does not tell the password", err)
	}
}
