package space

import (
	"errors"
	"fmt"
)

// Kind sorts errors by what the person at the other end can do about them. The
// web room maps each to one HTTP status.
type Kind string

// The kinds of error.
const (
	Invalid      Kind = "invalid"      // the input is wrong: correct it (400, 422)
	Unauthorized Kind = "unauthorized" // no token, or one that does not hold (401)
	Forbidden    Kind = "forbidden"    // the token holds, but not for this (403)
	NotFound     Kind = "not found"    // there is no such thing (404)
	Conflict     Kind = "conflict"     // not in this phase (409)
	Gone         Kind = "gone"         // it was, and is over (410)
	Unsupported  Kind = "unsupported"  // a media type that is not understood (415)
	TooEarly     Kind = "too early"    // it will be (425)
	Full         Kind = "full"         // no seat left (503)
	Internal     Kind = "internal"     // a fault of ours (500)
)

// Error is an error with a kind and a text that tells a person what to do next.
type Error struct {
	Kind   Kind
	Detail string // a whole sentence without the full stop; safe to show to anyone
	Err    error  // the cause, if any; for the log, never shown
}

// Errorf makes an *Error. A %w in the format is kept as its cause, and its text
// is shown too: wrap only what may be shown.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Detail: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err, Internal if it has none, "" if err is nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
