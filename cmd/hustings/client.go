package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"hustings/internal/client"
	"hustings/internal/tape"
)

type publishCommand struct {
	Token string `env:"HUSTINGS_TOKEN" placeholder:"TOKEN" help:"Token of the invite; not needed if the link is the invite's own (…#token=TOKEN)."`
	URL   string `arg:"" name:"url-of-space" help:"The space's page (https://host/s/ID), or an invite's link."`
	File  string `arg:"" help:"WAV or Ogg Opus; - is raw 48 kHz mono s16le from standard input."`

	logging
}

func (publishCommand) Help() string {
	return `The recording is spoken in real time, and the command ends when it does. If the connection is lost it is made again by itself, while the recording goes on as a live voice would. The invite's seat is taken over from whoever has it.

    hustings publish --token TOKEN https://host/s/ID talk.wav
    ffmpeg -i rtsp://camera -f s16le -ar 48000 -ac 1 - | hustings publish 'https://host/studio/ID#token=TOKEN' -`
}

func (c *publishCommand) Run(ctx context.Context, std streams) error {
	log, err := c.logger(std.err)
	if err != nil {
		return err
	}
	source, file, err := tape.Open(c.File, std.in)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = client.Publish(ctx, client.PublishOptions{URL: c.URL, Token: c.Token, Source: source, Logger: log})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // interrupted, and left the stage in good order
	}
	return err
}

type listenCommand struct {
	URL      string        `arg:"" name:"url-of-space" help:"The space's page (https://host/s/ID)."`
	For      time.Duration `placeholder:"30s" help:"Stop this long after the first sound; else when the space ends."`
	Out      string        `placeholder:"FILE.ogg" help:"Write what is heard to this file as Ogg Opus; - is standard output, and the report then goes to standard error."`
	Unproven bool          `help:"Do not ask for proofs that what was heard is in the signed log."`

	logging
}

func (listenCommand) Help() string {
	return `Hears the programme as a listener's page does, from the live edge, and waits for the doors if they are not open yet. At the end it prints one line of JSON:

    seconds_heard        of programme
    gaps, gap_seconds    holes in it
    first_sound_seconds  from the request to the first block
    backlog_seconds      that came at once, so that a player starts at once
    latency_seconds      from the stage to here, median; -1 if it is not known
    bytes, blocks        that came (a block is half a second)
    blocks_proven        found in the server's signed log exactly as they were heard
    reconnects, ended    how often the connection was made again; whether the space ended

It fails if what was heard is not what was signed.`
}

func (c *listenCommand) Run(ctx context.Context, std streams) (err error) {
	log, err := c.logger(std.err)
	if err != nil {
		return err
	}
	if c.For < 0 {
		return fmt.Errorf("--for %v: a time can't be negative", c.For)
	}
	options := client.ListenOptions{URL: c.URL, For: c.For, Unproven: c.Unproven, Logger: log}
	report := std.out
	switch c.Out {
	case "":
	case "-":
		options.Out, report = std.out, std.err
	default:
		file, err := os.Create(c.Out)
		if err != nil {
			return fmt.Errorf("cannot record: %w", err)
		}
		defer closeFile(file, &err)
		options.Out = file
	}
	heard, err := client.Listen(ctx, options)
	if heard.Blocks > 0 || err == nil {
		err = errors.Join(err, json.NewEncoder(report).Encode(heard))
	}
	return err
}

// closeFile closes what was written; an error then means that it was not.
func closeFile(file io.Closer, err *error) {
	if e := file.Close(); e != nil && *err == nil {
		*err = fmt.Errorf("cannot record: %w", e)
	}
}
