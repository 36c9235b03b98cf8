package hearing

import (
	"math/rand/v2"
	"testing"
	"time"
)

const block = 500 * time.Millisecond

// listening is a playback in its time.
type listening struct {
	Playback
	now    time.Duration
	begun  int
	dries  []time.Duration
	ranDry int
}

func (p *listening) until(now time.Duration) {
	for ; p.now < now; p.now += 100 * time.Millisecond {
		if p.Advance(p.now) {
			p.ranDry++
		}
	}
	p.now = now
	if p.Advance(now) {
		p.ranDry++
	}
}

func (p *listening) comes(at, depth time.Duration, blocks int) {
	p.until(at)
	for range blocks {
		p.Add(at, block)
	}
	begun, dry := p.Settle(at, depth)
	if begun {
		p.begun++
	}
	if dry > 0 {
		p.dries = append(p.dries, dry)
	}
}

func TestPlaybackBeginsAtItsDepth(t *testing.T) {
	for _, depth := range []time.Duration{CalmDepth, 3500 * time.Millisecond, 24 * time.Second} {
		var p listening
		p.comes(time.Second, depth, int(depth/block)+2)
		if p.begun != 1 || p.Ahead != depth {
			t.Errorf("with more than %v of backlog it began %d times, %v ahead", depth, p.begun, p.Ahead)
		}
	}
	var p listening
	p.comes(time.Second, 10*time.Second, 4) // a young programme
	p.comes(time.Second+block, 10*time.Second, 1)
	if p.begun != 0 {
		t.Error("it began before it waited for the rest")
	}
	p.comes(time.Second+2*block, 10*time.Second, 1)
	if p.begun != 1 || p.Ahead != 3*time.Second {
		t.Errorf("without the whole backlog it began %d times, %v ahead", p.begun, p.Ahead)
	}
}

func TestPlaybackInCalmNeverRunsDry(t *testing.T) {
	var p listening
	at := time.Second
	p.comes(at, CalmDepth, 6)
	for range 1200 {
		at += block
		p.comes(at+rand.N(200*time.Millisecond), CalmDepth, 1)
	}
	if p.ranDry > 0 || p.Ahead > 2*time.Second {
		t.Errorf("it ran dry %d times and is %v ahead", p.ranDry, p.Ahead)
	}
}

// The silence is counted from when the sound ran out to when there was enough again.
func TestALateDeliveryIsSilence(t *testing.T) {
	var p listening
	p.comes(time.Second, CalmDepth, 6) // lasts until 2.1 s
	p.comes(3*time.Second, CalmDepth, 1)
	if p.ranDry != 1 || len(p.dries) != 0 || p.State != Dried {
		t.Fatalf("it ran dry %d times, and is %+v", p.ranDry, p.Playback)
	}
	p.comes(3500*time.Millisecond, CalmDepth, 2) // 1.5 s: what is enough after a stall
	if len(p.dries) != 1 || p.dries[0] != 1400*time.Millisecond || p.State != Playing {
		t.Errorf("the silences are %v, want one of 1.4 s; %+v", p.dries, p.Playback)
	}
	if p.Ahead != 1500*time.Millisecond {
		t.Errorf("it goes on %v ahead: something of what was missed was skipped", p.Ahead)
	}
}

// A server deepens by at most 0.025 s a second and lengthens its interval as pages
// follow: nobody hears that, and everybody comes back.
func TestPlaybackFollowsTheDepth(t *testing.T) {
	var p listening
	at, told, interval := time.Second, CalmDepth, block
	p.comes(at, told, 6)
	const goal = 12 * time.Second
	modelled := told // the depth that the server may count on
	for modelled < goal-time.Second {
		at += interval
		p.comes(at, goal, int(interval/block))
		modelled = min(goal, modelled+interval*25/1000)
		interval = max(block, (modelled - 600*time.Millisecond).Truncate(block))
	}
	if p.ranDry > 0 {
		t.Fatalf("deepening, it ran dry %d times; %+v at T = %v", p.ranDry, p.Playback, interval)
	}
	if p.Ahead < modelled-under {
		t.Errorf("it is %v ahead, the server counts on %v", p.Ahead, modelled)
	}
	for end := at + 10*time.Minute; at < end; {
		at += block
		p.comes(at, CalmDepth, 1)
	}
	if p.ranDry > 0 || p.Ahead > CalmDepth+over {
		t.Errorf("in calm again, it ran dry %d times and is still %v ahead", p.ranDry, p.Ahead)
	}
}

func TestPlaybackJumpsWhenFarBehind(t *testing.T) {
	var p listening
	p.comes(time.Second, CalmDepth, 6)
	p.comes(time.Second+block, CalmDepth, 40) // the tab slept
	if p.Ahead != CalmDepth || p.ranDry != 0 {
		t.Errorf("it is %v ahead and ran dry %d times", p.Ahead, p.ranDry)
	}
}

func TestPlaybackForgivesStalls(t *testing.T) {
	var p listening
	at := time.Second
	p.comes(at, CalmDepth, 6)
	for range 10 {
		at += 10 * time.Second
		p.comes(at, CalmDepth, 8)
	}
	if want := CalmDepth + stallMost*stallStep; p.Target(CalmDepth) != want {
		t.Fatalf("after %d stalls %v is kept, want %v", p.ranDry, p.Target(CalmDepth), want)
	}
	for end := at + 6*time.Minute; at < end; {
		at += block
		p.comes(at, CalmDepth, 1)
	}
	if p.Target(CalmDepth) != CalmDepth {
		t.Errorf("six calm minutes later %v is kept", p.Target(CalmDepth))
	}
}

func TestTheEndIsNoSilence(t *testing.T) {
	var p listening
	p.comes(time.Second, CalmDepth, 6)
	p.until(1500 * time.Millisecond)
	if dry := p.End(p.now); dry != 0 {
		t.Errorf("%v of silence at the end", dry)
	}
	if p.until(time.Minute); p.ranDry != 0 || p.Ahead != 0 {
		t.Errorf("after the end it ran dry %d times, %v are ahead", p.ranDry, p.Ahead)
	}
}
