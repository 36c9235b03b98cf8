package delivery

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// eventsAtOnce is how many sockets are reported in one look.
const eventsAtOnce = 256

// poller waits for the sockets of a loop. Its epoll descriptor stands in that of the
// Go runtime: a loop that waits is a parked goroutine like any other, keeps no
// thread and no processor from the rest of the program, and wakes up as fast.
type poller struct {
	fd     int // epoll
	file   *os.File
	raw    syscall.RawConn
	waker  int // eventfd: others wake the loop by it
	woken  atomic.Bool
	events [eventsAtOnce]unix.EpollEvent
	n      int // events that nobody has seen yet
	look   func(fd uintptr) bool
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or Go would not wait for it
		unix.Close(fd)
		return nil, err
	}
	p := &poller{fd: fd, waker: -1, file: os.NewFile(uintptr(fd), "epoll")}
	if err := p.open(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) open() (err error) {
	if p.waker, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if err := p.control(unix.EPOLL_CTL_ADD, p.waker, unix.EPOLLIN); err != nil {
		return err
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return err
	}
	p.look = func(uintptr) bool {
		p.poll()
		return p.n > 0
	}
	return p.file.SetReadDeadline(time.Time{}) // refused if Go can't wait for it
}

func (p *poller) close() {
	if p.waker >= 0 {
		unix.Close(p.waker)
	}
	_ = p.file.Close() // and fd
}

func (p *poller) control(op, fd int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)}
	if err := unix.EpollCtl(p.fd, op, fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// add watches a socket for room and for its end, edge-triggered: once for as long as
// it lives. A socket that takes all it is given never reports.
func (p *poller) add(fd int) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// hearOut watches a socket for what it still says behind our end.
func (p *poller) hearOut(fd int) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
}

// remove must come before the descriptor is closed: a child process that is just
// being started may hold a copy of it, for which epoll would go on reporting.
func (p *poller) remove(fd int) { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0) }

// ready returns the events that ended the last wait, or else those that are there now.
// They are told once.
func (p *poller) ready() []unix.EpollEvent {
	if p.n == 0 {
		p.poll()
	}
	n := p.n
	p.n = 0
	return p.events[:n]
}

func (p *poller) poll() {
	n, err := unix.EpollWait(p.fd, p.events[:], 0)
	if err != nil { // EINTR; nothing else can happen to a descriptor that is ours
		n = 0
	}
	p.n = n
}

// wait waits for an event, a wake, or until a time (zero: for ever), whichever is first.
func (p *poller) wait(until time.Time) error {
	if err := p.file.SetReadDeadline(until); err != nil {
		return err
	}
	if err := p.raw.Read(p.look); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// wake ends a wait, now or the next one. Anybody may call it until close.
func (p *poller) wake() {
	if p.woken.Swap(true) {
		return
	}
	one := [8]byte{1} // a number in the machine's order: any will do that is not 0
	_, _ = unix.Write(p.waker, one[:])
}

// awake takes back the wake that was reported. What others want must be looked at
// behind this, not before: who comes while it reads adds nothing to the descriptor and
// is seen then, and who comes after it counts again. (The other way round, a wake
// between the two would be read away and all later ones held to be on their way.)
func (p *poller) awake() {
	var n [8]byte
	_, _ = unix.Read(p.waker, n[:])
	p.woken.Store(false)
}
