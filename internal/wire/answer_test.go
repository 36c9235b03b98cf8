package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answerInPieces takes an answer apart, fed in pieces.
func answerInPieces(data, cuts []byte) (h *Head, body []byte, f Framing, rest int, err error) {
	h = new(Head)
	h.Begin()
	for at := 0; len(data) > 0; at++ {
		n := len(data)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[at%len(cuts)]))
		}
		piece := bytes.Clone(data[:n])
		data = data[n:]
		for len(piece) > 0 {
			if f.mode == inHead {
				taken, done, err := h.Take(piece)
				if err != nil {
					return h, body, f, 0, err
				}
				if piece = piece[taken:]; done {
					f.Begin(h)
				}
				continue
			}
			if f.mode == complete {
				return h, body, f, len(piece) + len(data), nil
			}
			part, behind, err := f.Take(piece)
			if err != nil {
				return h, body, f, 0, err
			}
			body, piece = append(body, part...), behind
		}
	}
	return h, body, f, 0, nil
}

func TestAnswersAreTakenApart(t *testing.T) {
	for name, c := range map[string]struct {
		answer, body string
		check        func(h *Head, f Framing) bool
	}{
		"a stream": {
			"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: audio/mp4\r\n\r\nabc", "abc",
			func(h *Head, f Framing) bool { return h.Status == 200 && h.Close && f.mode == untilClose },
		},
		"with a length": {
			"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 5\r\n\r\nhello", "hello",
			func(h *Head, f Framing) bool { return !h.Close && f.mode == complete },
		},
		"in chunks": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n", "abc0123456789",
			func(_ *Head, f Framing) bool { return f.mode == complete },
		},
		"no, later": {
			"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", "",
			func(h *Head, f Framing) bool {
				return h.Status == 503 && h.Retry == 7*time.Second && f.mode == complete
			},
		},
		"elsewhere": {
			"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:81/live/talk.mp4\r\nContent-Length: 0\r\n\r\n", "",
			func(h *Head, _ Framing) bool {
				return h.Redirect() && h.Location == "http://127.0.0.1:81/live/talk.mp4"
			},
		},
		"after a hint": {
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "",
			func(h *Head, f Framing) bool { return h.Status == 204 && f.mode == complete },
		},
		"of an old server": {
			"HTTP/1.0 200 OK\n\nx", "x",
			func(h *Head, f Framing) bool { return h.Close && f.mode == untilClose },
		},
		"with a long line": {
			"HTTP/1.1 200 OK\r\nContent-Security-Policy: " + strings.Repeat("x", 2000) + "\r\nContent-Length: 1\r\n\r\nz", "z",
			func(h *Head, f Framing) bool { return h.length == 1 && f.mode == complete },
		},
	} {
		for n := range 40 {
			h, body, f, _, err := answerInPieces([]byte(c.answer), []byte{byte(n)})
			if err != nil || string(body) != c.body || !c.check(h, f) {
				t.Fatalf("%s, in pieces of %d: %+v, body %q, framing %+v, %v", name, n+1, h, body, f, err)
			}
		}
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	for _, answer := range []string{
		"SSH-2.0-OpenSSH\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", mostHead+1),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
	} {
		if _, _, _, _, err := answerInPieces([]byte(answer), []byte{10}); err == nil {
			t.Errorf("%.60q was taken for an answer", answer)
		}
	}
}

// FuzzAnswer: what is taken for a whole answer, net/http takes for the same one; and
// how it came in pieces makes no difference.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), []byte{2})
	f.Add([]byte("HTTP/1.1 425 Too Early\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\nno"), []byte{0})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		h, body, framed, rest, err := answerInPieces(data, cuts)
		h2, body2, framed2, rest2, err2 := answerInPieces(data, nil)
		if (err == nil) != (err2 == nil) || !bytes.Equal(body, body2) || framed != framed2 || rest != rest2 || h.Status != h2.Status {
			t.Fatalf("in pieces of %v: %q, %+v, %d left, %v; at once %q, %+v, %d left, %v", cuts, body, framed, rest, err, body2, framed2, rest2, err2)
		}
		if err != nil || framed.mode != complete {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
		if err != nil || resp.StatusCode != h.Status || resp.StatusCode < 200 {
			return // net/http is stricter
		}
		defer resp.Body.Close()
		if whole, err := io.ReadAll(resp.Body); err == nil && resp.ContentLength >= 0 && !bytes.Equal(whole, body) {
			t.Fatalf("%q has the body %q, not %q", data, whole, body)
		}
	})
}
