//go:build linux

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loadOrder asks one path again and again, on connections that are kept.
type loadOrder struct {
	Addr, Path  string
	Connections int
	For         time.Duration
}

type loadAnswer struct {
	Error    string `json:",omitempty"`
	Requests int
	Took     time.Duration
	P50, P99 time.Duration
}

func playLoad(orders *json.Decoder, answers *json.Encoder) error {
	for {
		var order loadOrder
		if err := orders.Decode(&order); err != nil {
			return err
		}
		answer, err := putLoad(order)
		if err != nil {
			answer.Error = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

func putLoad(order loadOrder) (loadAnswer, error) {
	var (
		all   = make([][]time.Duration, order.Connections)
		errs  = make([]error, order.Connections)
		wait  sync.WaitGroup
		began = time.Now()
	)
	for i := range order.Connections {
		wait.Go(func() { all[i], errs[i] = askAgain(order, began.Add(order.For)) })
	}
	wait.Wait()
	answer := loadAnswer{Took: time.Since(began)}
	var times []time.Duration
	for i := range all {
		if errs[i] != nil {
			return answer, errs[i]
		}
		times = append(times, all[i]...)
	}
	answer.Requests = len(times)
	s := spreadOf(times)
	answer.P50, answer.P99 = s.P50, s.P99
	return answer, nil
}

// askAgain asks until the end and returns how long each answer took.
func askAgain(order loadOrder, end time.Time) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", order.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(end.Add(10 * time.Second)); err != nil {
		return nil, err
	}
	ask := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", order.Path, order.Addr)
	buffer := make([]byte, 256<<10)
	var times []time.Duration
	for now := time.Now(); now.Before(end); {
		if _, err := conn.Write(ask); err != nil {
			return nil, err
		}
		if err := readAnswer(conn, buffer); err != nil {
			return nil, err
		}
		then := now
		now = time.Now()
		times = append(times, now.Sub(then))
	}
	return times, nil
}

// readAnswer reads one answer of HTTP/1.1, by its Content-Length or in chunks; the
// body is not kept.
func readAnswer(conn net.Conn, buffer []byte) error {
	got, size := 0, -1
	for size < 0 || got < size {
		if got == len(buffer) {
			return fmt.Errorf("an answer of more than %d bytes", got)
		}
		n, err := conn.Read(buffer[got:])
		if err != nil {
			return err
		}
		got += n
		if size < 0 {
			if size, err = sizeOfAnswer(buffer[:got]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sizeOfAnswer returns how long the answer is, head included, or -1 if that can't be
// seen yet.
func sizeOfAnswer(data []byte) (int, error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return -1, nil
	}
	if err := checkStatus(data); err != nil {
		return 0, err
	}
	end += 4
	for line := range strings.SplitSeq(string(data[:end]), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Length"):
			n, err := strconv.Atoi(value)
			return end + n, err
		case strings.EqualFold(name, "Transfer-Encoding") && strings.EqualFold(value, "chunked"):
			if bytes.HasSuffix(data, []byte("\r\n0\r\n\r\n")) {
				return len(data), nil
			}
			return -1, nil
		}
	}
	return 0, fmt.Errorf("an answer without a length")
}
