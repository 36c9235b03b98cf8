//go:build linux

package bench

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// crowdOrder is one of: join, leave, take, story.
type crowdOrder struct {
	Do string

	// join: Count listeners, Rate a second, each from an address of its own.
	Addr, Path string
	TLS        bool
	Count      int
	Rate       float64
	Patience   time.Duration // to wait for the sound of each
	Follow     bool          // read all, as a player would; else throw away unread what comes after the first sound
}

// spread is how long something took, over all listeners.
type spread struct{ P50, P99, Max time.Duration }

type crowdAnswer struct {
	Error string

	// join
	Heard                 int
	Never                 int           // no sound within Patience
	Refused               int           // of those: the connection ended, or it was told no
	Took                  time.Duration // until the last one had begun
	FirstByte, FirstSound spread

	// take: since the beginning
	Bytes int64
	Here  int

	// story: since each one's first sound
	Silence time.Duration // the longest time without a byte
	Gap     time.Duration // the longest time that a player had nothing to play
	Gapped  int           // listeners who had one
	Missed  time.Duration // the most that one listener was not sent
	Lost    int           // connections that ended
}

// crowd is many listeners in one process. All connections are of one epoll; those
// behind TLS have a goroutine each until their first sound, and to the end if they
// follow.
type crowd struct {
	poll    int
	events  []unix.EpollEvent
	scratch []byte
	byFD    []*hearer
	all     []*hearer
	taken   chan *hearer // behind TLS, and ready to be thrown away unread
	bytes   atomic.Int64
	here    atomic.Int64
}

// hearer is one listener.
type hearer struct {
	mu         sync.Mutex // for those behind TLS that follow: everything below
	fd         int
	order      *crowdOrder
	asked      bool // the request is out
	ear        *ear // nil when what comes is thrown away
	began      time.Time
	firstByte  time.Time
	firstSound time.Time
	last       time.Time // that something came
	silence    time.Duration
	gone       bool
	trouble    error
}

func startCrowd(t testing.TB) (*part, error) { return startPart(t, "crowd") }

func playCrowd(orders *json.Decoder, answers *json.Encoder) error {
	debug.SetGCPercent(400) // there is memory enough, and what it takes is not measured
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	c := &crowd{
		poll: poll, events: make([]unix.EpollEvent, 256), scratch: make([]byte, 256<<10),
		byFD: make([]*hearer, 1<<16), taken: make(chan *hearer, 1<<16),
	}
	next, over := make(chan crowdOrder), make(chan error, 1)
	go func() {
		for {
			var order crowdOrder
			if err := orders.Decode(&order); err != nil {
				over <- err
				return
			}
			next <- order
		}
	}()
	for {
		select {
		case err := <-over:
			return err
		case order := <-next:
			if err := answers.Encode(c.obey(&order)); err != nil {
				return err
			}
		default:
			c.turn(10 * time.Millisecond)
		}
	}
}

func (c *crowd) obey(order *crowdOrder) crowdAnswer {
	switch order.Do {
	case "join":
		return c.join(order)
	case "leave":
		c.leave(order.Count)
		return crowdAnswer{}
	case "take":
		return crowdAnswer{Bytes: c.bytes.Load(), Here: int(c.here.Load())}
	case "story":
		return c.story()
	}
	return crowdAnswer{Error: "no such order: " + order.Do}
}

// join brings listeners in at the rate that was ordered, or as near as the machine
// can, and waits until all have sound or have lost patience.
func (c *crowd) join(order *crowdOrder) crowdAnswer {
	to, err := netip.ParseAddrPort(order.Addr)
	if err != nil {
		return crowdAnswer{Error: err.Error()}
	}
	began := time.Now()
	joiners := make([]*hearer, 0, order.Count)
	var took time.Duration
	for !c.settled(joiners, order) {
		due := min(order.Count, 1+int(time.Since(began).Seconds()*order.Rate))
		for len(joiners) < due {
			h := &hearer{fd: -1, order: order, ear: &ear{once: !order.Follow}, began: time.Now()}
			joiners = append(joiners, h)
			c.begin(h, len(c.all)+len(joiners), to)
			took = time.Since(began)
			if len(joiners)%16 == 0 {
				c.turn(0) // who has joined is not to wait for those who come
			}
		}
		c.turn(time.Millisecond)
	}
	answer := summarize(joiners, order, took)
	for _, h := range joiners {
		if !order.Follow && !h.heard() {
			c.end(h, nil)
			continue
		}
		c.all = append(c.all, h)
	}
	return answer
}

