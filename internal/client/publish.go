package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"hustings/internal/opus"
	"hustings/internal/reach"
	"hustings/internal/space"
)

// Source gives out what is to be spoken, as Opus packets: see package tape.
type Source interface {
	// Next returns the next packet and its length in samples at 48 kHz. The
	// packet is valid until the next call. At the end it returns io.EOF. It may
	// block, as long as whatever it reads from does.
	Next() (packet []byte, samples int, err error)
}

// frameSamples is the length of a packet of the programme, and of most others.
const frameSamples = opus.FrameSamples

// PublishOptions say what is spoken, and where. URL and Source are required.
type PublishOptions struct {
	URL    string // a link to the space: the listener's page, or the invite
	Token  string // of the invite; "" takes the one in the link
	Source Source
	// Begin is when the source's first packet is due; zero is as soon as there is
	// a connection. Voices that share it stay together however each connects:
	// what was due before there was a connection is not heard.
	Begin time.Time
	// Connected, if set, is called whenever a connection stands.
	Connected func()

	HTTP   *http.Client // nil is http.DefaultClient
	Logger *slog.Logger // nil is silence
}

// Published says how it went.
type Published struct {
	Packets    int           // that were sent
	Dropped    int           // that were due while there was no connection
	Reconnects int           // after the connection was lost
	Spoken     time.Duration // of the source
}

// ErrReplaced says that the server has ended the session although nothing is wrong
// with it.
var ErrReplaced = errors.New("the seat was taken: an invite is one seat, its newest connection has it, and the host may take it back")

// Publish speaks a source into a space by WHIP, in real time, until the source or
// ctx ends, and then leaves the stage.
//
// The source runs like a microphone: when the connection is lost it goes on, and
// what is due meanwhile is not heard. Publish connects again by itself for as
// long as the server may come back: only an answer that the invite no longer
// opens anything (401, 403, 404, 410) ends it, or that another connection has taken
// the seat (ErrReplaced). The first attempt must succeed.
func Publish(ctx context.Context, o PublishOptions) (Published, error) {
	link, err := ParseLink(o.URL)
	if err != nil {
		return Published{}, err
	}
	if o.Token == "" {
		o.Token = link.Token
	}
	if o.Token == "" {
		return Published{}, errors.New("a token is required: the one at the end of the invite's link, or give the whole link")
	}
	p := &publisher{
		link: link, token: o.Token, endpoint: link.API("/whip"),
		http: reach.Client(o.HTTP), log: loggerOr(o.Logger),
		source: o.Source, begin: o.Begin, connected: o.Connected,
	}
	return p.run(ctx)
}

// publisher is one Publish.
type publisher struct {
	link     Link
	token    string
	endpoint string
	http     *http.Client
	log      *slog.Logger
	source   Source
	begin    time.Time

	connected func()

	track   atomic.Pointer[webrtc.TrackLocalStaticRTP] // nil while there is no connection
	packets atomic.Int64
	dropped atomic.Int64
	spoken  atomic.Int64 // samples
}

func (p *publisher) run(ctx context.Context) (report Published, err error) {
	defer func() {
		report.Packets, report.Dropped = int(p.packets.Load()), int(p.dropped.Load())
		report.Spoken = time.Duration(p.spoken.Load()) * time.Second / 48000
	}()
	s, err := p.join(ctx)
	if err != nil {
		return report, err
	}
	pumping, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.pump(pumping) }()
	for {
		select {
		case err := <-ended:
			s.leave(context.WithoutCancel(ctx))
			return report, err
		case <-ctx.Done():
			// The pump may be stuck in reading standard input: it is not waited for.
			s.leave(context.WithoutCancel(ctx))
			return report, ctx.Err()
		case <-s.lost:
			p.track.Store(nil)
			if err := p.ended(ctx, s); err != nil {
				return report, err
			}
			if s, err = p.rejoin(ctx); err != nil {
				return report, err
			}
			report.Reconnects++
		}
	}
}

