package node

import (
	"context"

	"hustings/internal/aac"
	"hustings/internal/live"
)

// startAAC brings up what makes the rendition for players that take no Opus. Without
// ffmpeg there is none, and everything else goes on: the log says so once.
func (w *wiring) startAAC(ctx context.Context) (*aac.Encoder, error) {
	encoder, err := aac.New(aac.Options{Log: live.Log{Kept: w.broadcast}, Logger: w.logger("aac")})
	if err != nil {
		return nil, err
	}
	w.crew.start(ctx, "aac", encoder.Run)
	return encoder, nil
}
