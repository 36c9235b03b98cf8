package bus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hustings/internal/bus"
)

const secret = "correct-horse-battery"

// core runs a bus that takes edges.
func core(t *testing.T, change ...func(*bus.Options)) *bus.Bus {
	t.Helper()
	o := bus.Options{Name: "core", Listen: "127.0.0.1:0", Secret: secret}
	for _, f := range change {
		f(&o)
	}
	return start(t, o)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s still not: %s", what)
		}
	}
}

func TestAnEdgeHearsAndAsksButNeverSpeaksForTheStage(t *testing.T) {
	c := core(t)
	var text syncBuffer
	e := start(t, bus.Options{
		Name: "edge", URL: bus.JoinURL(c.Address(), secret, false), Logger: slog.New(slog.NewTextHandler(&text, nil)),
	})
	heard := subscribe(t, e, "hustings.block.*")
	blocks, tallies := subscribe(t, c, "hustings.block.*"), subscribe(t, c, "hustings.tally.*")
	stop, err := c.Handle("hustings.snapshot.*", func(string, []byte) ([]byte, error) { return []byte("snapshot"), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()

	if err := c.Publish("hustings.block.town-hall", []byte("said")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, heard); got != "hustings.block.town-hall said" {
		t.Errorf("the edge heard %q", got)
	}
	receive(t, blocks)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if got, err := e.Request(ctx, "hustings.snapshot.town-hall", nil); err != nil || string(got) != "snapshot" {
		t.Errorf("the edge asked and got %q, %v", got, err)
	}

	for _, subject := range []string{"hustings.block.town-hall", "hustings.space.town-hall", "hustings.edges", "hustings.tally.town-hall"} {
		if err := e.Publish(subject, []byte("forged")); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, tallies); got != "hustings.tally.town-hall forged" { // it came last
		t.Errorf("the core heard %q", got)
	}
	if len(blocks) != 0 || len(heard) != 0 {
		t.Error("a block of an edge reached somebody")
	}
	until(t, "the edge's log tells of it", func() bool { return strings.Contains(text.String(), "ermissions") })

	// It can't take the place of those who answer, either.
	for _, subject := range []string{"hustings.snapshot.*", "hustings.tally.*", "_INBOX.>"} {
		forged := subscribe(t, e, subject)
		if got, err := c.Request(ctx, "hustings.snapshot.town-hall", nil); err != nil || string(got) != "snapshot" || len(forged) != 0 {
			t.Errorf("with an edge on %s: %q, %v, and it heard %d", subject, got, err, len(forged))
		}
	}
}

// TestAnAnswerGoesToNobodyElse: an edge may name where its answer is to go, and an
// answer of the core has the core's own rights.
func TestAnAnswerGoesToNobodyElse(t *testing.T) {
	c := core(t)
	heard := subscribe(t, c, "hustings.edges")
	asked := make(chan string, 10)
	stop, err := c.Handle("hustings.ask.*", func(_ string, request []byte) ([]byte, error) {
		asked <- string(request)
		return nil, errors.New("no such thing") // which is an empty message where it arrives
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	edge, err := nats.Connect(bus.JoinURL(c.Address(), secret, false))
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
	if err := edge.PublishRequest("hustings.ask.core", "hustings.edges", []byte("misled")); err != nil {
		t.Fatal(err)
	}
	if err := edge.FlushTimeout(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish("hustings.ask.core", []byte("not asked")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := c.Request(ctx, "hustings.ask.core", []byte("asked")); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("asked: %v", err)
	}
	if err := c.Publish("hustings.edges", []byte("last")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, heard); got != "hustings.edges last" {
		t.Errorf("the core was made to say %q", got)
	}
	if got := receive(t, asked); got != "asked" {
		t.Errorf("%q was answered", got)
	}
}

func TestAnEdgeCanNotSubscribeWithoutEnd(t *testing.T) {
	c := core(t)
	told := make(chan error, 1)
	edge, err := nats.Connect(bus.JoinURL(c.Address(), secret, false), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case told <- err:
		default:
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
	for i := range 1100 {
		if _, err := edge.Subscribe(fmt.Sprintf("hustings.block.space-%d", i), func(*nats.Msg) {}); err != nil {
			break // the connection may be closed by then
		}
	}
	if err := receive(t, told); !errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		t.Errorf("told %v", err)
	}
}

func TestAnEdgeWithAnotherSecretIsRefused(t *testing.T) {
	c := core(t)
	b, err := bus.New(bus.Options{URL: bus.JoinURL(c.Address(), "another-secret-altogether", false)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); !errors.Is(err, bus.ErrRefused) || strings.Contains(err.Error(), "another") {
		t.Errorf("it ended with %v, want ErrRefused", err)
	}
}

func TestTheBusIsLostAndComesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for connections to be tried again")
	}
	c, stop := startUntil(t, bus.Options{Listen: "127.0.0.1:0", Secret: secret})
	address := c.Address()
	var text syncBuffer
	e := start(t, bus.Options{URL: bus.JoinURL(address, secret, false), Logger: slog.New(slog.NewTextHandler(&text, nil))})
	heard := subscribe(t, e, "hustings.block.*")
	if !e.Connected() || e.Reconnects() != 0 {
		t.Errorf("at first: connected %v, %d times again", e.Connected(), e.Reconnects())
	}
	stop()
	until(t, "it is lost", func() bool { return !e.Connected() })
	until(t, "who asks is told so", func() bool { // one of its two connections may learn of it later
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := e.Request(ctx, "hustings.ask.core", nil)
		return errors.Is(err, bus.ErrLost)
	})
	// The one that takes its place does not know the edge at first.
	_, stop = startUntil(t, bus.Options{Listen: address, Secret: "it-was-set-up-anew"})
	until(t, "it was refused", func() bool { return strings.Contains(text.String(), "does not know") })
	stop()
	c = start(t, bus.Options{Listen: address, Secret: secret})
	until(t, "it is back", func() bool { return e.Connected() && e.Reconnects() > 0 })
	until(t, "a message comes", func() bool {
		if err := c.Publish("hustings.block.x", nil); err != nil {
			t.Fatal(err)
		}
		return len(heard) > 0
	})
}

// startUntil is start with an end before the test's.
func startUntil(t *testing.T, o bus.Options) (b *bus.Bus, stop func()) {
	t.Helper()
	b, err := bus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-ended:
		t.Fatalf("the bus ended with %v", err)
	}
	return b, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the bus ended with %v", err)
		}
	}
}

// TestTheBusSpeaksTLS trusts the certificate as a client of ours does: by the
// system's roots, which SSL_CERT_FILE names.
func TestTheBusSpeaksTLS(t *testing.T) {
	conf, file := certificate(t)
	t.Setenv("SSL_CERT_FILE", file)
	c := core(t, func(o *bus.Options) { o.TLS = conf })
	e := start(t, bus.Options{URL: bus.JoinURL(c.Address(), secret, true)})
	heard := subscribe(t, e, "hustings.block.*")
	if err := c.Publish("hustings.block.x", []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, heard); got != "hustings.block.x sealed" {
		t.Errorf("heard %q", got)
	}
}

// certificate makes one for 127.0.0.1, and the file of those to trust.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, file
}

func TestABusThatCanNotTakeEdgesSaysWhy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		o    bus.Options
		want string
	}{
		{bus.Options{Listen: "127.0.0.1:0"}, "could be guessed"},
		{bus.Options{Listen: "127.0.0.1:0", Secret: "short"}, "could be guessed"},
		{bus.Options{Listen: "nonsense", Secret: secret}, "can't listen"},
		{bus.Options{Listen: "127.0.0.1:0", Secret: secret, URL: "nats://me:secret@127.0.0.1"}, "cluster itself"},
		{bus.Options{Listen: taken.Addr().String(), Secret: secret}, "in use"},
	} {
		b, err := bus.New(c.o)
		if err == nil {
			err = b.Run(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}