// join connects to the stage and lets the packets flow there.
func (p *publisher) join(ctx context.Context) (*session, error) {
	s, err := newSession(p.link, p.token, p.http)
	if err != nil {
		return nil, err
	}
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "voice", "hustings")
	if err == nil {
		_, err = s.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	}
	if err != nil {
		s.pc.Close()
		return nil, fmt.Errorf("cannot set up WebRTC: %w", err)
	}
	if err := s.join(ctx, p.endpoint); err != nil {
		return nil, err
	}
	p.track.Store(track)
	p.log.Info("on stage", "space", p.link.Space)
	if p.connected != nil {
		p.connected()
	}
	return s, nil
}

// ended tidies up after a connection was lost, and returns an error if there is no
// point in connecting again. A server that goes down closes its sessions too, but
// takes no requests any more by then; one that closes a session, does not know it
// and answers has given the seat to somebody else, or the space is over. To connect
// again would be to take the seat back, in turn, for ever.
func (p *publisher) ended(ctx context.Context, s *session) error {
	if status := s.leave(context.WithoutCancel(ctx)); !s.closed || status != http.StatusNotFound {
		return nil
	}
	var sp struct {
		Phase space.Phase `json:"phase"`
	}
	if err := reach.GetJSON(ctx, p.http, p.link.Server, p.link.API(""), &sp); err != nil {
		return nil // it is going down after all
	}
	if sp.Phase.Over() {
		return fmt.Errorf("the space is %s", sp.Phase)
	}
	return ErrReplaced
}

// rejoin connects again after a connection was lost.
func (p *publisher) rejoin(ctx context.Context) (*session, error) {
	p.log.Warn("the connection to the stage is lost; connecting again", "space", p.link.Space)
	var wait reach.Backoff
	for {
		s, err := p.join(ctx)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !reach.Temporary(err) {
			return nil, fmt.Errorf("the connection was lost and cannot be made again: %w", err)
		}
		p.log.Info("no connection to the stage yet", "space", p.link.Space, "reason", err)
		if err := wait.Wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// late is how far the source may fall behind its clock. Beyond that, what shares a
// clock with others leaves out what it has missed; anything else moves its clock:
// standard input that stood still begins anew, as a microphone would that was
// switched off for a while.
const late = 200 * time.Millisecond

// pump sends the source's packets, each at its own time: deadlines are counted
// from the first one, so that no error adds up. It returns nil at the end.
func (p *publisher) pump(ctx context.Context) error {
	begin := p.begin
	if begin.IsZero() {
		begin = time.Now()
	}
	header := rtp.Header{Version: 2, Marker: true} // payload type and SSRC are the track's
	var at int64                                   // samples from begin to the packet
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		payload, samples, err := p.source.Next()
		if err == io.EOF {
			return p.sleep(ctx, timer, begin.Add(duration(at))) // the last packet's own length
		}
		if err != nil {
			return err
		}
		due := begin.Add(duration(at))
		switch behind := time.Since(due); {
		case behind > late && !p.begin.IsZero(): // the clock is shared: catch up with it
			p.dropped.Add(1)
			p.spoken.Add(int64(samples))
			at += int64(samples)
			header.Marker = true
			continue
		case behind > late: // the clock is the source's own: move it
			skipped := int64(behind) * 48 / int64(time.Millisecond)
			at += skipped - skipped%frameSamples
			header.Marker = true // RFC 7587, section 4.2: the first packet after a pause
		default:
			if err := p.sleep(ctx, timer, due); err != nil {
				return err
			}
		}
		header.Timestamp = uint32(at)
		p.send(header, payload)
		header.SequenceNumber++
		header.Marker = false
		at += int64(samples)
		p.spoken.Add(int64(samples))
	}
}

func (p *publisher) sleep(ctx context.Context, timer *time.Timer, until time.Time) error {
	timer.Reset(time.Until(until))
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *publisher) send(header rtp.Header, payload []byte) {
	track := p.track.Load()
	if track == nil || track.WriteRTP(&rtp.Packet{Header: header, Payload: payload}) != nil {
		p.dropped.Add(1)
		return
	}
	p.packets.Add(1)
}

func duration(samples int64) time.Duration {
	return time.Duration(samples) * time.Second / 48000
}
