package delivery_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hustings/internal/delivery"
	"hustings/internal/split"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if beCrowd() {
		return
	}
	goleak.VerifyTestMain(m)
}

// kind is a way in which a listener is connected, and so one in which it is served.
type kind struct {
	name   string
	secure bool
	looped bool // by a loop, where there are any
}

var kinds = []kind{
	{"loop", false, true}, {"loop TLS", true, true}, {"goroutine", false, false}, {"goroutine TLS", true, false},
}

// each runs a test for every kind, side by side.
func each(t *testing.T, f func(t *testing.T, k kind)) {
	t.Helper()
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f(t, k)
		})
	}
}

// eachAlone runs a test for every kind, and nothing beside it.
func eachAlone(t *testing.T, f func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { f(t, k) })
	}
}

// hidden is a connection that nobody can look through.
type hidden struct{ net.Conn }

func (h hidden) CloseWrite() error { return h.Conn.(*net.TCPConn).CloseWrite() }

var certificates = sync.OnceValue(func() []tls.Certificate {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS.Certificates
})

// house makes connections.
type house struct {
	t    testing.TB
	port *split.Split
	// window bounds what the clients' systems take ahead of them, in bytes, from the
	// beginning: made smaller later, TCP would become very slow. 0: as it is.
	window int
}

func newHouse(t testing.TB) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, port: split.New(l)}
	t.Cleanup(func() { h.port.Close() })
	return h
}

const request = "GET /live HTTP/1.1\r\n\r\n"

// connect returns both ends of a connection on which a request has been read: ours
// as a web server has it, and the client's with the TCP connection under it.
func (h *house) connect(k kind) (here, there net.Conn, under *net.TCPConn) {
	h.t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if h.window == 0 {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, h.window)
		}), err)
	}}
	there, err := dialer.Dial("tcp", h.port.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	under = there.(*net.TCPConn)
	h.t.Cleanup(func() { under.Close() })
	if here, err = h.port.Accept(); err != nil {
		h.t.Fatal(err)
	}
	if !k.looped {
		here = here.(interface{ NetConn() net.Conn }).NetConn()
		if !k.secure {
			here = hidden{here}
		}
	}
	if k.secure {
		here = tls.Server(here, &tls.Config{Certificates: certificates()})
		there = tls.Client(under, &tls.Config{InsecureSkipVerify: true})
	}
	said := make(chan error, 1)
	go func() {
		_, err := io.WriteString(there, request)
		said <- err
	}()
	got := make([]byte, len(request))
	if _, err := io.ReadFull(here, got); err != nil {
		h.t.Fatal(err)
	}
	if err := <-said; err != nil {
		h.t.Fatal(err)
	}
	return here, there, under
}

