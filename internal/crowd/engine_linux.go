package crowd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// engine carries bytes by one epoll instance and one goroutine that owns all sockets.
// Each is registered once, edge-triggered, for all that can happen to it, and is read
// into the one buffer as soon as there is something: a listener costs one recv(2) for
// each delivery and next to nothing else.
type engine struct {
	c       *Crowd
	poll    int
	events  []unix.EpollEvent
	buffer  []byte
	request []byte
	sources []unix.Sockaddr // to connect from
	source  int             // of them, next
	targets map[netip.AddrPort]unix.Sockaddr
	tried   []reasonOf // connections that failed at once
}

type reasonOf struct {
	i    int32
	turn uint32
	why  reason
}

const (
	// readMost is what is read at once: as much as the kernel keeps for a socket,
	// nearly always.
	readMost   = 256 << 10
	eventsMost = 1024
	// beat is how often the loop looks at least apart: what comes within is read in
	// one round, which saves the two processors of a small machine many switches.
	beat = time.Millisecond
)

func newEngine(c *Crowd) (carrier, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot watch connections: %w", err)
	}
	e := &engine{
		c: c, poll: poll, events: make([]unix.EpollEvent, eventsMost), buffer: make([]byte, readMost),
		targets: make(map[netip.AddrPort]unix.Sockaddr),
	}
	for _, source := range c.opts.Sources {
		e.sources = append(e.sources, sockaddr(netip.AddrPortFrom(source, 0)))
	}
	return e, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func (e *engine) secure() bool { return false }

// run is the loop.
func (e *engine) run(ctx context.Context) error {
	defer unix.Close(e.poll)
	nextTick, nextSecond := time.Duration(0), time.Second
	var slept time.Duration // how much later than meant this round began
	for {
		n, err := unix.EpollWait(e.poll, e.events, int(tick/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot wait for connections: %w", err)
		}
		c := e.c
		c.mu.Lock()
		begun := c.time()
		now := begun
		for _, event := range e.events[:max(n, 0)] {
			e.happened(event, now)
			now = c.time()
		}
		c.arrivals(now)
		over := false
		if now >= nextTick {
			over = c.tick(ctx, now)
			nextTick = now + tick
		}
		e.giveUp(now)
		if now >= nextSecond {
			c.second(now)
			nextSecond = now + time.Second
		}
		worked := c.time() - begun
		c.meter.Round(worked, slept)
		c.mu.Unlock()
		if over {
			return nil
		}
		slept = 0
		if rest := beat - worked; rest > 0 && n < len(e.events) {
			asleep := time.Now()
			time.Sleep(rest)
			slept = time.Since(asleep) - rest
		}
	}
}

// happened takes an event of a socket.
func (e *engine) happened(event unix.EpollEvent, now time.Duration) {
	i, turn := event.Fd, uint32(event.Pad)
	l := &e.c.listeners[i]
	if l.turn != turn || l.fd < 0 {
		return // it is of a connection that was given up in this round
	}
	if l.stage == dialing {
		if event.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			e.c.closed(i, now, e.whyNot(int(l.fd)))
			return
		}
		if event.Events&unix.EPOLLOUT == 0 {
			return
		}
		e.speak(i, e.c.connected(i, now, e.request[:0]), now)
	}
	if l.turn == turn && event.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && (l.slow == 0 || l.stage != joined) {
		const last = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
		e.read(i, now, e.buffer, event.Events&last != 0)
	}
}

// read reads what there is. With all set it reads to the end, which has come.
func (e *engine) read(i int32, now time.Duration, buffer []byte, all bool) {
	l := &e.c.listeners[i]
	for turn := l.turn; l.turn == turn; {
		n, err := receive(int(l.fd), buffer)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			e.c.closed(i, now, reset)
			return
		case n == 0:
			e.c.closed(i, now, cut)
			return
		}
		if e.c.data(i, now, buffer[:n]) {
			e.speak(i, e.c.request(i, e.request[:0]), now)
		}
		// Less than the buffer holds was all there is: what comes later is told anew.
		if n < len(buffer) && !all {
			return
		}
		if l.slow > 0 && l.stage == joined {
			return
		}
	}
}

// receive is recv(2) on a socket that never waits, without telling the scheduler.
func receive(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// speak sends a request, which a new connection takes as a whole.
func (e *engine) speak(i int32, request []byte, now time.Duration) {
	e.request = request
	if n, err := unix.Write(int(e.c.listeners[i].fd), request); err != nil || n < len(request) {
		e.c.closed(i, now, reset)
	}
}

func (e *engine) pull(i int32, n int) {
	if l := &e.c.listeners[i]; l.fd >= 0 {
		e.read(i, e.c.time(), e.buffer[:min(max(n, 1), len(e.buffer))], false)
	}
}

// dial begins a connection. What fails at once is told at the end of the round.
func (e *engine) dial(i int32) {
	l := &e.c.listeners[i]
	if why, err := e.connect(i); err != nil {
		e.c.log.Debug("no connection", "reason", err)
		e.hangup(i)
		e.tried = append(e.tried, reasonOf{i, l.turn, why})
	}
}

func (e *engine) connect(i int32) (reason, error) {
	l := &e.c.listeners[i]
	address := e.c.sites.list[l.site].address()
	target := e.targets[address]
	if target == nil {
		target = sockaddr(address)
		e.targets[address] = target
	}
	family := unix.AF_INET6
	if address.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return unreachable, os.NewSyscallError("socket", err)
	}
	l.fd = int32(fd)
	if err := e.bind(fd, address.Addr().Is4()); err != nil {
		return unreachable, err
	}
	if l.slow > 0 { // else the kernel would take a minute of sound ahead
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
	}
	if err := unix.Connect(fd, target); err != nil && err != unix.EINPROGRESS {
		return whyNot(err), os.NewSyscallError("connect", err)
	}
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: i, Pad: int32(l.turn),
	}
	if err := unix.EpollCtl(e.poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return unreachable, os.NewSyscallError("epoll_ctl", err)
	}
	return 0, nil
}

// bind chooses the local address of a socket; the port is chosen at connect, among
// those that are free towards this server.
func (e *engine) bind(fd int, v4 bool) error {
	for range e.sources {
		source := e.sources[e.source%len(e.sources)]
		e.source++
		if _, is4 := source.(*unix.SockaddrInet4); is4 != v4 {
			continue
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // an old kernel has fewer ports
		return os.NewSyscallError("bind", unix.Bind(fd, source))
	}
	return nil
}

func (e *engine) hangup(i int32) {
	if l := &e.c.listeners[i]; l.fd >= 0 {
		unix.Close(int(l.fd)) // and so it is watched no more
		l.fd = -1
	}
}

// giveUp tells of the connections that failed at once.
func (e *engine) giveUp(now time.Duration) {
	tried := e.tried
	e.tried = e.tried[:0]
	for _, t := range tried {
		if e.c.listeners[t.i].turn == t.turn {
			e.c.closed(t.i, now, t.why)
		}
	}
}

// whyNot says why a connection did not come about.
func (e *engine) whyNot(fd int) reason {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unreachable
	}
	return whyNot(unix.Errno(errno))
}

func whyNot(err error) reason {
	if errors.Is(err, unix.ECONNREFUSED) {
		return refused
	}
	return unreachable
}
