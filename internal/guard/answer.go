package guard

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// answer is a ResponseWriter that remembers what was answered, and that gives up
// on who takes nothing of it.
type answer struct {
	http.ResponseWriter
	stall    time.Duration
	route    string // pattern of the mux
	status   int
	bytes    int64
	hijacked bool
	begun    bool // before it panicked
}

// allow gives the client time to take the next part.
func (a *answer) allow() {
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(a.stall)) // a test's recorder has none
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write has all that is long come in parts: it has no ReadFrom, which could take
// hours.
func (a *answer) Write(p []byte) (int, error) {
	a.allow()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Hijack hands over the connection, without a deadline.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.hijacked = err == nil
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	switch {
	case a.hijacked:
		return http.StatusSwitchingProtocols
	case a.status == 0:
		return http.StatusOK
	default:
		return a.status
	}
}
