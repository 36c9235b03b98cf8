package delivery_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crowdVariable, set to "PORT N", makes the test binary be the crowd of a benchmark:
// its processor time is not to be counted, and a process may not hold both ends of
// 10,000 connections.
const crowdVariable = "HUSTINGS_DELIVERY_CROWD"

// crowd is a process that reads from many connections and throws away what comes.
type crowd struct {
	conns   []*net.TCPConn // our ends
	control net.Conn
	cmd     *exec.Cmd
}

// newCrowd starts a crowd of n.
func newCrowd(b *testing.B, n int) *crowd {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c := &crowd{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", crowdVariable, l.Addr().(*net.TCPAddr).Port, n))
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if c.control, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	for range n {
		conn, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c.conns = append(c.conns, conn.(*net.TCPConn))
	}
	return c
}

func (c *crowd) close(b *testing.B) {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.control.Close() // and so it ends
	if err := c.cmd.Wait(); err != nil {
		b.Errorf("the crowd: %v", err)
	}
}

// expect waits until the crowd has read total bytes in all.
func (c *crowd) expect(b *testing.B, total uint64) {
	var answer [8]byte
	if err := c.control.SetDeadline(time.Now().Add(patience)); err != nil {
		b.Fatal(err)
	}
	_, err := c.control.Write(binary.BigEndian.AppendUint64(nil, total))
	if err == nil {
		_, err = io.ReadFull(c.control, answer[:])
	}
	if err != nil {
		b.Fatalf("the crowd did not read %d bytes: %v", total, err)
	}
	if got := binary.BigEndian.Uint64(answer[:]); got != total {
		b.Fatalf("the crowd read %d bytes, not %d", got, total)
	}
}

// beCrowd is the crowd's process, if this is one.
func beCrowd() bool {
	var port, n int
	if _, err := fmt.Sscanf(os.Getenv(crowdVariable), "%d %d", &port, &n); err != nil {
		return false
	}
	if err := readAll(port, n); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
	return true
}

// readAll connects n times, and once before that for control: there it is asked for a
// number of bytes, and answers when it has read as many.
func readAll(port, n int) error {
	poll, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	control := -1
	for i := range n + 1 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, to); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if i == 0 {
			control = fd
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return err
		}
	}
	return readEvents(poll, control)
}

func readEvents(poll, control int) error {
	events := make([]unix.EpollEvent, 512)
	buffer := make([]byte, 256<<10)
	var read, asked uint64
	for {
		n, err := unix.EpollWait(poll, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			fd := int(event.Fd)
			got, err := unix.Read(fd, buffer)
			switch {
			case fd == control && got != 8:
				return nil // the benchmark is over
			case fd == control:
				asked = binary.BigEndian.Uint64(buffer)
			case err != nil || got == 0:
				unix.Close(fd)
			default:
				read += uint64(got)
			}
		}
		if asked > 0 && read >= asked {
			asked = 0
			if _, err := unix.Write(control, binary.BigEndian.AppendUint64(nil, read)); err != nil {
				return err
			}
		}
	}
}
