package delivery

import (
	"bytes"
	"crypto/tls"
	"time"
)

// record is the most that TLS encrypts at once, in bytes (RFC 8446, 5.1).
const record = 16 << 10

// secure is what a listener behind TLS has more than others.
type secure struct {
	conn     *tls.Conn // over a connection that was diverted into the loop's sealed
	tail     []byte    // ciphertext that did not go out: ours
	notified bool      // the end is encrypted, too
}

// sealed collects ciphertext.
type sealed struct{ bytes []byte }

func (s *sealed) Write(p []byte) (int, error) {
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}

// sendSealed is send behind TLS. A piece is begun once any of it is encrypted.
func (p *loop) sendSealed(l *listener, pieces [][]byte, now time.Duration) (begun int, err error) {
	if err := p.sendTail(l, now); err != nil {
		return 0, err
	}
	for !l.blocked && (len(l.rest) > 0 || begun < len(pieces)) {
		text, n := p.join(l, pieces[begun:])
		begun += n
		p.sealed.bytes = p.sealed.bytes[:0]
		if _, err := l.secure.conn.Write(text); err != nil {
			return begun, err
		}
		if err := p.sendCiphertext(l, p.sealed.bytes, now); err != nil {
			return begun, err
		}
	}
	return begun, nil
}

// sendTail goes on with ciphertext that did not go out before.
func (p *loop) sendTail(l *listener, now time.Duration) error {
	tail := l.secure.tail
	if len(tail) == 0 {
		return nil
	}
	n, err := write(int(l.fd), tail)
	if err != nil {
		return err
	}
	p.took(l, n, len(tail), now)
	if l.secure.tail = tail[n:]; n == len(tail) {
		l.secure.tail = nil
	}
	return nil
}

// sendCiphertext writes what is in the loop's buffer, and keeps what the socket does
// not take.
func (p *loop) sendCiphertext(l *listener, ciphertext []byte, now time.Duration) error {
	n, err := write(int(l.fd), ciphertext)
	if err != nil {
		return err
	}
	p.took(l, n, len(ciphertext), now)
	if n < len(ciphertext) {
		l.secure.tail = bytes.Clone(ciphertext[n:])
	}
	return nil
}

// join takes what is to be encrypted next off the rest and pieces, no more than the
// socket is likely to take, and returns how many pieces were begun by that.
func (p *loop) join(l *listener, pieces [][]byte) (text []byte, begun int) {
	room := p.room(l, pieces)
	if len(l.rest) == 0 && len(pieces) > 1 {
		if whole := p.joiner.of(pieces); whole != nil {
			text = whole[:min(room, len(whole))]
			return text, l.advance(len(text), pieces)
		}
	}
	if len(l.rest) == 0 {
		l.rest, begun = pieces[0], 1
	}
	text = l.rest[:min(room, len(l.rest))]
	l.advance(len(text), nil)
	return text, begun
}

// room returns how much is worth encrypting, in bytes. What fits into one record is
// not worth a question.
func (p *loop) room(l *listener, pieces [][]byte) int {
	total := len(l.rest)
	for i := 0; i < len(pieces) && total <= record; i++ {
		total += len(pieces[i])
	}
	if total <= record {
		return record
	}
	return max(p.opts.SendBuffer-unacknowledged(int(l.fd)), record)
}

// closeNotify tells the end, and says whether that is out.
func (p *loop) closeNotify(l *listener, now time.Duration) (out bool, err error) {
	if !l.secure.notified {
		l.secure.notified = true
		p.sealed.bytes = p.sealed.bytes[:0]
		if err := l.secure.conn.CloseWrite(); err != nil {
			return false, err
		}
		if l.blocked {
			l.secure.tail = bytes.Clone(p.sealed.bytes)
		} else if err := p.sendCiphertext(l, p.sealed.bytes, now); err != nil {
			return false, err
		}
	}
	return !l.pending(), nil
}