// settled says whether there is nothing more to wait for.
func (c *crowd) settled(joiners []*hearer, order *crowdOrder) bool {
	if len(joiners) < order.Count {
		return false
	}
	if time.Since(joiners[len(joiners)-1].began) > order.Patience {
		return true
	}
	for _, h := range joiners {
		h.mu.Lock()
		waiting := h.firstSound.IsZero() && !h.gone
		h.mu.Unlock()
		if waiting {
			return false
		}
	}
	return true
}

func summarize(joiners []*hearer, order *crowdOrder, took time.Duration) crowdAnswer {
	answer := crowdAnswer{Took: took}
	var firstByte, firstSound []time.Duration
	for _, h := range joiners {
		h.mu.Lock()
		if !h.firstByte.IsZero() {
			firstByte = append(firstByte, h.firstByte.Sub(h.began))
		}
		switch sound := h.firstSound.Sub(h.began); {
		case !h.firstSound.IsZero() && sound <= order.Patience:
			firstSound = append(firstSound, sound)
		default:
			answer.Never++
			if h.gone {
				answer.Refused++
			}
			if h.trouble != nil {
				answer.Error = h.trouble.Error()
			}
		}
		h.mu.Unlock()
	}
	answer.Heard = len(firstSound)
	answer.FirstByte, answer.FirstSound = spreadOf(firstByte), spreadOf(firstSound)
	return answer
}

func spreadOf(all []time.Duration) spread {
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	return spread{P50: all[len(all)/2], P99: all[len(all)*99/100], Max: all[len(all)-1]}
}

// leave makes listeners go, chosen at random, so that those who stay are as evenly
// spread as all were.
func (c *crowd) leave(count int) {
	rand.Shuffle(len(c.all), func(i, j int) { c.all[i], c.all[j] = c.all[j], c.all[i] })
	for _, h := range c.all[:min(count, len(c.all))] {
		if h.fd >= 0 { // by a reset, which a server sees at once
			unix.SetsockoptLinger(h.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		c.end(h, nil)
	}
	c.all = c.all[min(count, len(c.all)):]
}

func (c *crowd) story() crowdAnswer {
	var answer crowdAnswer
	now := time.Now()
	for _, h := range c.all {
		h.mu.Lock()
		if h.gone {
			answer.Lost++
		} else if !h.firstSound.IsZero() {
			answer.Here++
			answer.Silence = max(answer.Silence, h.silence, now.Sub(h.last))
			if h.ear != nil {
				h.ear.wait(now)
				answer.Gap = max(answer.Gap, h.ear.Gap)
				answer.Missed = max(answer.Missed, h.ear.Missed)
				if h.ear.Gaps > 0 {
					answer.Gapped++
				}
			}
		}
		h.mu.Unlock()
	}
	return answer
}

// from returns the address of one of many listeners; 62,500 are different.
func from(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, byte(1 + i%250), byte(1 + i/250%250)})
}

// begin connects one listener.
func (c *crowd) begin(h *hearer, i int, to netip.AddrPort) {
	c.here.Add(1)
	if h.order.TLS {
		go c.listenTLS(h, from(i), to)
		return
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		c.end(h, fmt.Errorf("socket: %w", err))
		return
	}
	h.fd, c.byFD[fd] = fd, h
	if err := bindAnyPort(fd, from(i)); err != nil {
		c.end(h, err)
		return
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err != nil && err != unix.EINPROGRESS {
		c.end(h, fmt.Errorf("connect: %w", err))
		return
	}
	c.watch(h, unix.EPOLL_CTL_ADD, unix.EPOLLOUT)
}

// bindAnyPort binds to an address and leaves the port to connect(2): so one address
// has as many ports as there are for each server.
func bindAnyPort(fd int, addr netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return fmt.Errorf("IP_BIND_ADDRESS_NO_PORT: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4()}); err != nil {
		return fmt.Errorf("bind to %v: %w", addr, err)
	}
	return nil
}

func (c *crowd) watch(h *hearer, operation int, events uint32) {
	if err := unix.EpollCtl(c.poll, operation, h.fd, &unix.EpollEvent{Events: events, Fd: int32(h.fd)}); err != nil {
		c.end(h, fmt.Errorf("epoll: %w", err))
	}
}

// end lets a listener go; err says why, nil that it was told to.
func (c *crowd) end(h *hearer, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return
	}
	h.gone, h.trouble = true, err
	c.here.Add(-1)
	if h.fd >= 0 {
		c.byFD[h.fd] = nil
		unix.Close(h.fd)
		h.fd = -1
	}
}

