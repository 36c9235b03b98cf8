package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// program is the real program in a process of its own, which can be killed.
type program struct {
	server
	cmd *exec.Cmd
}

// build builds the program once for a test.
func build(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hustings")
	said, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "../cmd/hustings").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	return file
}

// launch starts the program and waits until it serves.
func launch(t *testing.T, file, data, address string) *program {
	t.Helper()
	cmd := exec.Command(file, "serve", "--data", data, "--listen", address)
	cmd.Env = append(os.Environ(), "HUSTINGS_OWNER_TOKEN="+ownerToken)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: cmd}
	t.Cleanup(p.kill)
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
				ready <- url
			}
		}
	}()
	select {
	case p.url = <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the program is not ready after 30 s")
	}
	return p
}

// kill is kill -9.
func (p *program) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

func TestPagesComeBackAfterAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium and a minute")
	}
	file, data := build(t), t.TempDir()
	p := launch(t, file, data, "127.0.0.1:0")
	id := p.announce(t, "It goes on")
	p.step(t, id, "start")
	anna := joinStage(t, p.invite(t, id, "host", "Anna Abel"), annaHz)
	listener := browser(t, "")
	withSpy(t, listener)
	do(t, listener, chromedp.Navigate(p.url+"/s/"+id), chromedp.Click(testid("hear"), chromedp.NodeVisible))
	const playing = `document.querySelector('[data-testid="player"]').dataset.state === 'playing'`
	until(t, listener, playing)
	if level := loudest(decode(t, p.url+"/live/"+id+".ogg", 3*time.Second), annaHz); level < audible {
		t.Fatalf("before the kill Anna is at %.1f dBFS", level)
	}

	p.kill()
	until(t, listener, `document.querySelector('[data-testid="player"]').dataset.state === 'lost'`)
	picture(t, listener, "listener-lost")
	until(t, anna, `!document.querySelector('[data-testid="seat-line"][data-connected="true"]') || !!document.querySelector('[data-testid="trouble"], [data-testid="seat-trouble"]')`)
	picture(t, anna, "studio-lost")

	again := launch(t, file, data, strings.TrimPrefix(p.url, "http://"))
	began := time.Now()
	until(t, listener, playing)
	t.Logf("the listener hears again %v after the restart", time.Since(began).Round(10*time.Millisecond))
	until(t, anna, `document.querySelector('[data-testid="seat"]').dataset.state === 'up' && !document.querySelector('[data-testid="trouble"]') &&
		!!document.querySelector('[data-testid="seat-line"][data-connected="true"]')`)
	t.Logf("the speaker is back on stage %v after the restart", time.Since(began).Round(10*time.Millisecond))
	if level := loudest(decode(t, again.url+"/live/"+id+".ogg", 5*time.Second), annaHz); level < audible {
		t.Errorf("after the restart Anna is at %.1f dBFS", level)
	}
	until(t, listener, `[...players].some((p) => !p.paused && !p.error && p.currentTime > 0)`)

	again.step(t, id, "end")
	recording := decode(t, fetch(t, again.url+"/recordings/"+id+".ogg"), 0)
	before, after := recording[:len(recording)/3], recording[len(recording)*2/3:]
	for name, pcm := range map[string][]float64{"its first third": before, "its last third": after} {
		if level := loudest(pcm, annaHz); level < audible {
			t.Errorf("in %s the recording has Anna at %.1f dBFS", name, level)
		}
	}
}
