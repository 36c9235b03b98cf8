package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"hustings/internal/rehearse"
)

type rehearseCommand struct {
	URL       string        `arg:"" name:"url-of-space" help:"The space's page (https://host/s/ID). Its doors have to be open: hold audio is enough."`
	Listeners int           `required:"" placeholder:"N" help:"How many come."`
	Arrive    time.Duration `default:"60s" placeholder:"TIME" help:"Time within which all come. Default: ${default}."`
	Hold      time.Duration `default:"60s" placeholder:"TIME" help:"Time for which they stay after that. Default: ${default}."`
	Shape     string        `default:"rush" enum:"even,rush,storm,exit" placeholder:"SHAPE" help:"How they come and go: even, rush, storm or exit (see above). Default: ${default}."`
	Workers   int           `placeholder:"N" help:"Processes to run the crowd in. Default: one for every 15,000 listeners, or fewer if it may open fewer files."`
	JSON      bool          `name:"json" help:"Print one JSON object on standard output instead of the summary."`
	Report    string        `placeholder:"FILE.html" help:"Write a page with plots and the signed report, to publish as evidence."`
	Token     string        `env:"HUSTINGS_OWNER_TOKEN" placeholder:"TOKEN" help:"The owner's token; rather by its variable, since others on this machine can see flags."`

	logging
}

func (rehearseCommand) Help() string {
	return `Puts a crowd of simulated listeners on a space and says what they heard. Each opens the page's documents, joins over the network, checks every block that comes, and has a playback buffer that must not run dry; one in a hundred finds its blocks in the signed log, the others compare theirs with those. The server permits it to the owner alone, keeps the crowd out of the tally and signs the report; what it announces as its capacity is that of its last rehearsal.

    even    they come at one rate
    rush    one in ten before the announced minute, then most at once: seven in eight are there within 30 s of it
    storm   even, and in mid-hold all lose their connections at once and come back
    exit    even, and in mid-hold nine in ten leave at once

    hustings rehearse https://host/s/ID --listeners 15000 --report evidence.html

It fails (exit code 1) if somebody never heard sound or heard a gap. Ctrl-C ends it in good order, with a report of what was. Let the crowd have a machine of its own: on the server's machine, each takes from the other. --json prints:

    verdict, ok                    in words; whether everyone heard all
    space, server, rehearsal, began_at, arrive_seconds, hold_seconds
    crowd                          what it says: listeners, joined, heard, whole (heard all), together (most at once
                                   before the first fault), gaps, gap_seconds, longest_gap_seconds,
                                   first_sound_seconds {p50, p90, p99, max}, reconnects, blocks, blocks_proven,
                                   blocks_refuted, bytes, seconds, workers, dead_workers, generator_limited, interrupted
    server_counted                 the worst that the servers counted: joined, hearing, skips, nodes, audience,
                                   processor (0 to 1), late, interval (T), depth (seconds), rung (kb/s)
    most_hearing, most_bytes_per_second, never_heard, heard_a_gap
    refused, failed                answers by status, connections by reason
    blocks_compared                that are byte for byte what the log has
    generator_processor            most of this machine's processors that the crowd took (0 to 1)
    generator_limit                why this machine and not the server was the limit; empty if it was not
    capacity, report               what the server announces now, 0 if unchanged; the report that it signed
    report_error                   why it signed none`
}

var errNotAllHeard = errors.New("not everyone heard every block")

func (c *rehearseCommand) Run(ctx context.Context, std streams) error {
	log, err := c.logger(std.err)
	if err != nil {
		return err
	}
	shape, err := rehearse.ParseShape(c.Shape)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program to run workers: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r, err := rehearse.New(rehearse.Options{
		URL: c.URL, Token: c.Token, Workers: c.Workers, Stderr: std.err, Logger: log,
		Plan:    rehearse.Plan{Shape: shape, Listeners: c.Listeners, Arrive: c.Arrive, Hold: c.Hold},
		Program: []string{self, "rehearse-worker", "--log-level", c.LogLevel, "--log-format", c.LogFormat},
		Viewer:  c.viewer(std, stop),
	})
	if err != nil {
		return err
	}
	result, err := r.Run(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(c.tell(std.out, result), c.publish(result)); err != nil {
		return err
	}
	if !result.OK() {
		return errNotAllHeard
	}
	return result.ReportErr
}

// viewer draws on a terminal, and writes plain lines where there is none.
func (c *rehearseCommand) viewer(std streams, stop func()) rehearse.Viewer {
	if isTerminal(std.out) && isTerminal(std.in) && !c.JSON {
		return rehearse.NewScreen(std.in, std.out, stop)
	}
	return &rehearse.Lines{Out: std.err}
}

func (c *rehearseCommand) tell(out io.Writer, result *rehearse.Result) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(result.Document())
	}
	return result.Write(out)
}

// publish writes the page, if one is wanted.
func (c *rehearseCommand) publish(result *rehearse.Result) (err error) {
	if c.Report == "" {
		return nil
	}
	file, err := os.Create(c.Report)
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	defer func() {
		if e := file.Close(); e != nil && err == nil {
			err = fmt.Errorf("cannot write the report: %w", e)
		}
	}()
	return result.WritePage(file)
}

// rehearseWorkerCommand is a part of a crowd, started by hustings rehearse.
type rehearseWorkerCommand struct {
	logging
}

func (c *rehearseWorkerCommand) Run(ctx context.Context, std streams) error {
	log, err := c.logger(std.err)
	if err != nil {
		return err
	}
	return rehearse.RunWorker(ctx, std.in, std.out, log)
}
