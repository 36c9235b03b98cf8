//go:build linux

package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// process is one that was started for the scene, and ends with it.
type process struct {
	name  string
	cmd   *exec.Cmd
	said  *tail // on standard error
	ended chan struct{}
}

// start starts cmd. It is asked to end, and then made to, when the test ends, or at
// once if the test itself is killed.
func start(t testing.TB, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, said: &tail{}, ended: make(chan struct{})}
	cmd.Stderr = p.said
	cmd.WaitDelay = time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		cmd.Wait() // how it ended is of no interest: whoever misses it will say so
		close(p.ended)
	}()
	t.Cleanup(p.stop)
	return p, nil
}

// stop ends the process; a second call does nothing.
func (p *process) stop() {
	select {
	case <-p.ended:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(12 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// trouble adds to err what the process said last.
func (p *process) trouble(err error) error {
	if last := p.said.String(); last != "" {
		return fmt.Errorf("%s: %w; it said: %s", p.name, err, last)
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// cpuTime returns the processor time that a process and its children have used, to
// the nanosecond: the clock that /proc/PID/stat shows in hundredths of a second.
func (p *process) cpuTime() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range p.family() {
		var ts unix.Timespec
		// clock_getcpuclockid(3): the inverted pid, and 2 for "as the scheduler counts it".
		if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
			return 0, p.trouble(fmt.Errorf("its processor clock: %w", err))
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// memory returns the bytes of its own share of resident memory (PSS), children
// included. What the kernel keeps for its sockets is not in it.
func (p *process) memory() (int64, error) {
	var sum int64
	for _, pid := range p.family() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, p.trouble(err)
		}
		_, rest, found := strings.Cut(string(text), "\nPss:")
		if !found {
			return 0, p.trouble(fmt.Errorf("no Pss in smaps_rollup"))
		}
		kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return 0, p.trouble(err)
		}
		sum += kB << 10
	}
	return sum, nil
}

// family returns the process and its children, which nginx serves in, and a large
// crowd is in.
func (p *process) family() []int {
	pids := []int{p.cmd.Process.Pid}
	// Each of its threads has the children that it started itself.
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
	for _, thread := range threads {
		children, _ := os.ReadFile(thread) // a thread that has just ended has none
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// part is this binary in another role: it takes an order a line and answers each.
type part struct {
	*process
	orders  *json.Encoder
	answers *json.Decoder
}

func startPart(t testing.TB, role string) (*part, error) {
	cmd := exec.Command(os.Args[0])
	// Go's scheduler is not to look after a loop that needs none: it is a yardstick.
	cmd.Env = append(os.Environ(), partVariable+"="+role, "GODEBUG=asyncpreemptoff=1")
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start(t, role, cmd)
	if err != nil {
		return nil, err
	}
	return &part{process: p, orders: json.NewEncoder(orders), answers: json.NewDecoder(answers)}, nil
}

// ask gives an order and waits for the answer.
func (p *part) ask(order, answer any) error {
	if err := p.orders.Encode(order); err != nil {
		return p.trouble(err)
	}
	if err := p.answers.Decode(answer); err != nil {
		return p.trouble(err)
	}
	return nil
}

// tail keeps the end of what a process says.
type tail struct {
	keep int // bytes; 0 is 2000

	mu   sync.Mutex // guards text
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - cmp.Or(t.keep, 2000); over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}

// openFolder makes a folder that others may enter: what a test's own folders lie in
// is closed to them.
func openFolder(t testing.TB) (string, error) {
	folder, err := os.MkdirTemp("", "hustings-bench-")
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder, os.Chmod(folder, 0o755)
}

// nobody makes a program run without rights, where the test itself has all, and
// gives it the folder.
func nobody(cmd *exec.Cmd, folder string) error {
	if os.Getuid() != 0 {
		return nil
	}
	const uid = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, uid)
	})
}
