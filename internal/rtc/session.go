package rtc

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"hustings/internal/space"
)

// Patch is the result of a PATCH: 204 for trickled candidates, 200 with ETag and
// Fragment if ICE was restarted.
type Patch struct {
	ETag      string
	Fragment  string // application/trickle-ice-sdpfrag, after a restart
	Restarted bool
}

// Bounds of a session.
const (
	patience     = 20 * time.Second // from the answer to a connection
	answerWithin = 3 * time.Second  // for an answer with all our candidates
)

// Errors of Patch that have statuses of their own (RFC 9725, section 4.3).
var (
	ErrNoETag = errors.New("the request has no If-Match header; send the session's ETag, or * to restart ICE") // 428
	ErrETag   = errors.New("the If-Match header is not the session's ETag: ICE was restarted meanwhile")       // 412
)

// SessionOptions say what to do with a session's sound. Calls back come from the
// session's goroutines and must not wait for it to end.
type SessionOptions struct {
	Direction Direction
	Stereo    bool // a WHIP client is asked for stereo
	// Patience is how long Run waits for a first connection; 0 means 20 s.
	Patience time.Duration

	// Packet takes what a microphone sends; red says that its payload is RED (RFC
	// 2198). It must not keep the packet. WHIP only.
	Packet func(p *rtp.Packet, red bool, arrived time.Time)
	// Reaches tells, at every change, whether sound gets through. WHIP only.
	Reaches func(on bool)
}

// Session is one WHIP or WHEP connection. It only signals and carries packets.
type Session struct {
	id     string
	opts   SessionOptions
	logger *slog.Logger
	pc     *webrtc.PeerConnection
	outlet *Outlet // WHEP only

	negotiating sync.Mutex // makes patches one at a time; guards the next three
	etag        string
	offer       string // the last one, ours in part after a restart
	candidates  int    // of this generation

	mu        sync.Mutex // guards the following; held while Reaches is called
	connected bool
	ever      bool
	sounds    bool // a packet came
	closing   bool
	work      sync.WaitGroup // goroutines that read or write packets

	gone chan struct{} // closed when the session is to end
	once sync.Once
}

// NewSession prepares a session. The caller answers it, and then runs or closes it.
func (n *Network) NewSession(o SessionOptions) (*Session, error) {
	s := &Session{id: rand.Text(), opts: o, etag: newETag(), gone: make(chan struct{})}
	s.logger = n.opts.Logger.With("session", s.id, "direction", o.Direction)
	var err error
	if s.pc, err = n.api(o.Direction).NewPeerConnection(webrtc.Configuration{}); err != nil {
		return nil, fmt.Errorf("a peer connection: %w", err)
	}
	s.pc.OnConnectionStateChange(s.turn)
	if o.Direction == WHIP {
		s.pc.OnTrack(s.hear)
	} else if err := s.addOutlet(); err != nil {
		return nil, errors.Join(err, s.pc.Close())
	}
	return s, nil
}

func newETag() string { return `"` + rand.Text() + `"` }

// ID names the session. It can't be guessed.
func (s *Session) ID() string { return s.id }

// ETag returns the entity tag of the ICE session, quoted as in the header (RFC
// 9725, section 4.3.1).
func (s *Session) ETag() string {
	s.negotiating.Lock()
	defer s.negotiating.Unlock()
	return s.etag
}

// Outlet returns where a WHEP session takes its packets; nil for WHIP.
func (s *Session) Outlet() *Outlet { return s.outlet }

func (s *Session) addOutlet() error {
	track, err := webrtc.NewTrackLocalStaticRTP(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "stage", "hustings")
	if err != nil {
		return err
	}
	transceiver, err := s.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	var start [6]byte
	rand.Read(start[:])
	s.outlet = NewOutlet(binary.BigEndian.Uint16(start[:]), binary.BigEndian.Uint32(start[2:]))
	s.spawn(func() { s.outlet.run(track.WriteRTP) })
	s.spawn(func() { readRTCP(transceiver.Sender().Read) })
	return nil
}

// spawn runs f beside the session, whose close waits for it.
func (s *Session) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.work.Go(f)
	}
}

// Answer negotiates the offer and returns the SDP answer with all our candidates.
//
// Errors: Invalid for an offer that pion can't take; Internal when it took too long.
func (s *Session) Answer(ctx context.Context, offer string) (string, error) {
	offer, err := oneWay(offer, s.opts.Direction)
	if err != nil {
		return "", s.unfit(err)
	}
	s.negotiating.Lock()
	defer s.negotiating.Unlock()
	return s.negotiate(ctx, offer)
}

// unfit is the error of an offer that looked well and isn't.
func (s *Session) unfit(err error) error {
	return &space.Error{Kind: space.Invalid, Detail: "the offer can't be used; " + s.opts.Direction.wants(), Err: err}
}

func (s *Session) negotiate(ctx context.Context, offer string) (string, error) {
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", s.unfit(err)
	}
	if err := s.prefer(); err != nil {
		return "", s.unfit(err)
	}
	// Made here and not earlier: after a restart pion gathers as soon as it has the offer.
	gathered := webrtc.GatheringCompletePromise(s.pc)
	answer, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return "", s.unfit(err)
	}
	if err := s.pc.SetLocalDescription(answer); err != nil {
		return "", s.unfit(err)
	}
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case <-gathered:
	case <-timer.C:
		return "", space.Errorf(space.Internal, "the server could not find its own network addresses in time; try again")
	case <-ctx.Done():
		return "", ctx.Err()
	}
	text := s.pc.LocalDescription().SDP
	if ufrag, _ := credentials(text); ufrag == "" {
		return "", s.unfit(errors.New("no media section could be accepted"))
	}
	s.offer = offer
	return text, nil
}

