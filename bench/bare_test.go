//go:build linux

package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"math"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bareOrder starts the bare loop: the yardstick of all deliveries.
type bareOrder struct {
	Track    string
	Interval time.Duration
	Seal     bool // encrypt for each listener, as TLS must: AES-128-GCM in records of 16 kB
}

type bareAnswer struct {
	Addr  string
	Error string `json:",omitempty"`
}

// bareSlots are the slots of an interval that turns are spread over: 5 ms each at
// half a second, 200 ms at 20 s. Each slot costs a waking up.
const bareSlots = 100

// bareLoop does the least that a server can do: it accepts, answers without looking
// at the request, and from then on writes to each socket, each interval, what has
// come since: one thread, one non-blocking write(2) of memory that is ready, turns
// spread evenly over the interval. It closes nothing and times nothing out.
type bareLoop struct {
	track    *track
	interval time.Duration
	slotTime time.Duration
	seal     bool
	listen   int
	gone     int // an epoll that tells who has left
	began    time.Time
	outlets  []outlet
	wheel    [][]int32 // outlets by the slot of their next turn
	slot     int       // the next to be done
	behind   []int32   // whose last write was partial
	scratch  []byte
}

type outlet struct {
	fd     int
	next   int    // page
	rest   []byte // of a partial write
	cipher cipher.AEAD
	nonce  uint64
}

func playBare(orders *json.Decoder, answers *json.Encoder) error {
	var order bareOrder
	if err := orders.Decode(&order); err != nil {
		return err
	}
	b, addr, err := newBareLoop(order)
	answer := bareAnswer{Addr: addr}
	if err != nil {
		answer.Error = err.Error()
	}
	if err := answers.Encode(answer); err != nil || b == nil {
		return err
	}
	over := make(chan error)
	go func() { over <- orders.Decode(&order) }() // there are no more: this is the end
	for {
		select {
		case err := <-over:
			return err
		default:
		}
		if err := b.turn(); err != nil {
			return err
		}
	}
}

func newBareLoop(order bareOrder) (*bareLoop, string, error) {
	t, err := readTrack(order.Track, block)
	if err != nil {
		return nil, "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	b := &bareLoop{
		track: t, interval: order.Interval, slotTime: order.Interval / bareSlots, seal: order.Seal, began: time.Now(),
		wheel: make([][]int32, bareSlots+2),
	}
	if b.gone, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, "", err
	}
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, "", err
	}
	err = raw.Control(func(fd uintptr) { b.listen, _ = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	return b, listener.Addr().String(), err
}

// turn does what is due, and waits until there is more or a joiner comes.
func (b *bareLoop) turn() error {
	for now := time.Since(b.began); time.Duration(b.slot)*b.slotTime <= now; b.slot++ {
		due := b.wheel[b.slot%len(b.wheel)]
		b.wheel[b.slot%len(b.wheel)] = due[:0] // none of them is due again in this very slot
		for _, i := range due {
			if b.outlets[i].fd < 0 {
				continue // it has left
			}
			b.deliver(i)
			b.plan(i, b.slot+bareSlots)
		}
	}
	b.finish()
	if err := b.accept(); err != nil {
		return err
	}
	return b.wait(max(0, time.Duration(b.next())*b.slotTime-time.Since(b.began)))
}

// next returns the next slot in which something is due, or that is a while away.
func (b *bareLoop) next() int {
	if len(b.behind) > 0 {
		return b.slot
	}
	for slot := b.slot; slot < b.slot+20; slot++ {
		if len(b.wheel[slot%len(b.wheel)]) > 0 {
			return slot
		}
	}
	return b.slot + 20
}

// wait waits for a joiner or somebody who leaves, no longer than a while. It is ppoll(2) without the
// ceremony of Go's scheduler: this thread has nobody to make room for.
func (b *bareLoop) wait(while time.Duration) error {
	timeout := unix.NsecToTimespec(int64(while))
	doors := [2]unix.PollFd{{Fd: int32(b.listen), Events: unix.POLLIN}, {Fd: int32(b.gone), Events: unix.POLLIN}}
	_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&doors)), 2, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return errno
	}
	if doors[1].Revents != 0 {
		b.letGo()
	}
	return nil
}

