// Hustings puts a live conversation in front of a crowd.
//
// This is its program: it reads flags and environment, listens for signals, and
// hands over to internal/node (serve, demo) or internal/client (publish, listen).
// A setting is declared once, in a tag: its flag, its name in the environment, its
// default and its help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set when a release is built: -ldflags "-X main.version=...".
var version = "dev"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it could not be done, and why is on standard error
	exitUsage  = 2 // the command line is not understood
)

type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the server: spaces, their stages, their listeners and recordings."`
	Demo    demoCommand    `cmd:"" set:"loglevel=warn" help:"Run a server with one live space in which three voices talk: something to hear at once."`
	Publish publishCommand `cmd:"" help:"Speak a recording, or standard input, into a space."`
	Listen  listenCommand  `cmd:"" help:"Hear a space, prove what was heard, and say how it went in one line of JSON."`

	Rehearse       rehearseCommand       `cmd:"" set:"loglevel=warn" help:"Put a crowd of simulated listeners on a space, and say what they heard."`
	RehearseWorker rehearseWorkerCommand `cmd:"" name:"rehearse-worker" hidden:"" set:"loglevel=warn"`

	Version kong.VersionFlag `help:"Say which version this is."`
}

const description = `Hustings puts a live conversation in front of a crowd.

Begin with "hustings demo" and open the link that it prints. Every setting can be given by flag or by the variable in the environment that its help names; a flag goes first.`

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the program, without its process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := untilSignalled()
	defer stop()

	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("hustings"), kong.Description(description), kong.Vars{"version": version, "loglevel": "info"},
		kong.Writers(stdout, stderr), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.WithHyphenPrefixedParameters(true), // one token in 64 begins with one
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams{in: stdin, out: stdout, err: stderr}),
	)
	if err != nil {
		panic(err) // the tags above are wrong: no input can cause this
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "hustings: %v\n%s\n", err, usageHint(err))
		return exitUsage
	}
	if err := command.Run(); err != nil {
		fmt.Fprintf(stderr, "hustings: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// usageHint says which help is the right one.
func usageHint(err error) string {
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil && e.Context.Command() != "" {
		return fmt.Sprintf("See: hustings %s --help", e.Context.Selected().Name)
	}
	return "See: hustings --help"
}

// streams are the program's standard streams.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// untilSignalled returns a context that the first signal ends, which asks for an end
// in good order. By then signals have their usual meaning again, so the second one
// ends the program at once. A terminal that closes is such a signal too, unless
// whoever started us ignores it (nohup).
func untilSignalled() (ctx context.Context, stop func()) {
	ending := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ending = append(ending, syscall.SIGHUP)
	}
	signalled := make(chan os.Signal, 1)
	signal.Notify(signalled, ending...)
	ctx, stop = context.WithCancel(context.Background())
	go func() {
		select {
		case <-signalled:
		case <-ctx.Done():
		}
		signal.Stop(signalled) // before anybody can see that the end has begun
		stop()
	}()
	return ctx, stop
}
