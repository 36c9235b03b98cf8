package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// crew runs the parts of a node. They end in the reverse of the order in which
// they were started, each before the one below it is told to.
type crew struct {
	log     *slog.Logger
	members []*member
	failed  chan error // the first that ended by itself
}

type member struct {
	name   string
	leave  func(ctx context.Context) error // before it is told to end; may be nil
	cancel context.CancelFunc
	done   chan struct{}
}

func newCrew(log *slog.Logger) *crew {
	return &crew{log: log, failed: make(chan error, 1)}
}

// start runs a part until stop. Its end before that, even without an error, is a
// failure of the whole node.
func (c *crew) start(ctx context.Context, name string, run func(context.Context) error) *member {
	// The node's own end must not reach all parts at once: it comes by stop.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &member{name: name, cancel: cancel, done: make(chan struct{})}
	c.members = append(c.members, m)
	go func() {
		defer close(m.done)
		err := run(ctx)
		if ctx.Err() != nil {
			if err != nil {
				c.log.Error("a part of the node did not end in good order", "part", name, "err", err)
			}
			return
		}
		if err == nil {
			err = fmt.Errorf("it ended by itself")
		}
		select {
		case c.failed <- fmt.Errorf("%s: %w", name, err):
		default:
		}
	}()
	return m
}

// stop ends all parts, within the given time.
func (c *crew) stop(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for i := len(c.members) - 1; i >= 0; i-- {
		m := c.members[i]
		if m.leave != nil {
			if err := m.leave(ctx); err != nil {
				c.log.Warn("a part of the node left in a hurry", "part", m.name, "err", err)
			}
		}
		m.cancel()
		select {
		case <-m.done:
		case <-ctx.Done():
			for _, m := range c.members[:i] {
				m.cancel()
			}
			return fmt.Errorf("%s did not end within %v", m.name, within)
		}
	}
	return nil
}

// await waits until a part is ready, which has to be soon.
func (c *crew) await(ctx context.Context, what string, ready <-chan struct{}) error {
	timeout := time.NewTimer(comeUpWithin)
	defer timeout.Stop()
	return c.awaitUntil(ctx, what, ready, timeout.C)
}

// awaitUntil is await with another end, nil for none.
func (c *crew) awaitUntil(ctx context.Context, what string, ready <-chan struct{}, timeout <-chan time.Time) error {
	select {
	case <-ready:
		return nil
	case err := <-c.failed:
		return err
	case <-timeout:
		return fmt.Errorf("%s is not ready after %v", what, comeUpWithin)
	case <-ctx.Done():
		return ctx.Err()
	}
}