// letGo closes the sockets of those who have left.
func (b *bareLoop) letGo() {
	var events [256]unix.EpollEvent
	n, _ := unix.EpollWait(b.gone, events[:], 0) // whoever is left over comes up again
	for _, event := range events[:max(n, 0)] {
		b.drop(&b.outlets[event.Fd])
	}
}

func (b *bareLoop) drop(o *outlet) {
	if o.fd >= 0 {
		unix.Close(o.fd)
	}
	o.fd, o.rest = -1, nil
}

func (b *bareLoop) plan(i int32, slot int) {
	at := slot % len(b.wheel)
	b.wheel[at] = append(b.wheel[at], i)
}

// live returns the page that is spoken in a slot. A minute was spoken before.
func (b *bareLoop) live(slot int) int {
	return int((time.Minute + time.Duration(slot)*b.slotTime) / b.track.page)
}

// accept lets in who waits at the door.
func (b *bareLoop) accept() error {
	for {
		fd, _, err := unix.Accept4(b.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			return err
		}
		if err := b.welcome(fd); err != nil {
			return err
		}
	}
}

// welcome answers a joiner with a backlog of 3 s, or of its interval if that is more.
func (b *bareLoop) welcome(fd int) error {
	now := b.live(b.slot)
	backlog := max(6, int(b.interval/b.track.page)+2)
	answer := append(b.scratch[:0], "HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nConnection: close\r\n\r\n"...)
	answer = append(append(answer, b.track.head()...), b.track.pages(now-backlog, now)...)
	b.scratch = answer

	o := outlet{fd: fd}
	if b.seal {
		key := make([]byte, 16)
		rand.Read(key)
		aes, err := aes.NewCipher(key)
		if err != nil {
			return err
		}
		if o.cipher, err = cipher.NewGCM(aes); err != nil {
			return err
		}
	}
	i := int32(len(b.outlets))
	// Even by the golden ratio, however the joiners come.
	_, part := math.Modf(float64(i) * math.Phi)
	first := b.slot + 1 + int(part*bareSlots)
	// As if it had been here before, so that its first turn is like all others.
	o.next = b.live(first) - int(b.interval/b.track.page)
	b.outlets = append(b.outlets, o)
	// Of the socket nothing is to be told but that it is gone, which always is.
	if err := unix.EpollCtl(b.gone, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Fd: i}); err != nil {
		return err
	}
	b.write(i, answer)
	b.plan(i, first)
	return nil
}

// deliver writes to an outlet all that was spoken since its last turn.
func (b *bareLoop) deliver(i int32) {
	o := &b.outlets[i]
	live := b.live(b.slot)
	piece := b.track.pages(o.next, live)
	if len(o.rest) > 0 || len(piece) == 0 {
		return
	}
	o.next = live
	if o.cipher != nil {
		piece = b.sealed(o, piece)
	}
	b.write(i, piece)
}

// sealed encrypts in records as TLS 1.3 has them (RFC 8446, section 5.2).
func (b *bareLoop) sealed(o *outlet, piece []byte) []byte {
	const record = 16 << 10
	var nonce [12]byte
	b.scratch = b.scratch[:0]
	for len(piece) > 0 {
		n := min(record, len(piece))
		b.scratch = append(b.scratch, 23, 3, 3, 0, 0)
		header := b.scratch[len(b.scratch)-5:]
		binary.BigEndian.PutUint16(header[3:], uint16(n+o.cipher.Overhead()))
		binary.BigEndian.PutUint64(nonce[4:], o.nonce)
		o.nonce++
		b.scratch = o.cipher.Seal(b.scratch, nonce[:], piece[:n], header)
		piece = piece[n:]
	}
	return b.scratch
}

// write writes what the socket takes and keeps the rest for the next slot.
func (b *bareLoop) write(i int32, data []byte) {
	o := &b.outlets[i]
	n, err := write(o.fd, data)
	if err != nil && err != unix.EAGAIN {
		b.drop(o)
		return
	}
	if n < len(data) {
		o.rest = append([]byte(nil), data[n:]...)
		b.behind = append(b.behind, i)
	}
}

// write is write(2), which never waits here.
func write(fd int, data []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// finish goes on with partial writes.
func (b *bareLoop) finish() {
	behind := b.behind
	b.behind = nil
	for _, i := range behind {
		rest := b.outlets[i].rest
		b.outlets[i].rest = nil
		if b.outlets[i].fd >= 0 {
			b.write(i, rest)
		}
	}
}
