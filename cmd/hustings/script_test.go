package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/sumdb/note"
)

// The scripts in testdata/script run the real program. Besides testscript's own
// commands they have:
//
//	serve [FLAG...]            starts `hustings serve --data data --listen 127.0.0.1:0`, or
//	                           the flags' own; sets $URL, $ADDR, $OWNER; its log is in server.log
//	demo [FLAG...]             the same for `hustings demo`, once its voices are live
//	says REGEXP                waits until it has said so on standard output, all of which is
//	                           in the file said
//	kill9, terminate           ends it by SIGKILL, or by SIGTERM and then in good order
//	interrupt                  ends it by two SIGINTs, the second while it goes down
//	edge NAME [FLAG...]        starts an edge of the server, in a folder of that name; sets
//	                           $NAME to its URL; its log is in NAME.log
//	at URL                     requests go there from now on
//	listens NAME N [TIME]      waits until N listen at an edge, for as long as TIME
//	stay URL                   listens there, on one connection that must not end
//	stayed                     waits until it has heard two seconds more
//	killedge NAME              ends an edge by SIGKILL
//	endedge NAME               ends it by SIGTERM, and then in good order
//	hang                       begins a request that it would wait for, going down
//	http [-as TOKEN] [-type T] METHOD PATH STATUS [BODY]
//	                           a request; the answer is in the files body and head
//	until [-match REGEXP] [same as http]
//	                           the same, again and again until the status is right, and the body
//	alpn PROTOCOL              what the server chooses when HTTP/2 is offered too
//	loud FILE                  there is speech in it, or something as loud (needs ffmpeg)
//	keep VAR FIELD             sets a variable to a field (a.b.0) of the JSON in body
//	tone FILE SECONDS HZ       writes a WAV
//	[!] hears FILE HZ          whether a file holds a tone (needs ffmpeg)
//	lasts FILE MIN MAX         its length in seconds (needs ffmpeg)
//	part HEARD WHOLE           the Opus packets of one Ogg file are a run of the other's
//	exits CODE PROGRAM...      runs it; what it says is in the files stdout and stderr; 0|1 is
//	                           one or the other
//	authority                  starts an ACME authority at $ACME, which the program trusts
//	trusted NAME               waits until the server has a certificate of it for the name
//	certificate CERT KEY       writes a certificate for 127.0.0.1
//	report FILE FIELD MIN MAX  bounds of a number in a report of `hustings listen`
//	signed FILE FIELD KEY      a field of a report is a note that the key has signed
func TestMain(m *testing.M) {
	// The ACME authority of a script neither dawdles nor plays tricks.
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	os.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	testscript.Main(m, map[string]func(){"hustings": main})
}

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the program in real time")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setUp,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveCmd, "demo": demoCmd, "says": says, "kill9": kill, "terminate": terminate, "interrupt": interrupt, "hang": hang,
			"http": request, "until": until, "keep": keep, "exits": exits, "certificate": certificate,
			"authority": authority, "trusted": trusted,
			"edge": startEdge, "at": at, "listens": listens, "stay": stay, "stayed": stayed, "killedge": killEdge, "endedge": endEdge,
			"tone": writeTone, "hears": hears, "loud": loud, "alpn": alpn, "lasts": lasts, "part": part, "report": report, "signed": signed,
		},
	})
}

// server is the server of a script.
type server struct {
	cmd  *exec.Cmd
	done chan error
	http *http.Client
	acme *acme // nil until the script starts one

	edges map[string]*exec.Cmd
	stays *listener // nil until the script has one
}

type serverKey struct{}

