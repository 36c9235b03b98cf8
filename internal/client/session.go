package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"hustings/internal/reach"
)

const (
	requestTimeout = 10 * time.Second // of one request of the signalling
	connectTimeout = 10 * time.Second // from the answer to the connection

	// A connection over which nothing came for this long is given up for lost:
	// the server says something at least once a second (RTCP, ICE checks).
	lostAfter   = 2 * time.Second
	failedAfter = 4 * time.Second
	checkEvery  = 500 * time.Millisecond

	maxAnswer = 64 << 10 // bytes of SDP
)

// session is one WebRTC connection to a stage, made by WHIP (RFC 9725) or by
// WHEP, which is the same but for who sends.
type session struct {
	http     *http.Client
	token    string
	resource string // address of the session; "" before the server has answered
	pc       *webrtc.PeerConnection

	up   chan struct{} // closed when media can flow
	lost chan struct{} // closed when it can't any more
	once struct{ up, lost sync.Once }
	// closed says that the server has ended the connection in good order, as
	// against one that fell silent. To be read once lost is closed.
	closed bool
}

// newSession makes the peer connection of a session; add tracks before join.
func newSession(link Link, token string, client *http.Client) (*session, error) {
	var media webrtc.MediaEngine
	err := media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType:     webrtc.MimeTypeOpus,
			ClockRate:    48000,
			Channels:     2,
			SDPFmtpLine:  "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1",
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}},
		},
		PayloadType: 111,
	}, webrtc.RTPCodecTypeAudio)
	if err != nil {
		return nil, fmt.Errorf("cannot set up WebRTC: %w", err)
	}
	var interceptors interceptor.Registry
	if err := webrtc.RegisterDefaultInterceptors(&media, &interceptors); err != nil {
		return nil, fmt.Errorf("cannot set up WebRTC: %w", err)
	}
	var settings webrtc.SettingEngine
	settings.SetICETimeouts(lostAfter, failedAfter, checkEvery)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetIncludeLoopbackCandidate(link.Loopback())
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithInterceptorRegistry(&interceptors), webrtc.WithSettingEngine(settings))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("cannot set up WebRTC: %w", err)
	}
	s := &session{http: client, token: token, pc: pc, up: make(chan struct{}), lost: make(chan struct{})}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			s.once.up.Do(func() { close(s.up) })
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			s.once.lost.Do(func() {
				s.closed = state == webrtc.PeerConnectionStateClosed
				close(s.lost)
			})
		}
	})
	return s, nil
}

// join offers the session at the endpoint and returns once media can flow. If it
// fails, the session is over and leaves nothing behind.
func (s *session) join(ctx context.Context, endpoint string) error {
	err := s.negotiate(ctx, endpoint)
	if err == nil {
		err = s.connected(ctx)
	}
	if err != nil {
		s.leave(context.WithoutCancel(ctx))
	}
	return err
}

func (s *session) negotiate(ctx context.Context, endpoint string) error {
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return fmt.Errorf("cannot make an offer: %w", err)
	}
	// All candidates are this machine's own, so gathering them is immediate and
	// nothing needs to trickle in later.
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		return fmt.Errorf("cannot make an offer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return ctx.Err()
	}
	answer, err := s.post(ctx, endpoint, s.pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("the server's answer is not understood: %w", err)
	}
	return nil
}

// post sends the offer and returns the answer (RFC 9725, section 4.2).
func (s *session) post(ctx context.Context, endpoint, offer string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(offer))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/sdp")
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.http.Do(req)
	if err != nil {
		return "", reach.Unreachable(req.URL.Scheme+"://"+req.URL.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return "", reach.Problem(resp)
	}
	resource, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return "", errors.New("the server accepted the offer but named no session (no Location header)")
	}
	s.resource = resource.String()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("the server's answer was cut off: %w", err)
	}
	return string(answer), nil
}

func (s *session) connected(ctx context.Context) error {
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	select {
	case <-s.up:
		return nil
	case <-s.lost:
	case <-timeout.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	host := s.resource
	if u, err := url.Parse(s.resource); err == nil {
		host = u.Host
	}
	return fmt.Errorf("%s took the offer, but no sound gets through to it: see that its UDP port is open on the way (and that it knows its address, --public-ip)", host)
}

// leave ends the session on both sides. The server is told, but not waited for
// any longer than a moment: without this word it notices by itself. It returns the
// status of its answer, 0 if there was none.
func (s *session) leave(ctx context.Context) (status int) {
	defer s.pc.Close()
	if s.resource == "" {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.resource, nil)
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.http.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
