package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// spell is how long a loop works before it lets others run: the stage's loop in the
// same process has 20 ms for all that it does.
const spell = time.Millisecond

// What a loop is told to do.
type order uint8

const (
	carryOn order = iota
	drained       // let all go in good order
	cutOff        // close all and end
)

// loop owns the sockets of many listeners. Times are since its beginning.
type loop struct {
	opts    *Options
	crowd   *crowd
	counts  counts
	meter   meter
	members atomic.Int64 // with those who are still in the inbox

	mu     sync.Mutex // guards what follows
	inbox  []*listener
	told   order
	poller *poller // nil before the loop runs, and after
	ended  bool    // nobody looks at the inbox any more

	// The rest belongs to the loop's goroutine.
	poll    *poller
	began   time.Time
	rested  time.Duration // when others could run last
	woke    time.Duration // from its last sleep
	wheel   wheel
	byFD    []*listener
	joiners []*listener
	state   order

	// Room to work in, used again each time.
	spare   []*listener // becomes the inbox
	pieces  [][]byte
	vectors []unix.Iovec
	joiner  joiner
	sealed  sealed
	ignored [4 << 10]byte
}

func newLoop(o *Options, c *crowd) *loop {
	return &loop{opts: o, crowd: c, began: time.Now(), wheel: wheel{grain: 1}}
}

func (p *loop) open() error {
	poll, err := newPoller()
	if err != nil {
		return err
	}
	p.poll = poll
	return nil
}

// start lets others wake the loop, which is about to run.
func (p *loop) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.poller = p.poll
}

// give hands a listener to the loop.
func (p *loop) give(l *listener) {
	p.members.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inbox = append(p.inbox, l)
	if p.poller != nil {
		p.poller.wake()
	}
}

// order tells the loop what to do. One that does not run does it at once.
func (p *loop) order(o order) {
	p.mu.Lock()
	p.told = max(p.told, o)
	if p.poller != nil {
		p.poller.wake()
	}
	idle := p.poller == nil && !p.ended
	p.mu.Unlock()
	if idle && o == cutOff {
		p.end()
	}
}

// run is the loop. Each time round it does first what sockets and others wait for,
// then what is due, and nothing of it for long.
func (p *loop) run() {
	defer p.end()
	p.meter.wake(p.clock())
	for {
		p.attend() // before hear: see awake
		if p.hear() == cutOff {
			return
		}
		p.admit()
		p.turns()
		if len(p.joiners) > 0 {
			continue
		}
		if err := p.sleep(); err != nil {
			p.opts.Logger.Error("a delivery loop can't wait for its sockets", "err", err)
			time.Sleep(slotTime) // and goes on: all but partial writes works without
		}
	}
}

func (p *loop) clock() time.Duration { return time.Since(p.began) }

// hear looks at what others want of the loop.
func (p *loop) hear() order {
	p.mu.Lock()
	told := p.told
	arrived := p.inbox
	p.inbox = p.spare[:0]
	p.mu.Unlock()
	p.joiners = append(p.joiners, arrived...)
	clear(arrived)
	p.spare = arrived
	if told == drained && p.state < drained {
		p.state = drained
		p.dismiss()
	}
	return told
}

// admit takes in who has arrived, for as long as a spell lasts: in a storm turns must
// go on too.
func (p *loop) admit() {
	n := 0
	for began := p.clock(); n < len(p.joiners); n++ {
		now := p.clock()
		if now-began > spell {
			break
		}
		p.admitOne(p.joiners[n], now)
	}
	left := copy(p.joiners, p.joiners[n:])
	clear(p.joiners[left:])
	p.joiners = p.joiners[:left]
	p.breathe(p.clock())
}

func (p *loop) admitOne(l *listener, now time.Duration) {
	fd := int(l.fd)
	for fd >= len(p.byFD) {
		p.byFD = append(p.byFD, nil)
	}
	p.byFD[fd] = l
	if err := p.poll.add(fd); err != nil {
		p.opts.Logger.Error("a listener can't be watched", "err", err)
		p.part(l, Cut)
		return
	}
	l.looked = now
	p.feed(l, now, false)
	l.mark(now)
}

// attend does what sockets have reported.
func (p *loop) attend() {
	for _, event := range p.poll.ready() {
		if int(event.Fd) == p.poll.waker {
			p.poll.awake()
			continue
		}
		// Descriptors come in by admit alone, so that one which was closed a moment ago
		// can't be somebody else's by now.
		if l := p.byFD[event.Fd]; l != nil {
			now := p.clock()
			p.report(l, event.Events, now)
			p.breathe(now)
		}
	}
}

// turns gives their turn to all who are due, for as long as a spell lasts.
func (p *loop) turns() {
	for began := p.clock(); ; {
		now := p.clock()
		l, due := p.wheel.take(now)
		if l == nil {
			return
		}
		p.turn(l, now, due)
		if now-began > spell {
			p.breathe(now)
			return
		}
	}
}

// breathe lets others run, if they could not for a spell.
func (p *loop) breathe(now time.Duration) {
	if now-p.rested < spell {
		return
	}
	p.meter.work(now)
	// Not runtime.Gosched: that is the end of a queue which Go looks at seldom while
	// requests storm in, and who is seated would wait for those who come. Who wakes up
	// by a timer runs next.
	time.Sleep(time.Microsecond)
	p.rested = p.clock()
	p.meter.wake(p.rested)
}

// sleep waits for the next slot that has somebody, if nothing is due now.
func (p *loop) sleep() error {
	now := p.clock()
	at, some := p.wheel.next()
	if some && at <= now {
		return nil
	}
	p.meter.work(now)
	p.wheel.adapt(now - p.woke)
	if end, wake := p.meter.until(); wake && (!some || end < at) {
		at, some = end, true
	}
	clear(p.pieces[:cap(p.pieces)]) // they belong to others
	clear(p.vectors[:cap(p.vectors)])
	var until time.Time
	if some {
		until = p.began.Add(at)
	}
	err := p.poll.wait(until)
	now = p.clock()
	p.rested, p.woke = now, now
	p.meter.wake(now)
	return err
}

// dismiss gives everybody a last turn now.
func (p *loop) dismiss() {
	for _, l := range p.byFD {
		if l != nil && !l.closing {
			p.feed(l, p.clock(), false)
			p.breathe(p.clock())
		}
	}
}

// end closes all, once.
func (p *loop) end() {
	p.mu.Lock()
	ended := p.ended
	p.ended = true
	p.poller = nil
	p.joiners = append(p.joiners, p.inbox...)
	p.inbox = nil
	p.mu.Unlock()
	if ended {
		return
	}
	p.closeAll()
	if p.poll != nil {
		p.poll.close()
	}
}

// closeAll cuts who is there, and who was about to come in.
func (p *loop) closeAll() {
	for _, l := range p.byFD {
		if l != nil {
			p.part(l, Cut)
		}
	}
	for _, l := range p.joiners {
		p.part(l, Cut)
	}
	p.joiners = nil
}

// part closes a listener's socket and forgets about it.
func (p *loop) part(l *listener, why Reason) {
	p.wheel.remove(l)
	fd := int(l.fd)
	if fd < len(p.byFD) && p.byFD[fd] == l {
		p.byFD[fd] = nil
		p.poll.remove(fd)
	}
	unix.Close(fd)
	p.counts.closed[why].Add(1)
	p.members.Add(-1)
	l.stream.Gone(why)
	p.crowd.went()
}