func setUp(env *testscript.Env) error {
	s := &server{http: &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	env.Values[serverKey{}] = s
	env.Defer(func() {
		s.http.CloseIdleConnections()
		if s.cmd != nil {
			s.cmd.Process.Kill()
			<-s.done
		}
		for _, cmd := range s.edges {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return nil
}

func serverOf(ts *testscript.TestScript) *server { return ts.Value(serverKey{}).(*server) }

// patience is how long a script waits for what should be there at once: the race
// detector on a busy machine is slow.
const patience = 30 * time.Second

func serveCmd(ts *testscript.TestScript, neg bool, args []string) {
	start(ts, "serve", "ready ", args)
}

func demoCmd(ts *testscript.TestScript, neg bool, args []string) {
	start(ts, "demo", "Three voices are live", args)
}

// start starts the program and waits until it says a line that begins so.
func start(ts *testscript.TestScript, name, until string, args []string) {
	s := serverOf(ts)
	if s.cmd != nil {
		ts.Fatalf("a server runs already")
	}
	args = append([]string{name, "--data", "data", "--listen", "127.0.0.1:0"}, args...)
	path, err := exec.LookPath("hustings")
	ts.Check(err)
	s.cmd = exec.Command(path, args...)
	s.cmd.Dir, s.cmd.Env = ts.Getenv("WORK"), environment(ts)
	log, err := os.OpenFile(ts.MkAbs("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	s.cmd.Stderr = log
	out, err := s.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	s.done = make(chan error, 1)
	said, err := os.Create(ts.MkAbs("said"))
	ts.Check(err)
	go func() {
		io.Copy(said, out)
		said.Close()
		s.done <- s.cmd.Wait()
	}()
	says(ts, false, []string{"(?m)^" + until})
	url := regexp.MustCompile(`(?m)^ready (https?://(.*))$`).FindStringSubmatch(ts.ReadFile("said"))
	ts.Setenv("URL", url[1])
	ts.Setenv("ADDR", url[2])
	if owner, err := os.ReadFile(ts.MkAbs("data/owner.token")); err == nil {
		ts.Setenv("OWNER", strings.TrimSpace(string(owner)))
	}
	if join := regexp.MustCompile(`--join (\S+@(\S+))`).FindStringSubmatch(ts.ReadFile("said")); join != nil {
		ts.Setenv("JOIN", join[1])
		ts.Setenv("BUS", join[2])
	}
}

// says waits for something on the server's standard output.
func says(ts *testscript.TestScript, neg bool, args []string) {
	s, match := serverOf(ts), regexp.MustCompile(args[0]+".*\n")
	for deadline := time.Now().Add(patience); !match.MatchString(ts.ReadFile("said")); {
		select {
		case err := <-s.done:
			s.cmd = nil
			ts.Fatalf("the server ended (%v): %s", err, ts.ReadFile("server.log"))
		case <-time.After(10 * time.Millisecond): // between two looks
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server does not say %q within %v but %q: %s", args[0], patience, ts.ReadFile("said"), ts.ReadFile("server.log"))
		}
	}
}

// environment is the script's, for what it does not start itself.
func environment(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, name := range []string{"HOME", "TMPDIR", "WORK", "PATH", "SSL_CERT_FILE", "HUSTINGS_OWNER_TOKEN", "HUSTINGS_EDGE_SECRET"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func kill(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	ts.Check(s.cmd.Process.Kill())
	<-s.done
	s.cmd = nil
}

// terminate ends the server by SIGTERM: within 10 s, and without an error.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		if err != nil {
			ts.Fatalf("the server ended with %v: %s", err, ts.ReadFile("server.log"))
		}
	case <-time.After(10 * time.Second):
		ts.Fatalf("the server did not end within 10 s: %s", ts.ReadFile("server.log"))
	}
	s.cmd = nil
}

// hang opens a request whose body does not come.
func hang(ts *testscript.TestScript, neg bool, args []string) {
	conn, err := net.Dial("tcp", ts.Getenv("ADDR"))
	ts.Check(err)
	ts.Defer(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /api/v1/spaces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	ts.Check(err)
}

// interrupt sends a signal, and another one once the server takes no connections any
// more: that ends it at once, by the signal.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	ts.Check(s.cmd.Process.Signal(syscall.SIGINT))
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", ts.Getenv("ADDR"))
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			ts.Fatalf("the server still takes connections")
		}
	}
	ts.Check(s.cmd.Process.Signal(syscall.SIGINT))
	err := <-s.done
	s.cmd = nil
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		ts.Fatalf("the second signal: %v", err)
	}
}

var errStatus = errors.New("another status")

// request makes one request.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if err := tryRequest(ts, args); err != nil {
		ts.Fatalf("%v", err)
	}
}

