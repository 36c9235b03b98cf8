package rehearse

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"hustings/internal/hearing"

	"go.uber.org/goleak"
)

// actAs names, in the environment, what the test program is to be instead.
const actAs = "HUSTINGS_TEST_WORKER"

func TestMain(m *testing.M) {
	if role := os.Getenv(actAs); role != "" {
		os.Exit(act(role))
	}
	goleak.VerifyTestMain(m)
}

// act is a worker process with a character.
func act(role string) int {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	var work Work
	if err != nil || json.Unmarshal(line, &work) != nil {
		return 2
	}
	say := func(w word) {
		text, _ := json.Marshal(w)
		fmt.Printf("%s\n", text)
	}
	n := int64(work.Part.Size(work.Plan))
	figures := &hearing.Figures{Asked: n, Arrived: n, Joined: n, Hearing: n, EverJoined: n, EverHeard: n, Blocks: 10 * n}
	switch role {
	case "good":
		say(word{Figures: figures})
		fmt.Println("not a word")
		_, _ = io.Copy(io.Discard, in)
		figures.Hearing, figures.Joined, figures.Left = 0, 0, n
		say(word{Figures: figures, End: true})
	case "torn":
		say(word{Figures: figures})
		fmt.Print(`{"figures":{"asked":12`)
		return 1
	case "failing":
		say(word{Error: "nobody at the door"})
		return 1
	case "deaf":
		say(word{Figures: figures})
		select {}
	}
	return 0
}

var testPlan = Plan{Shape: Even, Listeners: 100, Arrive: time.Second, Hold: time.Second}

// newTestWorker is half of a crowd, in a process of that character.
func newTestWorker(t *testing.T, role string) *worker {
	t.Setenv(actAs, role)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &worker{
		work: Work{Plan: testPlan, Part: Part{Index: 0, Of: 2}}, program: []string{self}, stderr: os.Stderr,
		log: slog.New(slog.DiscardHandler), patience: 20 * time.Second,
	}
}

// heardOf waits until the worker has said something.
func heardOf(t *testing.T, w *worker) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // between two looks
		if f, _ := w.Figures(); f.Hearing == 50 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the worker says nothing")
		}
	}
}

func TestAWorkerEndsWithItsInput(t *testing.T) {
	w := newTestWorker(t, "good")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	heardOf(t, w)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f, dead := w.Figures()
	if dead || f.Left != 50 || f.Blocks != 500 || f.Hearing != 0 {
		t.Errorf("dead %v: %+v", dead, f)
	}
}

func TestADeadWorkerIsTold(t *testing.T) {
	for _, role := range []string{"torn", "failing"} {
		t.Run(role, func(t *testing.T) {
			w := newTestWorker(t, role)
			var log bytes.Buffer
			w.log = slog.New(slog.NewTextHandler(&log, nil))
			if err := w.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, dead := w.Figures(); !dead || !strings.Contains(log.String(), "died") {
				t.Errorf("dead %v: %s", dead, &log)
			}
			team := &team{parts: []part{w}, sizes: []int{50}, plan: testPlan}
			c := team.count()
			if c.Dead != 1 || c.Lost != 50 || c.Whole != 0 || c.Hearing != 0 || c.Joined != 0 || !c.faulty() || c.Failed["their worker process died"] != 50 {
				t.Errorf("%+v", c)
			}
			if role == "torn" && c.EverHeard != 50 { // what it had counted stays
				t.Errorf("%d have ever heard", c.EverHeard)
			}
		})
	}
}

func TestADeafWorkerIsKilled(t *testing.T) {
	w := newTestWorker(t, "deaf")
	w.patience = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	heardOf(t, w)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, dead := w.Figures(); !dead {
		t.Error("it is alive")
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	w := newTestWorker(t, "good")
	w.program = []string{"/nowhere/hustings"}
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "can't be started") {
		t.Errorf("%v", err)
	}
}

func TestRunWorkerSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":      {"", "hustings rehearse starts its workers itself"},
		"no JSON":      {"x\n", "not understood"},
		"no plan":      {"{}\n", "at least one"},
		"no part":      {`{"url":"http://127.0.0.1:1/s/x","plan":{"shape":"even","listeners":5,"hold":1000000000},"part":{"index":3,"of":2}}` + "\n", "no part"},
		"no such link": {`{"url":"x","plan":{"shape":"even","listeners":5,"hold":1000000000},"part":{"index":0,"of":1}}` + "\n", "link"},
	} {
		var out bytes.Buffer
		err := RunWorker(t.Context(), strings.NewReader(c.in), &out, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if out.Len() == 0 {
			continue
		}
		if said, err := parseWord(out.Bytes()); err != nil || said.Error == "" {
			t.Errorf("%s: it says %s", name, &out)
		}
	}
}

// Whoever started a worker may be killed: its input ends then, and so does it.
func TestAWorkerEndsWithWhoeverStartedIt(t *testing.T) {
	work, err := json.Marshal(Work{URL: "http://127.0.0.1:1/s/hall", Plan: testPlan, Part: Part{Of: 1}, Start: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	in, parent := io.Pipe()
	var out bytes.Buffer
	done := make(chan error)
	go func() { done <- RunWorker(t.Context(), in, &out, slog.New(slog.DiscardHandler)) }()
	if _, err := parent.Write(append(work, '\n')); err != nil {
		t.Fatal(err)
	}
	parent.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if last, err := parseWord(lines[len(lines)-1]); err != nil || !last.End || last.Figures.Arrived != 0 {
		t.Errorf("its last word: %s (%v)", lines[len(lines)-1], err)
	}
}

// A worker whose reader is gone ends, and does not go on for nobody.
func TestFiguresThatNobodyWantsEndThePart(t *testing.T) {
	gone := errors.New("broken pipe")
	p := &fakePart{}
	if err := whileRunning(t.Context(), p, func(hearing.Figures) error { return gone }); !errors.Is(err, gone) || !p.ended {
		t.Errorf("%v, ended %v", err, p.ended)
	}
}

// fakePart runs until it is told to end.
type fakePart struct {
	figures hearing.Figures
	ended   bool
}

func (p *fakePart) Run(ctx context.Context) error {
	<-ctx.Done()
	p.ended = true
	return nil
}

func (p *fakePart) Figures() (hearing.Figures, bool) { return p.figures, false }

func FuzzWord(f *testing.F) {
	good, err := json.Marshal(word{Figures: &hearing.Figures{Asked: 7, Refused: map[int]int64{503: 2}}, End: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"error":"x"}`))
	f.Add([]byte(`{"figures":{"first_sound":"HISTFAAA"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		w, err := parseWord(line)
		if err != nil {
			if !errors.Is(err, errWord) {
				t.Fatalf("%v", err)
			}
			return
		}
		if w.Figures == nil && w.Error == "" {
			t.Fatalf("%q says nothing", line)
		}
		if w.Figures != nil {
			var c count
			c.add(*w.Figures, false, 1)
		}
	})
}
