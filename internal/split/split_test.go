package split_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"hustings/internal/split"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T) *split.Split {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := split.New(l)
	t.Cleanup(func() { s.Close() })
	return s
}

func dial(t *testing.T, s *split.Split) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// serve answers HTTP on the listener and counts requests.
func serve(t *testing.T, l net.Listener) *atomic.Int32 {
	t.Helper()
	var count atomic.Int32
	server := &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			count.Add(1)
			_, _ = io.WriteString(rw, "page")
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return &count
}

// stun is a STUN binding request of 20 bytes behind its length (RFC 4571).
var stun = append([]byte{0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	type result struct {
		conn net.Conn
		err  error
	}
	got := make(chan result, 1)
	go func() { conn, err := l.Accept(); got <- result{conn, err} }()
	select {
	case r := <-got:
		if r.err != nil {
			t.Fatal(r.err)
		}
		t.Cleanup(func() { r.conn.Close() })
		return r.conn
	case <-time.After(10 * time.Second):
		t.Fatal("no ICE connection came")
		return nil
	}
}

func TestBothOnOnePort(t *testing.T) {
	s := listen(t)
	requests := serve(t, s)
	for _, first := range [][]byte{stun, append([]byte{1, 0}, bytes.Repeat([]byte{7}, 256)...)} {
		client := dial(t, s)
		if _, err := client.Write(first); err != nil {
			t.Fatal(err)
		}
		ice := accept(t, s.ICE())
		got := make([]byte, len(first))
		if _, err := io.ReadFull(ice, got); err != nil || !bytes.Equal(got, first) {
			t.Errorf("ICE read %x, %v; want %x", got, err, first)
		}
		if ice.RemoteAddr().String() != client.LocalAddr().String() || ice.LocalAddr().String() != s.Addr().String() {
			t.Errorf("addresses: %v to %v", ice.RemoteAddr(), ice.LocalAddr())
		}
		if _, ok := ice.RemoteAddr().(*net.TCPAddr); !ok {
			t.Errorf("remote address is a %T", ice.RemoteAddr())
		}
		for _, way := range []struct{ from, to net.Conn }{{ice, client}, {client, ice}} {
			if _, err := way.from.Write([]byte("more")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way.to, got[:4]); err != nil || string(got[:4]) != "more" {
				t.Errorf("later: %q, %v", got[:4], err)
			}
		}
	}
	resp, err := http.Get("http://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if string(body) != "page" || requests.Load() != 1 {
		t.Errorf("HTTP: %q, %d requests", body, requests.Load())
	}
}

func TestUnderTLS(t *testing.T) {
	s := listen(t)
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	serve(t, tls.NewListener(s, &tls.Config{Certificates: certified.TLS.Certificates}))

	resp, err := certified.Client().Get("https://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	certified.Client().CloseIdleConnections()
	if string(body) != "page" {
		t.Errorf("HTTPS: %q", body)
	}
	client := dial(t, s)
	if _, err := client.Write(stun); err != nil {
		t.Fatal(err)
	}
	ice := accept(t, s.ICE())
	got := make([]byte, len(stun))
	if _, err := io.ReadFull(ice, got); err != nil || !bytes.Equal(got, stun) {
		t.Errorf("ICE read %x, %v", got, err)
	}
}

// TestFirstByteAlone lets the two bytes of the length come one by one, and the
// reader read one by one.
func TestFirstByteAlone(t *testing.T) {
	s := listen(t)
	serve(t, s)
	client := dial(t, s)
	if _, err := client.Write(stun[:1]); err != nil {
		t.Fatal(err)
	}
	ice := accept(t, s.ICE())
	if _, err := client.Write(stun[1:]); err != nil {
		t.Fatal(err)
	}
	for i, want := range stun {
		var one [1]byte
		if n, err := ice.Read(one[:]); n != 1 || err != nil || one[0] != want {
			t.Fatalf("byte %d: %x, %v; want %x", i, one, err, want)
		}
	}
}

// TestWriteToGoesThroughRead copies in the way that would go around Read.
func TestWriteToGoesThroughRead(t *testing.T) {
	s := listen(t)
	for _, c := range []struct{ sent, seen string }{{"GET /", "GET /"}, {"\x00\x14stun", ""}} {
		client := dial(t, s)
		conn, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(client, c.sent); err != nil {
			t.Fatal(err)
		}
		if err := client.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := io.Copy(&got, conn); err != nil || got.String() != c.seen {
			t.Errorf("HTTP's end of %q read %q, %v", c.sent, &got, err)
		}
		if c.seen == "" {
			got.Reset()
			if _, err := io.Copy(&got, accept(t, s.ICE())); err != nil || got.String() != c.sent {
				t.Errorf("ICE's end of %q read %q, %v", c.sent, &got, err)
			}
		}
		conn.Close()
	}
}

// TestDeadlinesStayBehind gives away a connection under a deadline, and lets that pass.
func TestDeadlinesStayBehind(t *testing.T) {
	s := listen(t)
	client := dial(t, s)
	conn, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(stun); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(200 * time.Millisecond)
	if err := conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 100)); err != io.EOF {
		t.Fatalf("HTTP's end read: %v; want EOF", err)
	}
	ice := accept(t, s.ICE())
	if _, err := io.ReadFull(ice, make([]byte, len(stun))); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(deadline) + 20*time.Millisecond)
	if _, err := ice.Write([]byte("late")); err != nil {
		t.Errorf("write behind the deadline: %v", err)
	}
	if _, err := client.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(ice, got); err != nil || string(got) != "late" {
		t.Errorf("read behind the deadline: %q, %v", got, err)
	}
}

