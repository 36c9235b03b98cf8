package delivery

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whoever wakes a loop must be seen by it, however many do at the same time.
func TestNoWakeIsLost(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	const wakers, wakes = 4, 5000
	var wanted, seen [wakers]atomic.Int64
	var over atomic.Bool
	var loop sync.WaitGroup
	loop.Go(func() {
		for !over.Load() {
			if err := p.wait(time.Time{}); err != nil {
				t.Error(err)
				return
			}
			for _, event := range p.ready() {
				if int(event.Fd) == p.waker {
					p.awake()
				}
			}
			for i := range wanted { // as a loop hears: behind attend
				seen[i].Store(wanted[i].Load())
			}
		}
	})
	var others sync.WaitGroup
	for i := range wakers {
		others.Go(func() {
			for n := int64(1); n <= wakes; n++ {
				wanted[i].Store(n)
				p.wake()
				for deadline := time.Now().Add(20 * time.Second); seen[i].Load() < n; {
					if time.Now().After(deadline) {
						t.Errorf("wake %d of %d was lost", n, i)
						return
					}
					time.Sleep(time.Microsecond)
				}
			}
		})
	}
	others.Wait()
	over.Store(true)
	one := [8]byte{1}
	if _, err := unix.Write(p.waker, one[:]); err != nil { // not by wake: it is what is tried
		t.Fatal(err)
	}
	loop.Wait()
}
