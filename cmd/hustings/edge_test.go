package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hustings/internal/ogg"
)

// startEdge starts an edge that joins by $JOIN.
func startEdge(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: edge name [flag...]")
	}
	name := args[0]
	path, err := exec.LookPath("hustings")
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"serve", "--data", name, "--listen", "127.0.0.1:0", "--join", ts.Getenv("JOIN")}, args[1:]...)...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environment(ts)
	log, err := os.OpenFile(ts.MkAbs(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s := serverOf(ts)
	if s.edges == nil {
		s.edges = make(map[string]*exec.Cmd)
	}
	s.edges[name] = cmd
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		ts.Fatalf("the edge says %q (%v): %s", line, err, ts.ReadFile(name+".log"))
	}
	ts.Setenv(name, strings.TrimSpace(strings.TrimPrefix(line, "ready ")))
}

// at directs requests elsewhere.
func at(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: at url")
	}
	ts.Setenv("URL", args[0])
}

// listens waits until so many listen at an edge.
func listens(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: listens name number [time]")
	}
	within := patience
	if len(args) > 2 {
		var err error
		within, err = time.ParseDuration(args[2])
		ts.Check(err)
	}
	match := regexp.MustCompile(`(?m)^hustings_broadcast_listeners ` + args[1] + `$`)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // between two looks at the condition
		figures, err := figuresOf(ts.Getenv(args[0]))
		ts.Check(err)
		if match.MatchString(figures) {
			ts.Logf("%s listen at %s after %v", args[1], args[0], time.Since(began).Round(10*time.Millisecond))
			return
		}
		if time.Since(began) > within {
			ts.Fatalf("after %v still not %s listen at %s: %s", within, args[1], args[0], ts.ReadFile(args[0]+".log"))
		}
	}
}

func figuresOf(url string) (string, error) {
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the figures of %s: %s", url, resp.Status)
	}
	return string(body), err
}

// listener hears a stream by Ogg.
type listener struct {
	mu  sync.Mutex // guards what follows
	end int64      // of what was heard, in samples
	err error
}

// stay listens on one connection until the script ends.
func stay(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: stay url")
	}
	resp, err := http.Get(args[0])
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", args[0], resp.Status)
	}
	l := new(listener)
	serverOf(ts).stays = l
	done := make(chan struct{})
	ts.Defer(func() {
		resp.Body.Close()
		<-done
	})
	go func() {
		defer close(done)
		for stream := ogg.NewReader(resp.Body); ; {
			p, err := stream.Next()
			l.mu.Lock()
			if l.err = err; err == nil && p.Granule != ogg.NoGranule {
				l.end = p.Granule
			}
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

// stayed waits until whoever stays has heard two seconds more.
func stayed(ts *testscript.TestScript, neg bool, args []string) {
	l := serverOf(ts).stays
	if l == nil {
		ts.Fatalf("nobody stays")
	}
	so := func() int64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.err != nil {
			ts.Fatalf("the connection ended: %v", l.err)
		}
		return l.end
	}
	from := so()
	for deadline := time.Now().Add(patience); so() < from+2*48000; time.Sleep(10 * time.Millisecond) { // between two looks
		if time.Now().After(deadline) {
			ts.Fatalf("nothing is heard any more at %d", from)
		}
	}
}

func edgeOf(ts *testscript.TestScript, args []string) *exec.Cmd {
	if len(args) != 1 || serverOf(ts).edges[args[0]] == nil {
		ts.Fatalf("usage: killedge or endedge, and the name of an edge that runs")
	}
	cmd := serverOf(ts).edges[args[0]]
	delete(serverOf(ts).edges, args[0])
	return cmd
}

func killEdge(ts *testscript.TestScript, neg bool, args []string) {
	cmd := edgeOf(ts, args)
	ts.Check(cmd.Process.Kill())
	cmd.Wait() // by the signal
}

func endEdge(ts *testscript.TestScript, neg bool, args []string) {
	cmd := edgeOf(ts, args)
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		ts.Fatalf("the edge ended with %v: %s", err, ts.ReadFile(args[0]+".log"))
	}
}
