// Package client speaks Hustings' public protocol from the outside: no more of
// it than any browser or broadcast tool could.
//
// Publish speaks a recording, or whatever comes in on standard input, into a
// space by WHIP. Listen hears the programme by its fragmented MP4 and proves that
// what it heard is what was written into the signed log. Hear joins the stage by
// WHEP and gives out the mix that a speaker hears. All three take the link that a
// person has in the address bar, and come back by themselves when the server
// restarts.
package client

import (
	"log/slog"

	"hustings/internal/reach"
)

// What is said of servers and links here is said in the words of reach.
type (
	// Link is a space's link.
	Link = reach.Link
	// StatusError is an answer of the server other than the one that was hoped for.
	StatusError = reach.StatusError
)

// ParseLink reads a space's link as people pass it on.
func ParseLink(raw string) (Link, error) { return reach.ParseLink(raw) }

func loggerOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
