package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"hustings/internal/opus"
	"hustings/internal/reach"
)

// HearOptions say which stage is heard, and by whom. URL and Sound are required.
type HearOptions struct {
	URL   string // a link to the space: the listener's page, or the invite
	Token string // of the invite; "" takes the one in the link
	// Sound is given what is heard as it comes: mono, 48 kHz, -1..1, and the time
	// at which its packet came in. It must not keep pcm.
	Sound func(pcm []float32, arrived time.Time)
	// Connected, if set, is called whenever a connection stands.
	Connected func()

	HTTP   *http.Client // nil is http.DefaultClient
	Logger *slog.Logger // nil is silence
}

// Hear joins the stage by WHEP and hears the mix without oneself until ctx ends,
// which is its good end. It connects again by itself, as Publish does.
func Hear(ctx context.Context, o HearOptions) error {
	link, err := ParseLink(o.URL)
	if err != nil {
		return err
	}
	if o.Token == "" {
		o.Token = link.Token
	}
	if o.Token == "" {
		return errors.New("a token is required: the stage is heard with an invite only; everyone else listens to the programme")
	}
	log := loggerOr(o.Logger)
	var wait reach.Backoff
	for connected := false; ; {
		s, err := hearOnce(ctx, link, o)
		if err == nil {
			connected = true
			wait.Reset()
			select {
			case <-s.lost:
				log.Warn("the connection to the stage is lost; connecting again", "space", link.Space)
			case <-ctx.Done():
			}
			s.leave(context.WithoutCancel(ctx))
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && (!connected || !reach.Temporary(err)) {
			return err
		}
		if wait.Wait(ctx, err) != nil {
			return nil
		}
	}
}

// hearOnce makes one connection.
func hearOnce(ctx context.Context, link Link, o HearOptions) (*session, error) {
	s, err := newSession(link, o.Token, reach.Client(o.HTTP))
	if err != nil {
		return nil, err
	}
	_, err = s.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		s.pc.Close()
		return nil, fmt.Errorf("cannot set up WebRTC: %w", err)
	}
	s.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		d, err := newDecoding(o.Sound)
		if err != nil {
			return // a decoder of one channel can always be made
		}
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return // the session is over
			}
			d.packet(packet, time.Now())
		}
	})
	if err := s.join(ctx, link.API("/whep")); err != nil {
		return nil, err
	}
	if o.Connected != nil {
		o.Connected()
	}
	return s, nil
}

// mostConcealed bounds a hole that is filled: more than that is a new beginning.
const mostConcealed = 48000 / 10 // 100 ms

// decoding turns one track's packets into sound. It adds no delay of its own: a
// packet that comes after its successor is left out, and holes are filled once
// the packet after them is there.
type decoding struct {
	sound   func(pcm []float32, arrived time.Time)
	decoder *opus.Decoder
	pcm     []float32
	next    uint32 // timestamp that is due
	begun   bool
}

func newDecoding(sound func([]float32, time.Time)) (*decoding, error) {
	decoder, err := opus.NewDecoder(1)
	if err != nil {
		return nil, err
	}
	return &decoding{sound: sound, decoder: decoder, pcm: make([]float32, 48000*120/1000)}, nil
}

func (d *decoding) packet(p *rtp.Packet, arrived time.Time) {
	samples, err := opus.Duration(p.Payload)
	if err != nil {
		return // padding, or nothing that can be heard
	}
	if d.begun {
		missing := int32(p.Timestamp - d.next)
		if missing < 0 && missing > -48000 {
			return // too late
		}
		for ; missing >= frameSamples && missing <= mostConcealed; missing -= frameSamples {
			d.conceal(p.Payload, missing < 2*frameSamples, arrived)
		}
	}
	d.begun, d.next = true, p.Timestamp+uint32(samples)
	if n, err := d.decoder.Decode(p.Payload, d.pcm); err == nil {
		d.sound(d.pcm[:n], arrived)
	}
}

// conceal stands in for one lost frame: the one right before a packet may be in
// that packet a second time (in-band FEC).
func (d *decoding) conceal(after []byte, direct bool, arrived time.Time) {
	frame := d.pcm[:frameSamples]
	var err error
	if direct {
		err = d.decoder.DecodeFEC(after, frame)
	} else {
		err = d.decoder.Conceal(frame)
	}
	if err == nil {
		d.sound(frame, arrived)
	}
}
