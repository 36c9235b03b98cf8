package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// errorHeader carries the text of an error back to who asked.
const errorHeader = "Hustings-Error"

// Publish sends data to all who subscribe to the subject. It returns at once; the
// order of one goroutine's messages is kept. The bus keeps data, which must not
// change any more.
//
// Errors: ErrNotReady, ErrFull; and for a message above MaxMessage.
func (b *Bus) Publish(subject string, data []byte) error {
	return b.enqueue(&nats.Msg{Subject: subject, Data: data})
}

func (b *Bus) enqueue(m *nats.Msg) error {
	switch {
	case b.conns.Load() == nil:
		return fmt.Errorf("publishing to %s: %w", m.Subject, ErrNotReady)
	case len(m.Data) > MaxMessage:
		return fmt.Errorf("publishing to %s: a message of %d bytes; at most %d", m.Subject, len(m.Data), MaxMessage)
	case b.outBytes.Load() > queueBytes:
		return fmt.Errorf("publishing to %s: %w", m.Subject, ErrFull)
	}
	b.outBytes.Add(int64(len(m.Data)))
	select {
	case b.out <- m:
		return nil
	default:
		b.outBytes.Add(-int64(len(m.Data)))
		return fmt.Errorf("publishing to %s: %w", m.Subject, ErrFull)
	}
}

// Subscribe calls handle with each message to the subject, in order, from one
// goroutine of its own. The subject may have wildcards: "*" for one word, ">" for
// the rest. From its return on nothing published is missed. handle may keep data.
//
// stop ends the subscription; a call of handle that runs at that moment runs on.
//
// Errors: ErrNotReady.
func (b *Bus) Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error) {
	return b.subscribe(subject, func(m *nats.Msg) { handle(m.Subject, m.Data) })
}

func (b *Bus) subscribe(subject string, handle nats.MsgHandler) (stop func(), err error) {
	c := b.conns.Load()
	if c == nil {
		return nil, fmt.Errorf("subscribing to %s: %w", subject, ErrNotReady)
	}
	var stopped atomic.Bool
	sub, err := c.in.Subscribe(subject, func(m *nats.Msg) {
		if !stopped.Load() {
			handle(m)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", subject, err)
	}
	// The server must know of it before we return: publishing has its own connection.
	if err := errors.Join(sub.SetPendingLimits(pendingMessages, pendingBytes), c.in.Flush()); err != nil {
		_ = sub.Unsubscribe()
		return nil, fmt.Errorf("subscribing to %s: %w", subject, err)
	}
	return func() {
		stopped.Store(true)
		_ = sub.Unsubscribe() // an error says that the connection is gone, and so is the subscription
	}, nil
}

// Handle answers requests to the subject, one after the other. Several may handle
// one subject: who asked gets the first answer. An answer of nil and no error
// stays silent, to leave it to the others.
//
// Only what waits in an inbox is answered. Who asks says where the answer goes, and
// an edge could have us say there what it may not say itself.
//
// Errors: ErrNotReady.
func (b *Bus) Handle(subject string, answer func(subject string, request []byte) ([]byte, error)) (stop func(), err error) {
	return b.subscribe(subject, func(m *nats.Msg) {
		if !strings.HasPrefix(m.Reply, nats.InboxPrefix) {
			return
		}
		data, err := answer(m.Subject, m.Data)
		if data == nil && err == nil {
			return
		}
		reply := &nats.Msg{Subject: m.Reply, Data: data}
		if err != nil {
			reply.Data, reply.Header = nil, nats.Header{errorHeader: {err.Error()}}
		}
		if err := b.enqueue(reply); err != nil {
			b.log.Error("bus lost an answer", "subject", m.Subject, "err", err)
		}
	})
}

// Request asks and waits for the first answer, or until ctx is done, for half a minute
// at most.
//
// Errors: ErrNotReady; ErrLost; ErrNoAnswer, if nobody handles the subject; the text of
// the error that the one who answered returned; that of ctx.
func (b *Bus) Request(ctx context.Context, subject string, request []byte) ([]byte, error) {
	c := b.conns.Load()
	if c == nil {
		return nil, fmt.Errorf("asking %s: %w", subject, ErrNotReady)
	}
	if !c.in.IsConnected() {
		return nil, fmt.Errorf("asking %s: %w", subject, ErrLost)
	}
	// What is lost with a connection is answered by nobody, so there is an end to waiting
	// whatever the caller's may be.
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := c.in.RequestWithContext(ctx, subject, request)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("asking %s: %w", subject, ErrNoAnswer)
	case err != nil:
		return nil, fmt.Errorf("asking %s: %w", subject, err)
	}
	if text := m.Header.Get(errorHeader); text != "" {
		return nil, fmt.Errorf("asking %s: %s", subject, text)
	}
	return m.Data, nil
}
