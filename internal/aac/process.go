package aac

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// feedWithin is how long a process may take to take a block.
const feedWithin = 10 * time.Second

// maxComplaint bounds what is kept of what a process says, in bytes.
const maxComplaint = 2 << 10

// process is an ffmpeg that encodes.
type process struct {
	in, out *os.File
	cmd     *exec.Cmd
	said    complaint
	ended   chan struct{} // closed when it is gone
	err     error         // why, once it is gone
}

// arguments are those of an encoder that keeps nothing back that it need not.
func arguments(channels int) []string {
	rate := strconv.Itoa(Bandwidth * channels)
	return strings.Fields("-hide_banner -nostdin -loglevel error -threads 1" +
		" -flags low_delay -probesize 32 -analyzeduration 0 -f ogg -i pipe:0" +
		" -map 0:a:0 -c:a aac -profile:a aac_low -b:a " + rate + " -flush_packets 1 -f adts pipe:1")
}

// start starts an encoder.
func start(program string, channels int) (*process, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	p := &process{in: in, out: out, cmd: exec.Command(program, arguments(channels)...), ended: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, &p.said
	p.cmd.SysProcAttr = bound()
	p.cmd.WaitDelay = time.Second // for a child of its own that keeps its standard error
	started := make(chan error, 1)
	go p.attend(started)
	err = <-started
	// The process has its own now, if there is one.
	_ = theirIn.Close()
	_ = theirOut.Close()
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return p, nil
}

// attend starts the process and waits for its end, both on one thread: on Linux the
// process is killed when the thread ends that started it, which is then that of the
// whole program.
func (p *process) attend(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	if err := p.cmd.Wait(); err != nil {
		p.err = fmt.Errorf("%w: %s", err, p.said.String())
	}
	close(p.ended)
}

// feed gives the process bytes.
func (p *process) feed(data []byte) error {
	if err := p.in.SetWriteDeadline(time.Now().Add(feedWithin)); err != nil {
		return err
	}
	_, err := p.in.Write(data)
	return err
}

// kill ends the process and waits for its end.
func (p *process) kill() {
	killGroup(p.cmd.Process)
	<-p.ended
}

// close lets go of both ends, of a process that is gone.
func (p *process) close() {
	_ = p.in.Close()
	_ = p.out.Close()
}

// complaint keeps the first of what a process says. It is written by one goroutine,
// and read after the process has ended.
type complaint struct{ text bytes.Buffer }

func (c *complaint) Write(p []byte) (int, error) {
	c.text.Write(p[:min(len(p), maxComplaint-min(maxComplaint, c.text.Len()))])
	return len(p), nil
}

func (c *complaint) String() string { return strings.TrimSpace(c.text.String()) }

// try encodes a moment of silence.
func try(ctx context.Context, program string) error {
	cmd := exec.CommandContext(ctx, program, strings.Fields("-hide_banner -nostdin -loglevel error -f s16le -ar 48000 -ac 1 -i pipe:0 -c:a aac -f adts pipe:1")...)
	cmd.Stdin = bytes.NewReader(make([]byte, 2*4800))
	cmd.SysProcAttr = bound()
	said, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %.200s", err, said)
	case len(said) == 0:
		return errors.New("nothing came out")
	}
	return nil
}
