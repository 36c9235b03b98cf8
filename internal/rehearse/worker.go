package rehearse

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"hustings/internal/hearing"
)

// Work is what a process of the crowd is told, as one line of JSON on its standard
// input, which then stays open: when it ends, because the program that started it
// wants it to or is gone, the worker ends too.
type Work struct {
	URL    string    `json:"url"`
	Permit string    `json:"permit"`
	Plan   Plan      `json:"plan"`
	Part   Part      `json:"part"`
	Start  time.Time `json:"start"` // of the first arrival
}

// word is what a worker says, as lines of JSON on its standard output: its figures
// each second, and at the end once more or why there are none.
type word struct {
	Figures *hearing.Figures `json:"figures,omitempty"`
	End     bool             `json:"end,omitempty"` // these are the last
	Error   string           `json:"error,omitempty"`
}

// maxLine bounds a line of either side; figures have some thousand bytes.
const maxLine = 1 << 20

var errWord = errors.New("not a word of a worker")

func parseWord(line []byte) (word, error) {
	var w word
	if err := json.Unmarshal(line, &w); err != nil {
		return word{}, fmt.Errorf("%w: %w", errWord, err)
	}
	if w.Figures == nil && w.Error == "" {
		return word{}, fmt.Errorf("%w: it has no figures", errWord)
	}
	return w, nil
}

// RunWorker is the other side: it takes its work from in, is that part of the crowd
// until the plan, in or ctx ends, and tells its figures on out.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer, log *slog.Logger) error {
	lines := bufio.NewReaderSize(in, maxLine)
	line, err := lines.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("no work on standard input: %w (hustings rehearse starts its workers itself)", err)
	}
	var work Work
	if err := json.Unmarshal(line, &work); err != nil {
		return fmt.Errorf("the work on standard input is not understood: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with standard input, or with the process
		_, _ = io.Copy(io.Discard, lines)
		cancel()
	}()
	tell := json.NewEncoder(out)
	here, err := newHere(work, log)
	if err == nil {
		err = whileRunning(ctx, here, func(f hearing.Figures) error { return tell.Encode(word{Figures: &f}) })
	}
	if err != nil {
		return errors.Join(err, tell.Encode(word{Error: err.Error()}))
	}
	last, _ := here.Figures()
	return tell.Encode(word{Figures: &last, End: true})
}

// whileRunning runs a part of the crowd and tells its figures each second. When they
// can't be told any more, nobody is there to want them, and the part ends.
func whileRunning(ctx context.Context, p part, tell func(hearing.Figures) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	each := time.NewTicker(sampleEvery)
	defer each.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-each.C:
			figures, _ := p.Figures()
			if err := tell(figures); err != nil {
				cancel()
				return errors.Join(err, <-done)
			}
		}
	}
}

// worker is a part of the crowd in a process of its own.
type worker struct {
	work     Work
	program  []string
	stderr   io.Writer
	log      *slog.Logger
	patience time.Duration // for its last figures, before it is killed

	mu      sync.Mutex // guards what follows
	figures hearing.Figures
	ended   bool // it has said its last figures
	dead    bool
}

// Run is the worker's life. A worker that dies is no error of the rehearsal: it is
// told, and its listeners count as failed.
func (w *worker) Run(ctx context.Context) error {
	cmd := exec.Command(w.program[0], w.program[1:]...)
	cmd.Stderr = w.stderr
	// A Ctrl-C at the terminal is for the one who started us; it ends its workers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("worker %d: %w", w.work.Part.Index, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("worker %d: %w", w.work.Part.Index, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("worker %d can't be started: %w", w.work.Part.Index, err)
	}
	stopped := w.leash(ctx, cmd, in)
	err = w.talk(in, out)
	if err := errors.Join(err, cmd.Wait()); !w.settle() {
		w.log.Error("a worker of the crowd died; its listeners count as failed", "worker", w.work.Part.Index, "err", err)
	}
	close(stopped)
	return nil
}

// leash ends the process when ctx does: by the end of its input, and if it does not
// follow, by force. The result is to be closed when the process is gone.
func (w *worker) leash(ctx context.Context, cmd *exec.Cmd, in io.Closer) (gone chan struct{}) {
	gone = make(chan struct{})
	go func() {
		select {
		case <-gone:
			_ = in.Close()
			return
		case <-ctx.Done():
			_ = in.Close() // it sees the end of its input; nothing else is said by this
		}
		select {
		case <-gone:
		case <-time.After(w.patience):
			_ = cmd.Process.Kill() // it may just have ended
		}
	}()
	return gone
}

// talk gives the worker its work and hears its words until there are no more.
func (w *worker) talk(in io.Writer, out io.Reader) error {
	line, err := json.Marshal(w.work)
	if err != nil {
		return err
	}
	_, toldErr := in.Write(append(line, '\n')) // one that died at once is heard of below
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		said, err := parseWord(lines.Bytes())
		if err != nil {
			// The last line of a process that was killed may be torn.
			w.log.Warn("a worker's line is not understood: ignored", "worker", w.work.Part.Index, "err", err)
			continue
		}
		if said.Error != "" {
			return errors.New(said.Error)
		}
		w.mu.Lock()
		w.figures, w.ended = *said.Figures, said.End
		w.mu.Unlock()
	}
	return errors.Join(toldErr, lines.Err())
}

// settle says that the process is gone, and whether that was in good order.
func (w *worker) settle() (well bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = !w.ended
	return w.ended
}

// Figures returns what the worker said last.
func (w *worker) Figures() (f hearing.Figures, dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.figures, w.dead
}