// until makes a request until it is answered as it should be.
func until(ts *testscript.TestScript, neg bool, args []string) {
	match := regexp.MustCompile("")
	if len(args) > 1 && args[0] == "-match" {
		match, args = regexp.MustCompile(args[1]), args[2:]
	}
	deadline := time.Now().Add(patience)
	for {
		err := tryRequest(ts, args)
		if err == nil && match.MatchString(ts.ReadFile("body")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v: %.1000s", err, ts.ReadFile("body"))
		}
		time.Sleep(20 * time.Millisecond) // between two looks at the condition
	}
}

func tryRequest(ts *testscript.TestScript, args []string) error {
	header := http.Header{}
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-as":
			header.Set("Authorization", "Bearer "+args[1])
		case "-type":
			header.Set("Content-Type", args[1])
		default: // any other header: -Range bytes=0-9
			header.Set(args[0][1:], args[1])
		}
		args = args[2:]
	}
	if len(args) < 3 {
		ts.Fatalf("usage: http [-as token] [-type type] method path status [body]")
	}
	var body io.Reader
	if len(args) > 3 {
		body = strings.NewReader(strings.Join(args[3:], " "))
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	// A live stream has no end: its head is enough.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[0], ts.Getenv("URL")+args[1], body)
	ts.Check(err)
	req.Header = header
	resp, err := serverOf(ts).http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer []byte
	if !strings.HasPrefix(args[1], "/live/") || resp.StatusCode != http.StatusOK || strings.HasSuffix(args[1], "/pulse") {
		if answer, err = io.ReadAll(resp.Body); err != nil {
			return err
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("body"), answer, 0o600))
	var head bytes.Buffer
	resp.Header.Write(&head)
	ts.Check(os.WriteFile(ts.MkAbs("head"), head.Bytes(), 0o600))
	if strconv.Itoa(resp.StatusCode) != args[2] {
		return fmt.Errorf("%w: %s %s answered %s, not %s: %.500s", errStatus, args[0], args[1], resp.Status, args[2], answer)
	}
	return nil
}

// keep takes a field out of the answer.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: keep VAR field")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("body")), &value))
	ts.Setenv(args[0], fmt.Sprint(field(ts, value, args[1])))
}

// field finds a.b.0 in what JSON was decoded to.
func field(ts *testscript.TestScript, value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				ts.Fatalf("no %s in a list of %d", path, len(v))
			}
			value = v[i]
		default:
			value = nil
		}
		if value == nil {
			ts.Fatalf("no field %s", path)
		}
	}
	return value
}

// report looks at a number in a report of `hustings listen`.
func report(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: report file field min max")
	}
	var value any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &value); err != nil {
		ts.Fatalf("%s is no report: %v: %s", args[0], err, ts.ReadFile(args[0]))
	}
	got, err := strconv.ParseFloat(fmt.Sprint(field(ts, value, args[1])), 64)
	ts.Check(err)
	least, err1 := strconv.ParseFloat(args[2], 64)
	most, err2 := strconv.ParseFloat(args[3], 64)
	ts.Check(errors.Join(err1, err2))
	if got < least || got > most {
		ts.Fatalf("%s is %v, not within %v and %v: %s", args[1], got, least, most, ts.ReadFile(args[0]))
	}
}

// signed checks a signed note in a report.
func signed(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: signed file field key")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &value))
	key, err := note.NewVerifier(args[2])
	ts.Check(err)
	if _, err := note.Open([]byte(fmt.Sprint(field(ts, value, args[1]))), note.VerifierList(key)); err != nil {
		ts.Fatalf("%s of %s: %v", args[1], args[0], err)
	}
}

// exits runs a program that has to end with the given code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits code program [argument...]")
	}
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args[2:]...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environment(ts)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	ts.Check(os.WriteFile(ts.MkAbs("stdout"), out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("stderr"), log.Bytes(), 0o600))
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); !slices.Contains(strings.Split(args[0], "|"), code) {
		ts.Fatalf("exit code %s, not %s (%v): %s%s", code, args[0], err, out.Bytes(), log.Bytes())
	}
	// A person reads this: one line for a failure, no trace, no address of memory.
	if regexp.MustCompile(`goroutine \d|0x[0-9a-f]{6}|%!`).Match(log.Bytes()) {
		ts.Fatalf("not for a person: %s", log.Bytes())
	}
}
