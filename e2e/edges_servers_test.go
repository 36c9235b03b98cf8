package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// start starts the program with settings of the test's. Besides where it serves it
// returns the line with which edges join, if it has edges.
func start(t *testing.T, file string, settings ...string) (p *program, join string) {
	t.Helper()
	cmd := exec.Command(file, append([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, settings...)...)
	cmd.Env = append(os.Environ(), "HUSTINGS_OWNER_TOKEN="+ownerToken)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p = &program{cmd: cmd}
	t.Cleanup(p.kill)
	said := make(chan string, 8)
	go func() {
		defer close(said)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said <- lines.Text()
		}
	}()
	core := strings.Contains(strings.Join(settings, " "), "--bus-listen")
	patience := time.After(30 * time.Second)
	for p.url == "" || core && join == "" {
		select {
		case line, open := <-said:
			if !open {
				t.Fatal("the program ended before it was ready")
			}
			if url, ok := strings.CutPrefix(line, "ready "); ok {
				p.url = url
			}
			if _, address, ok := strings.Cut(line, "--join "); ok {
				join = address
			}
		case <-patience:
			t.Fatalf("the program is not ready after 30 s: it serves at %q, and edges join at %q", p.url, join)
		}
	}
	return p, join
}

// awaitEdges waits until the page's documents name so many servers.
func awaitEdges(t *testing.T, p *program, id string, servers int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var space struct{ Edges string }
		p.call(t, http.MethodGet, "/api/v1/spaces/"+id, nil, &space)
		if strings.Count(space.Edges, "http://") >= servers {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s the list of edges is\n%s", space.Edges)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestKillOfAnEdgeIsNotHeard(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	file := build(t)
	core, join := start(t, file, "--bus-listen", "127.0.0.1:0", "--weight", "0")
	edges := map[string]*program{}
	for range 2 {
		edge, _ := start(t, file, "--join", join)
		edges[edge.url] = edge
	}
	id := core.announce(t, "On many shoulders")
	core.step(t, id, "start")
	awaitEdges(t, core, id, 2)

	ctx := listen(t, core.url+"/s/"+id)
	from := eval[string](t, ctx, `heardFrom()`)
	if edges[from] == nil {
		t.Fatalf("the page hears the programme from %q; the edges are %v", from, edges)
	}
	killed := eval[float64](t, ctx, `now()`)
	edges[from].kill()
	until(t, ctx, fmt.Sprintf(`track.at(-1).position > track.find((t) => t.at >= %g).position + 6`, killed))
	to := eval[string](t, ctx, `heardFrom()`)
	if edges[to] == nil || to == from {
		t.Errorf("after the kill of %s the page hears the programme from %q", from, to)
	}
	stood := eval[float64](t, ctx, fmt.Sprintf(`stood(%g)`, killed))
	if t.Logf("the sound stood still for %.2f s at the longest", stood); stood > 3 {
		t.Errorf("the sound stood still for %.2f s", stood)
	}

	// The core gone too: its last edge keeps the page, which says why it is quiet.
	until(t, ctx, `performance.getEntriesByType('resource').some((r) => r.name.includes('hold-music'))`)
	core.kill()
	until(t, ctx, `state() === 'held'`)
	says(t, ctx, "lost its line to the stage")
	until(t, ctx, `ownSound() > 0.02`)
}

func TestAPageHearsRareDeliveriesWithoutAGap(t *testing.T) {
	t.Parallel() // it waits more than it works
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	p, _ := start(t, build(t), "--pin-interval", "6s")
	id := p.announce(t, "Every six seconds")
	p.step(t, id, "start")
	// A listener who comes with the first word has nothing to be deep in.
	awaitProgramme(t, p.url, id, 9*time.Second)

	ctx := listen(t, p.url+"/s/"+id)
	begun := eval[float64](t, ctx, `now()`)
	until(t, ctx, fmt.Sprintf(`track.at(-1).at > %g + 20`, begun))
	if stood := eval[float64](t, ctx, fmt.Sprintf(`stood(%g)`, begun)); stood > 0.6 {
		t.Errorf("the sound stood still for %.2f s", stood)
	}
	if depth := eval[float64](t, ctx, `depth(14)`); depth < 6.5 || depth > 10 {
		t.Errorf("deliveries come every 6 s, and the page is %.1f s deep", depth)
	}
	// It was told so, and was not just lucky: there are few deliveries.
	deliveries := eval[int](t, ctx, fmt.Sprintf(`track.filter((t, i) => i && t.at > %g + 0.5 && t.end > track[i - 1].end).length`, begun))
	if deliveries > 8 {
		t.Errorf("in 20 s there were %d deliveries", deliveries)
	}
}

// awaitProgramme waits until there is so much of the programme.
func awaitProgramme(t *testing.T, url, id string, much time.Duration) {
	t.Helper()
	deadline := time.Now().Add(much + 20*time.Second)
	newest := fmt.Sprintf("%s/live/%s/b/%d.m4s", url, id, int(2*much.Seconds()))
	for {
		response, err := http.Get(newest)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s: %v %v", newest, response, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