// run runs loops for as long as the test.
func run(t testing.TB, o delivery.Options) (d *delivery.Loops, stop func()) {
	t.Helper()
	d, err := delivery.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

// until waits for a condition.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// programme is what the listeners of a test hear: numbered pieces, up to an edge.
type programme struct {
	edge  atomic.Int64
	final atomic.Bool // there is nothing behind the edge
	size  func(n int64) int

	mu     sync.Mutex
	pieces map[int64][]byte
}

func newProgramme(edge int64, size func(n int64) int) *programme {
	p := &programme{size: size, pieces: map[int64][]byte{}}
	p.edge.Store(edge)
	return p
}

func always(size int) func(int64) int { return func(int64) int { return size } }

// pieceHead is how a piece begins: its number and its length with the head.
const pieceHead = 16

func (p *programme) piece(n int64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.pieces[n]
	if b == nil {
		b = make([]byte, max(pieceHead, p.size(n)))
		binary.BigEndian.PutUint64(b, uint64(n))
		binary.BigEndian.PutUint64(b[8:], uint64(len(b)))
		for i := pieceHead; i < len(b); i++ {
			b[i] = byte(i*7 + i>>8 + int(n)*13)
		}
		p.pieces[n] = b
	}
	return b
}

// stream is one listener's way through a programme. It checks that the loops keep
// what they promise to a Stream.
type stream struct {
	*programme
	every time.Duration
	first time.Duration // of the first turn, after the beginning; 0: every

	calls  atomic.Int32 // going on at this moment
	next   int64
	asked  int // pieces returned and not heard of again; -1: none asked for
	begun  bool
	acked  atomic.Int64 // as UnixNano
	acks   atomic.Int32
	stalls atomic.Int32
	turns  atomic.Int32
	why    delivery.Reason
	gone   chan struct{}
	faults chan error
	on     func(now time.Time) // at each turn; may be nil
}

func (p *programme) stream(every time.Duration) *stream {
	return &stream{programme: p, every: every, asked: -1, gone: make(chan struct{}), faults: make(chan error, 100)}
}

func (s *stream) fault(format string, args ...any) {
	select {
	case s.faults <- fmt.Errorf(format, args...):
	default:
	}
}

// alone checks that nobody else calls, and that it is not over.
func (s *stream) alone() func() {
	if s.calls.Add(1) != 1 {
		s.fault("two calls at once")
	}
	select {
	case <-s.gone:
		s.fault("called after Gone")
	default:
	}
	return func() { s.calls.Add(-1) }
}

func (s *stream) Next(now time.Time, stalled bool, pieces [][]byte) ([][]byte, delivery.Turn) {
	defer s.alone()()
	if s.asked >= 0 {
		s.fault("Next without Begun before it")
	}
	if len(pieces) != 0 {
		s.fault("Next with %d pieces already", len(pieces))
	}
	if age := time.Since(now); age < 0 || age > patience {
		s.fault("now is %v ago", age)
	}
	s.turns.Add(1)
	if s.on != nil {
		s.on(now)
	}
	final, edge := s.final.Load(), s.edge.Load()
	if stalled {
		s.stalls.Add(1)
		s.next = max(s.next, edge-1)
	}
	for n := s.next; n < edge; n++ {
		pieces = append(pieces, s.piece(n))
	}
	s.asked = len(pieces)
	wait := s.every
	if !s.begun && s.first > 0 {
		wait = s.first
	}
	s.begun = true
	return pieces, delivery.Turn{At: now.Add(wait), Leave: final}
}

func (s *stream) Begun(n int) {
	defer s.alone()()
	if n < 0 || n > s.asked {
		s.fault("%d of %d pieces begun", n, s.asked)
	}
	s.asked = -1
	s.next += int64(n)
}

func (s *stream) Acked(upTo time.Time) {
	defer s.alone()()
	if upTo.UnixNano() < s.acked.Load() {
		s.fault("acknowledgements go back")
	}
	s.acked.Store(upTo.UnixNano())
	s.acks.Add(1)
}

func (s *stream) Gone(why delivery.Reason) {
	defer s.alone()()
	s.why = why
	close(s.gone)
}

// wait waits until the listener is gone, and checks why.
func (s *stream) wait(t testing.TB, want delivery.Reason) {
	t.Helper()
	select {
	case <-s.gone:
	case <-time.After(patience):
		t.Fatalf("the listener is not gone (%v)", want)
	}
	if s.why != want {
		t.Errorf("the listener is gone: %v, want %v", s.why, want)
	}
	s.sound(t)
}

// sound reports what the loops did wrong.
func (s *stream) sound(t testing.TB) {
	t.Helper()
	for {
		select {
		case err := <-s.faults:
			t.Error(err)
		default:
			return
		}
	}
}

const head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

// hear reads a listener's whole stream and returns the numbers of its pieces. All of
// them must be whole, but for the last where cut is true.
func hear(p *programme, r io.Reader, cut bool) ([]int64, error) {
	got := make([]byte, len(head))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != head {
		return nil, fmt.Errorf("the head is %q: %w", got, err)
	}
	var numbers []int64
	begin := make([]byte, pieceHead)
	for {
		switch _, err := io.ReadFull(r, begin); {
		case errors.Is(err, io.EOF) || cut && err != nil:
			return numbers, nil
		case err != nil:
			return numbers, fmt.Errorf("after %v: %w", last(numbers), err)
		}
		n := int64(binary.BigEndian.Uint64(begin))
		want := p.piece(n)
		if !bytes.Equal(begin, want[:pieceHead]) {
			return numbers, fmt.Errorf("after %v comes no piece: %x", last(numbers), begin)
		}
		body := make([]byte, len(want)-pieceHead)
		if _, err := io.ReadFull(r, body); cut && err != nil {
			return numbers, nil
		} else if err != nil || !bytes.Equal(body, want[pieceHead:]) {
			return numbers, fmt.Errorf("piece %d is damaged: %w", n, err)
		}
		if len(numbers) > 0 && n <= numbers[len(numbers)-1] {
			return numbers, fmt.Errorf("piece %d after %v", n, last(numbers))
		}
		numbers = append(numbers, n)
	}
}

func last(numbers []int64) any {
	if len(numbers) == 0 {
		return "the head"
	}
	return numbers[len(numbers)-1]
}

// heard is what hear returns.
type heard struct {
	numbers []int64
	err     error
}

// listen hears in the background.
func listen(p *programme, r io.Reader) chan heard {
	got := make(chan heard, 1)
	go func() {
		numbers, err := hear(p, r, false)
		got <- heard{numbers, err}
	}()
	return got
}

// all checks that a listener heard every piece from 0 to the last one.
func (h heard) all(t testing.TB, want int64) {
	t.Helper()
	if h.err != nil {
		t.Fatal(h.err)
	}
	if int64(len(h.numbers)) != want || len(h.numbers) > 0 && h.numbers[0] != 0 {
		t.Errorf("heard %d pieces from %v on, want %d from 0", len(h.numbers), h.numbers[:min(1, len(h.numbers))], want)
	}
}

// within returns what comes, in time.
func within[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}