// turn takes what has come, and waits for it no longer than wait.
func (c *crowd) turn(wait time.Duration) {
	for more := true; more; {
		select {
		case h := <-c.taken:
			c.adopt(h)
		default:
			more = false
		}
	}
	n, err := unix.EpollWait(c.poll, c.events, int(wait.Milliseconds()))
	if err != nil {
		return // EINTR: the next turn is soon
	}
	now := time.Now()
	for _, event := range c.events[:n] {
		if h := c.byFD[event.Fd]; h != nil {
			c.take(h, now)
		}
	}
}

// adopt takes over a connection that a goroutine has brought so far.
func (c *crowd) adopt(h *hearer) {
	if h.gone { // patience was over before
		unix.Close(h.fd)
		return
	}
	c.byFD[h.fd] = h
	c.watch(h, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
}

// take reads once from a listener's socket.
func (c *crowd) take(h *hearer, now time.Time) {
	if !h.asked {
		c.ask(h)
		return
	}
	flags := uintptr(unix.MSG_DONTWAIT)
	if h.ear == nil {
		flags |= unix.MSG_TRUNC // for TCP: let it fall
	}
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(h.fd),
		uintptr(unsafe.Pointer(&c.scratch[0])), uintptr(len(c.scratch)), flags, 0, 0)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0:
		c.end(h, errno)
		return
	case r == 0:
		c.end(h, fmt.Errorf("the connection was closed"))
		return
	}
	c.bytes.Add(int64(r))
	if err := h.take(c.scratch[:r], now); err != nil {
		c.end(h, err)
		return
	}
	if !h.order.Follow && !h.firstSound.IsZero() {
		h.ear = nil
	}
}

// ask sends the request when the connection is made.
func (c *crowd) ask(h *hearer) {
	if code, err := unix.GetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		c.end(h, fmt.Errorf("connect: %w", unix.Errno(code)))
		return
	}
	if _, err := unix.Write(h.fd, request(h.order)); err != nil {
		c.end(h, fmt.Errorf("the request: %w", err))
		return
	}
	h.asked = true
	c.watch(h, unix.EPOLL_CTL_MOD, unix.EPOLLIN)
}

func request(order *crowdOrder) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", order.Path, order.Addr)
}

// take notes what came to a listener.
func (h *hearer) take(data []byte, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.firstByte.IsZero() {
		h.firstByte = now
	}
	if !h.firstSound.IsZero() {
		h.silence = max(h.silence, now.Sub(h.last))
	}
	h.last = now
	if h.ear == nil {
		return nil
	}
	if err := h.ear.hear(data, now); err != nil {
		return err
	}
	if h.firstSound.IsZero() && h.ear.sounding() {
		h.firstSound = now
	}
	return nil
}

// listenTLS is a listener behind TLS. Its ciphertext goes the way of all others when
// it need not be read.
func (c *crowd) listenTLS(h *hearer, source netip.Addr, to netip.AddrPort) {
	conn, err := dialTLS(h.order, source, to)
	if err != nil {
		c.end(h, err)
		return
	}
	defer conn.Close()
	buffer := make([]byte, 4<<10)
	for {
		n, err := conn.Read(buffer)
		c.bytes.Add(int64(n))
		if err == nil {
			err = h.take(buffer[:n], time.Now())
		}
		if err != nil {
			c.end(h, err)
			return
		}
		if !h.order.Follow && h.heard() {
			break
		}
	}
	fd, err := duplicate(conn.NetConn().(*net.TCPConn))
	if err != nil {
		c.end(h, fmt.Errorf("taking the connection over: %w", err))
		return
	}
	h.mu.Lock()
	h.fd, h.asked, h.ear = fd, true, nil
	h.mu.Unlock()
	c.taken <- h
}

// duplicate returns a descriptor of ours for a connection.
func duplicate(conn *net.TCPConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(theirs uintptr) { fd, err = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 3) }); e != nil {
		return -1, e
	}
	return fd, err
}

func (h *hearer) heard() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.firstSound.IsZero()
}

// dialTLS connects and sends the request. The key exchange is X25519 alone: half of
// each handshake is the listeners', on the machine that is measured.
func dialTLS(order *crowdOrder, source netip.Addr, to netip.AddrPort) (*tls.Conn, error) {
	plain, err := net.DialTCP("tcp4", &net.TCPAddr{IP: source.AsSlice()}, net.TCPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, &tls.Config{
		InsecureSkipVerify: true, // a certificate made for this run
		CurvePreferences:   []tls.CurveID{tls.X25519},
		NextProtos:         []string{"http/1.1"},
		MinVersion:         tls.VersionTLS13,
	})
	if _, err := conn.Write(request(order)); err != nil {
		plain.Close()
		return nil, err
	}
	return conn, nil
}
