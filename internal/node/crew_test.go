package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPartsEndInReverseEachBeforeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(slog.New(slog.DiscardHandler))
		var ended []string
		for _, name := range []string{"bus", "stage", "web"} {
			c.start(t.Context(), name, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				ended = append(ended, name)
				return nil
			}).leave = func(context.Context) error {
				ended = append(ended, name+" leaves")
				return nil
			}
		}
		if err := c.stop(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		want := []string{"web leaves", "web", "stage leaves", "stage", "bus leaves", "bus"}
		if !slices.Equal(ended, want) {
			t.Errorf("ended %v, want %v", ended, want)
		}
	})
}

func TestAPartThatHangsIsNotWaitedForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(slog.New(slog.DiscardHandler))
		below := make(chan struct{})
		hang := make(chan struct{})
		c.start(t.Context(), "bus", func(ctx context.Context) error {
			<-ctx.Done()
			close(below)
			return nil
		})
		c.start(t.Context(), "stage", func(context.Context) error {
			<-hang
			return nil
		})
		begun := time.Now()
		err := c.stop(9 * time.Second)
		if err == nil || !strings.Contains(err.Error(), "stage did not end") || time.Since(begun) != 9*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		<-below // was told all the same
		close(hang)
	})
}

func TestAPartThatEndsByItselfEndsTheNode(t *testing.T) {
	broken := errors.New("the port is gone")
	for name, end := range map[string]error{"the port is gone": broken, "ended by itself": nil} {
		c := newCrew(slog.New(slog.DiscardHandler))
		c.start(t.Context(), "stage", func(context.Context) error { return end })
		err := c.await(t.Context(), "the next part", make(chan struct{}))
		if err == nil || !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), "stage: ") {
			t.Errorf("got %v", err)
		}
		if err := c.stop(time.Second); err != nil {
			t.Error(err)
		}
	}
}