// TestGivenAwayIsLeftAlone does to HTTP's end all that net/http may do after it was
// told that the connection ended.
func TestGivenAwayIsLeftAlone(t *testing.T) {
	s := listen(t)
	client := dial(t, s)
	conn, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(stun); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 100)); n != 0 || err != io.EOF {
		t.Fatalf("HTTP's end read %d bytes, %v; want EOF", n, err)
	}
	ice := accept(t, s.ICE())
	past := time.Unix(1, 0)
	for name, f := range map[string]func() error{
		"deadline": func() error { return conn.SetDeadline(past) }, "read deadline": func() error { return conn.SetReadDeadline(past) },
		"write deadline": func() error { return conn.SetWriteDeadline(past) },
		"close write":    func() error { return conn.(interface{ CloseWrite() error }).CloseWrite() },
		"close":          conn.Close,
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := conn.Write([]byte("HTTP/1.1 400 Bad Request")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("HTTP's end wrote: %v", err)
	}
	if _, err := ice.Write([]byte("fine")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "fine" {
		t.Errorf("the client read %q, %v", got, err)
	}
}

func TestNobodyTakesICE(t *testing.T) {
	s := listen(t)
	serve(t, s)
	if err := s.ICE().Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ICE().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	client := dial(t, s)
	if _, err := client.Write(stun); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was left open")
	}
	// HTTP goes on.
	resp, err := http.Get("http://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// TestTooManyICE opens more than wait: the rest is closed, and HTTP goes on.
func TestTooManyICE(t *testing.T) {
	s := listen(t)
	serve(t, s)
	clients := make([]net.Conn, 80)
	for i := range clients {
		clients[i] = dial(t, s)
		if _, err := clients[i].Write(stun); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan struct{}, len(clients))
	for _, c := range clients {
		go func() {
			if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, net.ErrClosed) {
				closed <- struct{}{}
			}
		}()
	}
	for range len(clients) - 64 {
		<-closed
	}
	resp, err := http.Get("http://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := s.Close(); err != nil { // closes those that wait
		t.Error(err)
	}
	for range 64 {
		<-closed
	}
}

// TestDivert has somebody else send what TLS encrypts, over a duplicate of the
// descriptor, while this end does nothing any more.
func TestDivert(t *testing.T) {
	s := listen(t)
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	raw := dial(t, s)
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	said := make(chan error, 1)
	go func() { _, err := io.WriteString(client, "GET /"); said <- err }()
	conn, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server := tls.Server(conn, &tls.Config{Certificates: certified.TLS.Certificates})
	if _, err := io.ReadFull(server, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	file, err := conn.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).File() // a duplicate
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var ciphertext bytes.Buffer
	diverted := conn.(interface{ Divert(io.Writer) error })
	if err := diverted.Divert(&ciphertext); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(server, "the programme"); err != nil {
		t.Fatal(err)
	}
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	for name, f := range map[string]func() error{
		"close": conn.Close, "deadline": func() error { return conn.SetDeadline(time.Unix(1, 0)) },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if bytes.Contains(ciphertext.Bytes(), []byte("programme")) || ciphertext.Len() < len("the programme")+20 {
		t.Errorf("diverted: %q", ciphertext.Bytes())
	}
	if _, err := file.Write(ciphertext.Bytes()); err != nil {
		t.Fatal(err)
	}
	file.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "the programme" {
		t.Errorf("the client read %q, %v", got, err)
	}
	if err := diverted.Divert(&ciphertext); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Divert again: %v", err)
	}
}