// prefer puts what we like to receive first.
func (s *Session) prefer() error {
	if s.opts.Direction != WHIP {
		return nil
	}
	for _, t := range s.pc.GetTransceivers() {
		if t.Kind() != webrtc.RTPCodecTypeAudio || t.Receiver() == nil {
			continue
		}
		codecs := preferences(t.Receiver().GetParameters().Codecs, s.opts.Stereo)
		if len(codecs) == 0 {
			continue
		}
		if err := t.SetCodecPreferences(codecs); err != nil {
			return err
		}
	}
	return nil
}

// Patch takes a fragment: more candidates, or new credentials for an ICE restart.
//
// Errors: ErrNoETag, ErrETag; Invalid.
func (s *Session) Patch(ctx context.Context, ifMatch, text string) (Patch, error) {
	f, err := parseFragment(text)
	if err != nil {
		return Patch{}, err
	}
	if strings.TrimSpace(ifMatch) == "" {
		return Patch{}, ErrNoETag
	}
	s.negotiating.Lock()
	defer s.negotiating.Unlock()
	if !matches(ifMatch, s.etag) {
		return Patch{}, ErrETag
	}
	if ufrag, pwd := credentials(s.offer); f.ufrag != "" && (f.ufrag != ufrag || f.pwd != pwd) {
		return s.restart(ctx, f)
	}
	return Patch{ETag: s.etag}, s.trickle(f)
}

// matches evaluates an If-Match header by strong comparison (RFC 9110, section 13.1.1).
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

func (s *Session) trickle(f fragment) error {
	if s.candidates += len(f.candidates); s.candidates > maxCandidates {
		return badFragment("has more candidates than a session may have (%d)", maxCandidates)
	}
	for _, c := range f.candidates {
		init := webrtc.ICECandidateInit{Candidate: c.line}
		if c.mid != "" {
			init.SDPMid = &c.mid
		}
		if err := s.pc.AddICECandidate(init); err != nil {
			return &space.Error{Kind: space.Invalid, Detail: "the SDP fragment has a candidate that can't be read", Err: err}
		}
	}
	return nil
}

func (s *Session) restart(ctx context.Context, f fragment) (Patch, error) {
	offer, err := restartOffer(s.offer, f)
	if err != nil {
		return Patch{}, err
	}
	answer, err := s.negotiate(ctx, offer)
	if err != nil {
		return Patch{}, err
	}
	text, err := answerFragment(answer)
	if err != nil {
		return Patch{}, err
	}
	s.etag, s.candidates = newETag(), len(f.candidates)
	return Patch{ETag: s.etag, Fragment: text, Restarted: true}, nil
}

// turn follows the connection.
func (s *Session) turn(state webrtc.PeerConnectionState) {
	s.logger.Debug("webrtc", "state", state.String())
	switch state {
	case webrtc.PeerConnectionStateConnected:
		s.note(func() { s.connected, s.ever = true, true })
	case webrtc.PeerConnectionStateDisconnected:
		s.note(func() { s.connected = false })
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		s.note(func() { s.connected = false })
		s.End()
	default:
	}
}

// note changes what is known of the connection and tells whether sound gets through.
func (s *Session) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	if s.opts.Direction == WHIP {
		s.opts.Reaches(s.connected && s.sounds)
	}
}

// hear reads a microphone's track until it ends.
func (s *Session) hear(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	first := false
	s.note(func() { first, s.sounds = !s.sounds, true })
	if !first {
		return // a second track of the same offer
	}
	s.spawn(func() { readRTCP(receiver.Read) })
	s.spawn(func() { s.read(track, redType(receiver.GetParameters().Codecs)) })
}

// redType returns the payload type of RED, 0 if it is not in use.
func redType(codecs []webrtc.RTPCodecParameters) uint8 {
	for _, c := range codecs {
		if strings.EqualFold(c.MimeType, mimeRED) {
			return uint8(c.PayloadType)
		}
	}
	return 0
}

func (s *Session) read(track *webrtc.TrackRemote, red uint8) {
	buffer := make([]byte, 1500)
	var packet rtp.Packet
	for {
		n, _, err := track.Read(buffer)
		if err != nil {
			return
		}
		if packet.Unmarshal(buffer[:n]) == nil {
			s.opts.Packet(&packet, red != 0 && packet.PayloadType == red, time.Now())
		}
	}
}

// readRTCP reads reports until the end; the interceptors under it act on them.
func readRTCP[A any](read func([]byte) (int, A, error)) {
	buffer := make([]byte, 1500)
	for {
		if _, _, err := read(buffer); err != nil {
			return
		}
	}
}

// End asks for the end of the session and returns at once.
func (s *Session) End() { s.once.Do(func() { close(s.gone) }) }

// Run waits for the end of a session that was answered, tells it by left, and
// closes the connection. One that never connects ends by itself.
func (s *Session) Run(ctx context.Context, left func()) {
	timer := time.NewTimer(cmp.Or(s.opts.Patience, patience))
	defer timer.Stop()
	for waiting := true; waiting; {
		select {
		case <-timer.C:
			s.mu.Lock()
			waiting = s.ever
			s.mu.Unlock()
		case <-s.gone:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	left()
	s.Close()
}

// Close ends the connection and waits for its goroutines.
func (s *Session) Close() {
	s.End()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	if s.outlet != nil {
		s.outlet.close()
	}
	if err := s.pc.GracefulClose(); err != nil {
		s.logger.Debug("closing a session", "err", err)
	}
	s.work.Wait()
}
