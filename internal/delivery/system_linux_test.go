package delivery_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hustings/internal/delivery"
)

// descriptors counts those of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// deafen makes a socket throw away whatever comes, and so acknowledge nothing: to the
// other side it is as if the cable had been cut.
func deafen(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
}

// A listener whose network is gone dies by the kernel's timeout, though it is sent so
// little that its socket never fills up.
func TestHalfOpen(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		if !k.looped {
			t.Skip("a goroutine notices when the send buffer is full")
		}
		if testing.Short() {
			t.Skip("takes a second")
		}
		d, _ := run(t, delivery.Options{Stall: 500 * time.Millisecond})
		p := newProgramme(1, always(50))
		here, there, under := newHouse(t).connect(k)
		s := p.stream(20 * time.Millisecond)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, there, int64(len(head))); err != nil {
			t.Fatal(err)
		}
		deafen(t, under)
		for gone := false; !gone; {
			p.edge.Add(1)
			select {
			case <-s.gone:
				gone = true
			case <-time.After(10 * time.Millisecond):
			}
			if p.edge.Load() > 2000 {
				t.Fatal("it is still there after 20 s")
			}
		}
		s.wait(t, delivery.Stalled)
		if load := d.Load(); load.Partial != 0 {
			t.Errorf("its socket was full: %+v", load)
		}
	})
}

// Without a descriptor left a connection is not taken, and still its owner's.
func TestNoDescriptorsLeft(t *testing.T) {
	eachAlone(t, func(t *testing.T, k kind) {
		if !k.looped {
			t.Skip("needs none")
		}
		d, _ := run(t, delivery.Options{})
		p := newProgramme(2, always(100))
		p.final.Store(true)
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(time.Second)
		err := withoutDescriptors(t, func() error { return d.Take(here, []byte(head), s) })
		if !errors.Is(err, unix.EMFILE) {
			t.Fatalf("Take: %v", err)
		}
		if load := d.Load(); load.Listeners != 0 || load.Taken != 0 {
			t.Errorf("the load is %+v", load)
		}
		// Nothing has been done to it: it can be answered on, or be taken later.
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		within(t, listen(p, there), "the end").all(t, 2)
		there.Close()
		s.wait(t, delivery.Ended)
	})
}

// withoutDescriptors calls f while the process may open nothing.
func withoutDescriptors(t *testing.T, f func() error) error {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	return f()
}
