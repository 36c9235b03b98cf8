package wire

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// Head takes the head of an HTTP/1.1 answer apart as it comes (RFC 9112). It keeps
// one line at a time.
type Head struct {
	line [512]byte // what is longer is cut: nothing that matters here is
	n    int       // bytes of the line so far, also of those that were cut
	all  int       // bytes of the head

	Status   int
	length   int64 // of the body; -1 if it is not told
	chunked  bool
	Close    bool // no other answer comes on this connection
	Retry    time.Duration
	Location string
}

// mostHead bounds a head.
const mostHead = 64 << 10

var errAnswer = errors.New("not an answer of HTTP/1.1")

// Begin makes the head ready for the next answer.
func (h *Head) Begin() {
	h.n, h.all, h.Status, h.length, h.chunked, h.Close, h.Retry, h.Location = 0, 0, 0, -1, false, false, 0, ""
}

// Take takes what it needs of b. done says that the head is complete, and the body
// begins behind what was taken.
func (h *Head) Take(b []byte) (taken int, done bool, err error) {
	for taken < len(b) {
		end := bytes.IndexByte(b[taken:], '\n')
		line := b[taken:]
		if end >= 0 {
			line = line[:end]
			taken++
		}
		if h.n < len(h.line) {
			copy(h.line[h.n:], line)
		}
		h.n += len(line)
		h.all += len(line) + 1
		taken += len(line)
		if h.all > mostHead {
			return taken, false, errAnswer
		}
		if end < 0 {
			return taken, false, nil
		}
		whole := bytes.TrimSuffix(h.line[:min(h.n, len(h.line))], []byte("\r"))
		cut := h.n > len(h.line)
		h.n = 0
		switch {
		case h.Status == 0:
			if err := h.statusLine(whole); err != nil {
				return taken, false, err
			}
		case len(whole) > 0:
			if err := h.field(whole, cut); err != nil {
				return taken, false, err
			}
		case h.Status < 200: // the answer itself is still to come (RFC 9110, section 15.2)
			h.Begin()
		default:
			return taken, true, nil
		}
	}
	return taken, false, nil
}

// statusLine reads "HTTP/1.1 200 OK".
func (h *Head) statusLine(line []byte) error {
	version, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(rest) < 3 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return errAnswer
	}
	status, err := strconv.Atoi(string(rest[:3]))
	if err != nil || status < 100 {
		return errAnswer
	}
	h.Status = status
	h.Close = string(version) == "HTTP/1.0"
	return nil
}

// field reads one header field.
func (h *Head) field(line []byte, cut bool) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return errAnswer
	}
	value = bytes.TrimSpace(value)
	switch {
	case is(name, "content-length"):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return errAnswer
		}
		h.length = n
	case is(name, "transfer-encoding"):
		h.chunked = is(value, "chunked")
	case is(name, "connection"):
		h.Close = h.Close || is(value, "close")
	case is(name, "retry-after"):
		if s, err := strconv.ParseUint(string(value), 10, 32); err == nil {
			h.Retry = time.Duration(s) * time.Second
		}
	case is(name, "location") && !cut:
		h.Location = string(value)
	}
	return nil
}

// is compares without regard to case, and without making strings.
func is(b []byte, name string) bool {
	return len(b) == len(name) && bytes.EqualFold(b, []byte(name))
}

// Redirect reports whether the answer sends its client elsewhere.
func (h *Head) Redirect() bool {
	switch h.Status {
	case 301, 302, 303, 307, 308:
		return h.Location != ""
	}
	return false
}

// Framing is how the body of an answer is delimited, and how much of it came (RFC
// 9112, section 6).
type Framing struct {
	left int64 // bytes of the body, or of the chunk, that are to come; its size while that is read
	mode mode
}

type mode uint8

const (
	inHead     mode = iota // there is no body yet
	untilClose             // the body is all that comes
	counted                // the body is left bytes long
	chunkSize              // a line with the size of a chunk comes
	chunkName              // the rest of that line
	chunkData              // left bytes of a chunk come
	chunkEnd               // the line's end behind a chunk
	trailer                // lines behind the last chunk; left counts the bytes of one
	complete               // the body is over
)

// InHead reports whether the head is still to come.
func (f Framing) InHead() bool { return f.mode == inHead }

// UntilClose reports whether the body ends with the connection.
func (f Framing) UntilClose() bool { return f.mode == untilClose }

// Complete reports whether the body is over.
func (f Framing) Complete() bool { return f.mode == complete }

// Begin says how the body behind a head is framed.
func (f *Framing) Begin(h *Head) {
	switch {
	case h.Status == 204 || h.Status == 304:
		*f = Framing{mode: complete}
	case h.chunked:
		*f = Framing{mode: chunkSize}
	case h.length == 0:
		*f = Framing{mode: complete}
	case h.length > 0:
		*f = Framing{mode: counted, left: h.length}
	default:
		*f = Framing{mode: untilClose}
	}
}

// mostChunk bounds a chunk.
const mostChunk = 1 << 30

// Take returns the next piece of the body in b, which may be empty, and what is
// behind it.
func (f *Framing) Take(b []byte) (body, rest []byte, err error) {
	switch f.mode {
	case untilClose:
		return b, nil, nil
	case counted, chunkData:
		n := min(f.left, int64(len(b)))
		if f.left -= n; f.left == 0 {
			if f.mode == counted {
				f.mode = complete
			} else {
				f.mode = chunkEnd
			}
		}
		return b[:n], b[n:], nil
	case complete:
		return nil, nil, nil // nothing was asked for yet that could come
	}
	rest, err = f.chunkLine(b)
	return nil, rest, err
}

// chunkLine reads what is between chunks, a byte at a time: there is little of it.
func (f *Framing) chunkLine(b []byte) (rest []byte, err error) {
	for i, c := range b {
		switch f.mode {
		case chunkSize:
			digit := hex(c)
			switch {
			case digit >= 0:
				f.left = f.left<<4 | digit
			case c == '\n':
				f.begun()
			default:
				f.mode = chunkName
			}
			if f.left > mostChunk {
				return nil, errAnswer
			}
		case chunkName:
			if c == '\n' {
				f.begun()
			}
		case chunkEnd:
			if c == '\n' {
				f.mode = chunkSize
			} else if c != '\r' {
				return nil, errAnswer
			}
		case trailer:
			switch {
			case c == '\n' && f.left == 0:
				f.mode = complete
			case c == '\n':
				f.left = 0
			case c != '\r':
				f.left++
			}
		default:
			return b[i:], nil
		}
	}
	return nil, nil
}

// begun is called behind the line of a chunk's size.
func (f *Framing) begun() {
	f.mode = chunkData
	if f.left == 0 {
		f.mode = trailer
	}
}

func hex(c byte) int64 {
	switch {
	case c >= '0' && c <= '9':
		return int64(c - '0')
	case c >= 'a' && c <= 'f':
		return int64(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int64(c-'A') + 10
	}
	return -1
}
