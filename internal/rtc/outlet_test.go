package rtc

import (
	"testing"

	"github.com/pion/rtp"
	"go.uber.org/goleak"
)

func TestASlowSocketLosesTheOldestAndTheOtherEndSeesIt(t *testing.T) {
	o := NewOutlet(65530, 4294967000)
	const sent = outletDepth + 5
	for i := range sent {
		if i == 2 {
			o.Send(nil) // 20 ms without a packet
		}
		o.Send([]byte{byte(i)})
	}
	got := make(chan rtp.Packet, sent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.run(func(p *rtp.Packet) error {
			c := *p
			c.Payload = append([]byte(nil), p.Payload...)
			got <- c
			return nil
		})
	}()
	for i := sent - outletDepth; i < sent; i++ {
		p := <-got
		seq, time := uint16(65530+i+1), uint32(4294967000)
		for range i + 2 { // with the gap
			time += 960
		}
		if p.Payload[0] != byte(i) || p.SequenceNumber != seq || p.Timestamp != time {
			t.Errorf("packet %d is %d with number %d at %d; want %d at %d", i, p.Payload[0], p.SequenceNumber, p.Timestamp, seq, time)
		}
	}
	o.close()
	<-done
	goleak.VerifyNone(t)
}

func TestSendingAllocatesNothing(t *testing.T) {
	o := NewOutlet(0, 0)
	packet := make([]byte, 200)
	if n := testing.AllocsPerRun(1000, func() { o.Send(packet) }); n != 0 {
		t.Errorf("a packet allocates %v times", n)
	}
}
