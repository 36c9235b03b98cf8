package main

import (
	"fmt"
	"io"
	"log/slog"
)

// logging is how every command logs: to standard error, so that standard output
// holds only what the command is asked for.
type logging struct {
	LogLevel  string `name:"log-level" env:"HUSTINGS_LOG_LEVEL" default:"${loglevel}" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error. Default: ${default}."`
	LogFormat string `name:"log-format" env:"HUSTINGS_LOG_FORMAT" default:"text" placeholder:"FORMAT" help:"How it is logged: text or json. Default: ${default}."`
}

func (l logging) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: use debug, info, warn or error", l.LogLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch l.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q: use text or json", l.LogFormat)
}
